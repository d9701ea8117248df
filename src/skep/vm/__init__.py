"""Run a command under another Linux kernel: a small QEMU guest with this interpreter inside."""
