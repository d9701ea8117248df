"""``python -m skep``: the command line, where the script is not on the path."""

from skep.cli import main

main()
