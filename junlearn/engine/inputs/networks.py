"""Networks at the door: whether a model is one, takes these images, and has these variables."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from junlearn.engine.batches import PLAIN_VIEWS, view_of
from junlearn.engine.inputs.arrays import finite, kind_of
from junlearn.errors import ConfigError, JunlearnError
from junlearn.memo import remembered
from junlearn.types import Data, Key, Model, PyTree, Sources, Variables, View

__all__ = [
    "Shapes",
    "are_probabilities",
    "channels_first",
    "check_images",
    "check_model",
    "network_of",
    "shapes_of",
    "stack_of",
]

CHANNELS = (1, 3, 4)
"""Numbers of channels that photographs have."""
SUMS = 1e-3
"""How far the sum of probabilities may be from 1."""
SOWN = "intermediates"
"""Flax's collection of what modules leave behind: no part of a network."""


class Shapes(NamedTuple):
    """What a model is made of for images of some shape."""

    variables: Variables
    """With `jax.ShapeDtypeStruct` for arrays."""
    classes: int
    """K, the number of logits."""


def check_model(model: Any, argument: str = "model") -> None:
    """Raises ConfigError for what is no Model, with the way to make one of it."""
    if isinstance(model, Model):
        if not (callable(model.init) and callable(model.apply)):
            raise ConfigError(f"{argument}.init and {argument}.apply must be functions")
        try:
            hash(model)
        except TypeError as error:
            raise ConfigError(
                f"{argument} must be hashable: its layers are a tuple, not a list"
            ) from error
        return
    kind = model if isinstance(model, type) else type(model)
    libraries = {base.__module__.split(".")[0]: base.__module__ for base in kind.__mro__}
    remedy = "junlearn.Model.from_linen(module) and Model.from_nnx(make) make one"
    if "linen" in libraries.get("flax", ""):
        made = f"{kind.__name__}(...)" if isinstance(model, type) else "module"
        remedy = f"junlearn.Model.from_linen({made}) makes one of it"
    elif "nnx" in libraries.get("flax", ""):
        remedy = (
            f"junlearn.Model.from_nnx(lambda rngs: {kind.__name__}(..., rngs=rngs)) makes one of it"
        )
    elif "torch" in libraries:
        remedy = "networks of PyTorch cannot be used; " + remedy
    raise ConfigError(f"{argument} is {kind_of(model)}, not a junlearn.Model: {remedy}")


def shapes_of(
    model: Model,
    sources: Sources,
    views: Mapping[str, View] | None = None,
    argument: str = "data",
    name: str = "model",
) -> Shapes:
    """Make sure that `model` takes the images of all sources, and what it is made of; it is traced, not compiled.

    Raises ConfigError for images of other shapes, a model that fails on them, and a model with a single logit.
    """
    check_model(model, name)
    shown = check_images(model, sources, views, argument)
    shapes = _traced(model, model.input_shape or tuple(sources["train"].x.shape[1:]), shown, name)
    if shapes.classes < 2:
        raise ConfigError(
            f"{name} has {shapes.classes} output: losses and metrics need one for each class, so give a network for "
            "two classes two outputs (a sigmoid of one logit z is the softmax of 0 and z)"
        )
    return shapes


def check_images(
    model: Model,
    sources: Sources,
    views: Mapping[str, View] | None = None,
    argument: str = "data",
) -> tuple[int, ...]:
    """(H, W, C) of what the network gets, the same of every source and as `model.input_shape` says.

    Raises ConfigError, also for images whose channels stand in front.
    """
    views = PLAIN_VIEWS if views is None else views
    shapes = {
        name: _shown(data, view_of(views, name, "eval"), name) for name, data in sources.items()
    }
    many = len(shapes) > 1
    for name, shape in shapes.items():
        where = f"{argument}[{name!r}].x" if many else f"{argument}.x"
        if model.input_shape is not None and shape != tuple(model.input_shape):
            wanted = tuple(model.input_shape)
            raise ConfigError(
                f"{where} has images of {list(shape)}, and the model takes {list(wanted)} (rows, columns, channels): "
                f"{_remedy(shape, wanted)}"
            )
        if model.input_shape is None and channels_first(shape):
            raise ConfigError(
                f"{where} has images of {list(shape)}, which looks like channels in front: rows, columns, channels "
                "are wanted, x.transpose(0, 2, 3, 1); if they are so, give the model input_shape"
            )
        if shape != shapes["train"]:
            raise ConfigError(
                f"{where} has images of {list(shape)}, and those to train on are {list(shapes['train'])}: "
                f"{_remedy(shape, shapes['train'])}"
            )
    return shapes["train"]


def network_of(variables: Any, shapes: Shapes | None, argument: str = "variables") -> Variables:
    """`variables`, or Flax's dict of collections, as finite Variables of a model with these `shapes` (None: of any).

    Raises ConfigError, which names the first array that differs or is not finite.
    """
    inside = getattr(variables, "variables", None)
    if isinstance(inside, Variables):
        many = "junlearn.pick(many, i)" if hasattr(variables, "chunk") else "its .variables"
        raise ConfigError(f"{argument} is {kind_of(variables)}: pass {many}")
    try:
        network = Variables.from_linen(variables)
    except ConfigError as error:
        raise ConfigError(f"{argument}: {error}") from error
    if shapes is not None:
        _compare(network.params, shapes.variables.params, f"{argument}.params")
        own, given = shapes.variables.stats, network.stats
        for name in own if isinstance(own, Mapping) else ():
            if name != SOWN and jax.tree.leaves(own[name]):
                if not isinstance(given, Mapping) or name not in given:
                    raise ConfigError(
                        f"{argument} has no {name!r}, and the model needs it: pass all collections of the network"
                    )
                _compare(given[name], own[name], f"{argument}.stats[{name!r}]")
    for path, leaf in jax.tree.leaves_with_path(network):
        if not finite(leaf if hasattr(leaf, "dtype") else np.asarray(leaf)):
            raise ConfigError(
                f"{argument}{jax.tree_util.keystr(path)} holds NaN or infinite numbers: this network has diverged, "
                "or its file is damaged"
            )
    return network


def stack_of(variables: Any, shapes: Shapes, argument: str = "variables") -> int:
    """How many networks stand side by side in `variables`: the leading axis [S] of every array.

    Raises ConfigError as `network_of` does, and where there is none, or not the same.
    """
    if isinstance(getattr(variables, "variables", None), Variables):
        raise ConfigError(f"{argument} is {kind_of(variables)}: pass its .variables")
    network = network_of(variables, None, argument)
    counts = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(network)}
    if len(counts) != 1 or not all(count and count[0] for count in counts):
        raise ConfigError(
            f"{argument} is not a stack of networks: every array must have a leading axis of the same length, as "
            "those of junlearn.train_many(...).variables have"
        )
    first = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), network)
    _compare(first.params, shapes.variables.params, f"{argument}.params, without its leading axis,")
    ((count,),) = counts
    return count


def are_probabilities(logits: Mapping[str, np.ndarray]) -> bool:
    """Whether outputs float[N,K] on some splits are probabilities: none is negative, and every row sums to 1."""
    rows = [array for array in logits.values() if array.size]
    return bool(rows) and all(
        (array >= 0).all() and (np.abs(array.sum(1, dtype=np.float64) - 1) <= SUMS).all()
        for array in rows
    )


def _shown(data: Data, view: View, source: str) -> tuple[int, ...]:
    """(H, W, C) of what `view` makes of one row."""

    def show(rows: Data, key: Key) -> Any:
        return view(rows, jax.random.split(key, 1))

    rows = jax.tree.map(lambda a: jax.ShapeDtypeStruct((1, *a.shape[1:]), a.dtype), data)
    try:
        seen = jax.eval_shape(show, rows, jax.random.key(0))
        shape = seen.shape
    except JunlearnError:
        raise
    except Exception as error:  # whatever a person's own function raises
        raise ConfigError(
            f"views: the view of {source!r} fails on images of {list(data.x.shape[1:])}: {_first_line(error)}"
        ) from error
    if len(shape) != 4 or shape[0] != 1 or not jnp.issubdtype(seen.dtype, jnp.floating):
        raise ConfigError(
            f"views: the view of {source!r} makes {seen.dtype}{list(shape)} of one image, and float32[1,H,W,C] is "
            "wanted"
        )
    return shape[1:]


@remembered
def _traced(model: Model, example: tuple[int, ...], shown: tuple[int, ...], name: str) -> Shapes:
    """What `init` makes for images of `example`, and how many logits `apply` gives for those that are `shown`."""
    images = (jax.ShapeDtypeStruct((1, *shape), np.float32) for shape in (example, shown))
    try:
        variables = jax.eval_shape(model.init, jax.random.key(0), next(images))
        logits = jax.eval_shape(model.apply, variables, next(images))[0]
        shape = logits.shape
    except JunlearnError:
        raise
    except Exception as error:  # whatever a person's own network raises
        raise ConfigError(
            f"{name} fails on images of {list(shown)} (rows, columns, channels): {_first_line(error)}"
        ) from error
    if len(shape) != 2 or shape[0] != 1:
        raise ConfigError(f"{name} gives {list(shape)} for one image, and logits [1,K] are wanted")
    return Shapes(variables, shape[1])


def _first_line(error: Exception) -> str:
    text = str(error).strip().split("\n")[0]
    return f"{type(error).__name__}: {text}"[:300]


def channels_first(shape: tuple[int, ...]) -> bool:
    """Whether (H, W, C) is more likely (C, H, W): few channels in front of the sides of an image."""
    channels, *sides = shape
    return channels in CHANNELS and min(sides) > 4 and max(sides) <= 4 * min(sides)


def _remedy(shape: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """How images of one shape become images of another."""
    if (*shape[1:], shape[0]) == wanted:
        return "x.transpose(0, 2, 3, 1)"
    if shape[:2] != wanted[:2]:
        return "resize them, or build the model for images of this shape"
    channels = (shape[2], wanted[2])
    if channels == (1, 3):
        return "of grey images it is np.repeat(x, 3, axis=-1)"
    if channels == (4, 3):
        return "of images with transparency it is x[..., :3]"
    if channels == (3, 1):
        return "grey images are their mean over the last axis"
    return "build the model for so many channels"


def _compare(given: PyTree, own: PyTree, where: str) -> None:
    """Raises ConfigError for the first array of the model's `own` tree that is another one in `given`, or is absent."""
    found, wanted = (
        {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree.leaves_with_path(tree)}
        for tree in (given, own)
    )
    for name, leaf in wanted.items():
        shape = tuple(np.shape(found[name])) if name in found else None
        if shape is None:
            near = next((n for n in found if n not in wanted), None)
            also = "" if near is None else f", but {near}"
            raise ConfigError(
                f"{where} has no {name}{also}: these are the variables of another network than the model's"
            )
        if shape != leaf.shape:
            stack = shape[1:] == leaf.shape
            remedy = (
                "of many networks side by side take one, junlearn.pick(many, i)"
                if stack
                else "these are the variables of another network than the model's"
            )
            raise ConfigError(
                f"{where}{name} has shape {list(shape)}, and {list(leaf.shape)} is wanted: {remedy}"
            )
        kind = getattr(found[name], "dtype", np.asarray(found[name]).dtype)
        if jnp.issubdtype(leaf.dtype, jnp.floating) != jnp.issubdtype(kind, jnp.floating):
            raise ConfigError(f"{where}{name} is {kind}, and {leaf.dtype} is wanted")
    if extra := [name for name in found if name not in wanted]:
        raise ConfigError(
            f"{where} has {extra[0]}, and the model has not: these are the variables of another network"
        )
