"""BTF, the kernel's and clang's compact type information: parse, look up, lay out, encode, write.

Nothing here needs a kernel except `skep.btf.kernel`. Import the module you need; this package
imports nothing by itself, so that a load pays only for what it uses.
"""
