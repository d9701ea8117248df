"""Live maps and their specs: typed items, columns, global variables."""
