"""ELF files: BPF objects, and the programs and libraries that user-space probes go into.

`reader` reads the tables of any 64-bit ELF file, `strip` writes an object without its DWARF,
`binary` finds functions in executables and shared libraries, `entry` says where in a function a
probe costs least. This room imports nothing of skep but `skep.errors`.
"""
