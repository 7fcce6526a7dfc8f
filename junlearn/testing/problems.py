"""Tiny problems that every method can run on in a moment: four classes of random images, one class to be forgotten."""

from functools import cache
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from junlearn.models import MODELS
from junlearn.types import Data, Model, Sources, Split, Variables

__all__ = [
    "IMPOSSIBLE",
    "Problem",
    "initial_weights",
    "make_problem",
    "shortened",
    "tiny",
    "validated",
]

CLASSES = 4
FORGOTTEN = 1
"""The class that is forgotten."""
DELETED = 3
"""Training images that an earlier request was for."""
SURROGATE = 22
"""Images of the surrogate set."""
VALIDATION = 15
"""Images of the validation set."""
IMPOSSIBLE = -(10**6)
"""A label that no class has: whoever reads it gets a wrong result."""


class Problem(NamedTuple):
    """A network with random weights on a few random images of four classes, one of them to be forgotten."""

    model: Model
    variables: Variables
    sources: Sources
    """"train", "test" and "surrogate", and for the methods that read it "validation"; the surrogate images have the
    label `IMPOSSIBLE`."""
    split: Split


def make_problem(
    name: str, size: int = 8, train: int = 46, test: int = 14, **settings: Any
) -> Problem:
    """The network `name` of `junlearn.models.MODELS`, with `settings` of its Config, on images [size,size,1].

    `train` and `test` are numbers of images. The same arguments give the same numbers.
    """
    rng = np.random.default_rng(7)
    component = MODELS[name]
    shape = (size, size, 1)
    model = component.make(component.Config(**settings), CLASSES, shape)
    sources = {"train": _data(rng, train, shape), "test": _data(rng, test, shape)}
    unknown = np.full(SURROGATE, IMPOSSIBLE, np.int32)
    sources["surrogate"] = _data(rng, SURROGATE, shape)._replace(y=unknown)
    variables = model.init(jax.random.key(3), model.example(sources))
    forget, forget_test = sources["train"].y == FORGOTTEN, sources["test"].y == FORGOTTEN
    split = Split(
        np.flatnonzero(forget),
        np.flatnonzero(~forget),
        np.flatnonzero(forget_test),
        np.flatnonzero(~forget_test),
        (FORGOTTEN,),
    )
    return Problem(model, variables, sources, split)


def _data(rng: np.random.Generator, count: int, shape: tuple[int, ...]) -> Data:
    y = np.resize(np.arange(CLASSES, dtype=np.int32), count)
    x = rng.normal(size=(count, *shape)).astype(np.float32) + y[:, None, None, None] / 2
    return Data(x, y)


def shortened(problem: Problem) -> Problem:
    """The problem after an earlier request: the last retain examples are in neither set."""
    split = problem.split
    return problem._replace(split=split._replace(retain=split.retain[:-DELETED]))


def validated(problem: Problem) -> Problem:
    """The problem with a validation set, of images like its others."""
    shape = problem.sources["train"].x.shape[1:]
    unseen = _data(np.random.default_rng(8), VALIDATION, shape)
    return problem._replace(sources=problem.sources | {"validation": unseen})


@cache
def tiny(kind: Literal["mlp", "convnet"]) -> Problem:
    """The problem of the checks: an MLP, or a convolution with BatchNorm and a dense layer; images of 4 x 4."""
    if kind == "mlp":
        return make_problem("mlp", size=4)
    return make_problem("small_cnn", size=4, channels=(4,), embedding=8)


def initial_weights(problem: Problem) -> Variables:
    """Weights that the training of the problem's network may have begun from."""
    return jax.jit(problem.model.init)(jax.random.key(4), problem.model.example(problem.sources))
