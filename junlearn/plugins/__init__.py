"""Doors for other people's code: methods, models, datasets, scenarios and metrics from outside of the package.

`registry` is the one place that knows every name; `loading` makes a module of a file, `contract` says what a thing of a
kind must have, `spaces` checks what a search may try of a method, `installed` asks the packages that are installed,
`source` tells what code a thing is made of.

It may import the rooms that hold the package's own things (methods, models, datasets, scenarios, metrics), and nothing
above them. Read `registry.py` first.
"""
