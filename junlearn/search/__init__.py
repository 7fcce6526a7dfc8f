"""Search: which settings of a method are the best, by something else than the test set.

Read `objectives` first: what is optimised, and what it reads. `question` is all that a search is about, `trials` makes
the experiment of one trial, `studies` keeps the trials so that several processes share them, `rounds` runs them,
`findings` is what came of it, `best_settings` writes it as a configuration. Optuna chooses the settings; it is imported
only when a search begins.
"""
