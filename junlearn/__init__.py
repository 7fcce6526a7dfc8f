"""Machine unlearning for image classifiers in JAX: make a network forget chosen training examples, and measure it."""

__version__ = "0.1.0"

# First: it handles Ctrl-C while the others take seconds.
from junlearn.engine import interrupts  # noqa: F401

# isort: split
from junlearn.api import evaluate, initial, split_off, train, train_many, unlearn
from junlearn.engine.batches import PLAIN_VIEWS
from junlearn.engine.predict import logits_many
from junlearn.engine.run import Result, run
from junlearn.engine.saved import load_variables
from junlearn.errors import CheckpointError, ConfigError, DataError, DivergedError, JunlearnError
from junlearn.experiment.own_records import write_record
from junlearn.many import Many, pick
from junlearn.methods import METHODS
from junlearn.models import MODELS
from junlearn.parts import class_statistics
from junlearn.plugins.registry import register
from junlearn.reports.tables import summary
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
    "evaluate",
    "initial",
    "load_variables",
    "logits_many",
    "pick",
    "register",
    "run",
    "split_off",
    "summary",
    "train",
    "train_many",
    "unlearn",
    "write_record",
]
