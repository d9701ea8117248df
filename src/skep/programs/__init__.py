"""Programs: what a section name means, a program as plain data, and a loaded one."""
