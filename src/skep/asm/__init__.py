"""The BPF instruction set: single instructions, and code as bytes with side tables."""
