"""A small search on digits, and one whose trials are not run: their values are a function of the settings."""

import copy

from rich.console import Console

from junlearn.experiment.progress import Reporter
from junlearn.search import rounds
from junlearn.search.trials import Judged, TrialFailed

TABLE = {
    "methods": ["finetune"],
    "dataset": {"name": "digits"},
    "model": {"name": "mlp", "hidden": [8]},
    "scenario": {"name": "class", "classes": [3]},
    "train": {"epochs": 2, "batch_size": 256},
    "method": {"finetune": {"batch_size": 256, "epochs": 1}},
    "search": {
        "trials": 3,
        "method": {"finetune": {"learning_rate": {"low": 0.001, "high": 1.0, "log": True}}},
    },
}


def table(**search):
    """The small search, with other fields of its section."""
    changed = copy.deepcopy(TABLE)
    changed["search"] |= search
    return changed


class Judge:
    """In the place of `judge`: the value is the rate, and a tenth of the seed more; a rate above `fails` fails."""

    def __init__(self, monkeypatch, fails=2.0):
        self.fails, self.asked = fails, []
        monkeypatch.setattr(rounds, "judge", self)

    def __call__(self, experiment, label, objective, place, reporter, renewal):
        rate, seed = experiment.method.finetune.learning_rate, experiment.seed
        self.asked.append((rate, seed))
        if rate > self.fails:
            raise TrialFailed("DivergedError: loss is nan")
        return Judged(rate + seed / 10, {"forget": rate + seed / 10})


class Said:
    """A reporter that keeps what is said."""

    console = None

    def __init__(self):
        self.lines = []

    @staticmethod
    def quiet():
        """A reporter that says nothing."""
        return Reporter(Console(quiet=True))

    def say(self, line):
        self.lines.append(line)
