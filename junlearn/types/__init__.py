"""The contract: what a model, a dataset, a split, a feed and a method are.

Shape vocabulary: N examples, B batch, T steps, K classes, D features, S seeds, H W C image axes.
"""

from junlearn.types.aliases import Array, Key, Metrics, PyTree
from junlearn.types.data import Data, Dataset, Sources, Split, View
from junlearn.types.entries import Component, Preset, Scoring
from junlearn.types.method import Batch, Feed, Method, Stage
from junlearn.types.network import Model, Variables
from junlearn.types.space import Choice, Range, Space

__all__ = [
    "Array",
    "Batch",
    "Choice",
    "Component",
    "Data",
    "Dataset",
    "Feed",
    "Key",
    "Method",
    "Metrics",
    "Model",
    "Preset",
    "PyTree",
    "Range",
    "Scoring",
    "Sources",
    "Space",
    "Split",
    "Stage",
    "Variables",
    "View",
]
