"""What comes in at the Python door: it is converted, or refused in one line, before anything is compiled.

Images, labels, splits, keys, options and networks of a person pass here on their way to the engine. The modules import
the contract, the errors, and of the engine and its parts what they need to look at a network.

Read `sources` first: it makes the form that the library computes with. `arrays` and `columns` are its pieces.
"""
