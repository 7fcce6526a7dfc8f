"""Machine unlearning for image classifiers in JAX: make a network forget chosen training examples, and measure it."""

__version__ = "0.1.0"

from junlearn import interrupts  # noqa: F401 - first: it handles Ctrl-C while the others take seconds
from junlearn.api import evaluate, initial, split_off, train, train_many, unlearn
from junlearn.errors import CheckpointError, ConfigError, DataError, DivergedError, JunlearnError
from junlearn.many import Many, pick
from junlearn.own_records import write_record
from junlearn.run import Result, run
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
from junlearn.weights import load_variables

__all__ = [
    "Batch",
    "CheckpointError",
    "ConfigError",
    "Data",
    "DataError",
    "Dataset",
    "DivergedError",
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
    "evaluate",
    "initial",
    "load_variables",
    "pick",
    "run",
    "split_off",
    "train",
    "train_many",
    "unlearn",
    "write_record",
]
