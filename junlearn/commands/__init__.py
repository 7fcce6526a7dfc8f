"""What the command line is made of: one module a command, the help, the catalogue.

`junlearn.main` calls `command(arguments)` of the module of a command; its arguments are those of `parser()` there. They
turn words into settings and results into lines; they train nothing themselves. They may import everything, and only
the doors import them.

Read `run.py` first: it is the command without a name. `guide.py` writes the help, `catalogue.py` what `list` shows.
"""
