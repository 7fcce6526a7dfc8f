"""Loggers: who is told of every epoch while a network is trained, and of what came of it at the end.

In Python it is any object with `log(values, step)` (`logger.py`). The command line has three by name
(`choices.py`): csv, tensorboard and wandb. No logger can stop a run (`safely.py`).
"""
