"""How hard each training example is to forget: scores of examples, which scenarios and methods choose by.

`memorisation` trains many networks, `proxies` watch one; `entanglement` reads the embedding of the original network,
and `bilevel` searches from it. `scored` has them by name, for a `Scoring` that a scenario asks for.
"""
