"""A module in the place of wandb, which writes down what it is told."""

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType


class Run:
    def __init__(self, options):
        self.options, self.logged, self.axes, self.ended = options, [], {}, None
        self.summary, self.config = {}, Config()

    def log(self, values):
        self.logged.append(dict(values))

    def define_metric(self, name, step_metric=None, hidden=None):
        self.axes[name] = step_metric

    def finish(self, exit_code):
        self.ended = exit_code


class Config(dict):
    def update(self, values, allow_val_change):
        assert allow_val_change
        super().update(values)


def install(patch):
    """The runs that are begun from here on."""
    module, runs = ModuleType("wandb"), []
    module.__spec__ = ModuleSpec("wandb", None)

    def init(**options):
        runs.append(Run(options))
        return runs[-1]

    module.init = init
    module.Image = lambda path: ("image", path)
    patch.setitem(sys.modules, "wandb", module)
    return runs
