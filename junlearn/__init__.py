"""Machine unlearning for image classifiers in JAX: make a network forget chosen training examples, and measure it.

The import takes no time: each name below, and each module of the package, is imported when it is first asked for.
"""

__version__ = "0.1.0"

# First: it handles Ctrl-C while the others take seconds.
from junlearn.engine import interrupts  # noqa: F401

# isort: split
import importlib
import importlib.util
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from junlearn.api import evaluate, initial, split_off, train, train_many, unlearn
    from junlearn.engine.batches import PLAIN_VIEWS
    from junlearn.engine.predict import logits_many
    from junlearn.engine.run import Result, run
    from junlearn.engine.saved import load_variables
    from junlearn.errors import (
        CheckpointError,
        ConfigError,
        DataError,
        DivergedError,
        JunlearnError,
    )
    from junlearn.experiment.own_records import write_record
    from junlearn.experiment.own_scores import entanglement, memorisation, worst_case
    from junlearn.interactive.comparing import compare_methods
    from junlearn.interactive.method_options import options
    from junlearn.many import Many, pick
    from junlearn.methods import METHODS
    from junlearn.metrics.evaluation import Evaluation
    from junlearn.models import MODELS
    from junlearn.models.weight_torch import from_torch, to_torch
    from junlearn.parts import class_statistics, example_scores
    from junlearn.plugins.registry import register
    from junlearn.reports import plots
    from junlearn.reports.compared import compare
    from junlearn.reports.tables import summary
    from junlearn.scenarios import ranking
    from junlearn.types import (
        Batch,
        Data,
        Dataset,
        Feed,
        Method,
        Model,
        Split,
        Stage,
        Variables,
    )

__all__ = [
    "METHODS",
    "MODELS",
    "PLAIN_VIEWS",
    "Batch",
    "CheckpointError",
    "ConfigError",
    "Data",
    "DataError",
    "Dataset",
    "DivergedError",
    "Evaluation",
    "Feed",
    "JunlearnError",
    "Many",
    "Method",
    "Model",
    "Result",
    "Split",
    "Stage",
    "Variables",
    "__version__",
    "class_statistics",
    "compare",
    "compare_methods",
    "entanglement",
    "evaluate",
    "example_scores",
    "from_torch",
    "initial",
    "load_variables",
    "logits_many",
    "memorisation",
    "options",
    "pick",
    "plots",
    "ranking",
    "register",
    "run",
    "split_off",
    "summary",
    "to_torch",
    "train",
    "train_many",
    "unlearn",
    "worst_case",
    "write_record",
]

_NAMES = {
    "api": ("evaluate", "initial", "split_off", "train", "train_many", "unlearn"),
    "engine.batches": ("PLAIN_VIEWS",),
    "engine.predict": ("logits_many",),
    "engine.run": ("Result", "run"),
    "engine.saved": ("load_variables",),
    "errors": ("CheckpointError", "ConfigError", "DataError", "DivergedError", "JunlearnError"),
    "experiment.own_records": ("write_record",),
    "experiment.own_scores": ("entanglement", "memorisation", "worst_case"),
    "interactive.comparing": ("compare_methods",),
    "interactive.method_options": ("options",),
    "many": ("Many", "pick"),
    "methods": ("METHODS",),
    "metrics.evaluation": ("Evaluation",),
    "models": ("MODELS",),
    "models.weight_torch": ("from_torch", "to_torch"),
    "parts": ("class_statistics", "example_scores"),
    "plugins.registry": ("register",),
    "reports": ("plots",),
    "reports.compared": ("compare",),
    "reports.tables": ("summary",),
    "scenarios": ("ranking",),
    "types": (
        "Batch",
        "Data",
        "Dataset",
        "Feed",
        "Method",
        "Model",
        "Split",
        "Stage",
        "Variables",
    ),
}
"""What the imports above say to a type checker: the public names of each module."""

_HOME = {name: f"{__name__}.{module}" for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """A public name, or a module of the package, imported now (PEP 562)."""
    own = f"{__name__}.{name}"
    if name in _HOME:
        # As `from home import name`, which finds modules too.
        found = getattr(__import__(_HOME[name], fromlist=[name]), name)
    elif not name.startswith("_") and importlib.util.find_spec(own) is not None:
        found = importlib.import_module(own)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """The import of the module `junlearn.train` would put it in the place of the function of that name."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
