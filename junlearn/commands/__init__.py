"""What the command line is made of: the arguments of its commands, its help, its catalogue.

`junlearn.main` calls these. They turn words into settings and settings into help; they train nothing. They may import
everything, and only the doors import them.

Read `parsers` first: it has the arguments of each command. `guide` writes the help, `catalogue` what `list` shows.
"""
