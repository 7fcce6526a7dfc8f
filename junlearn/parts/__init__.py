"""What methods are made of: feeds, losses, optimisers, descent, and what several methods share.

A method's file takes its feeds, its loss and its optimiser from here and adds its equations. Nothing here trains:
these are pure functions and small tuples. The modules import the contract (`junlearn.types`), settings, errors and each
other; never the engine and never a method.

Read `descent` first, the step of most methods, then `feeds` and `losses`.
"""
