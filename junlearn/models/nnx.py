"""The adapter of NNX modules: anyone's `flax.nnx.Module` as a `Model` of pure functions over plain dicts."""

import inspect
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from junlearn.errors import ConfigError
from junlearn.models.calling import check_layers, dotted, flags, no_key, unpack, zero_padding
from junlearn.types import Array, Key, Model, PyTree, Variables

__all__ = ["from_nnx", "update", "variables_of"]


def from_nnx(
    make: Callable[[nnx.Rngs], nnx.Module], *, layers: tuple[str, ...] | None = None
) -> Model:
    """Wrap `make(rngs) -> nnx.Module`: `nnx.Param` are the parameters, other variables the statistics.

    The module is put in train or eval mode by its own `train()` and `eval()`. `layers` names its
    attributes with parameters from input to output, the head last; with None `Model.layers` is empty.

    Raises ConfigError where the module holds an `nnx.BatchNorm` but takes no `mask` (nothing could
    then keep padded rows out of the statistics), where it returns something else than logits or
    `(logits, features)`, where `layers` names a group that does not exist, and where it holds random
    streams and is applied in train mode without a key.
    """
    abstract = nnx.eval_shape(lambda: make(nnx.Rngs(0)))
    graph, abstract_params, abstract_rngs, abstract_stats = _parts(abstract)
    call = type(abstract).__call__
    norms = [path for path, part in nnx.iter_modules(abstract) if isinstance(part, nnx.BatchNorm)]
    if norms and "mask" not in inspect.signature(call).parameters:
        raise ConfigError(
            f"{type(abstract).__name__} holds an nnx.BatchNorm ({dotted(norms[0])}) but its __call__ "
            "takes no `mask`: take `mask: bool[B] | None` and pass it to the BatchNorm, "
            "reshaped to broadcast over x"
        )
    check_layers(layers, _plain(abstract_params))

    def init(key: Key, x: Array) -> Variables:
        del x
        return variables_of(make(nnx.Rngs(key)))

    def apply(
        variables: Variables,
        x: Array,
        *,
        train: bool | Collection[str] = False,
        key: Key | None = None,
        mask: Array | None = None,
    ) -> tuple[Array, dict[str, Array], PyTree]:
        if train and key is None and jax.tree.leaves(abstract_rngs):
            raise no_key(abstract, "it holds random streams")
        module = nnx.merge(
            graph,
            _filled(abstract_params, variables.params),
            _seeded(abstract_rngs, jax.random.key(0) if key is None else key),
            _filled(abstract_stats, variables.stats),
        )
        module.train() if train else module.eval()
        if not isinstance(train, bool):
            for name in set(layers or ()) - set(train):
                getattr(module, name).eval()
        head_input: list[Array] = []
        with _recorded(module, layers[-1] if layers else None, head_input):
            out = module(zero_padding(x, mask), **flags(call, bool(train), mask))
        logits, features = unpack(abstract, out, head_input)
        return logits, features, _plain(_parts(module)[3]) if train else variables.stats

    return Model(init, apply, layers or ())


def variables_of(module: nnx.Module) -> Variables:
    """The parameters and statistics of an NNX module, as those of its `from_nnx` are; random streams are left out.

    Raises ConfigError for anything else than an NNX module.
    """
    _, params, _, stats = _parts(_checked(module))
    return Variables(_plain(params), _plain(stats))


def update(module: nnx.Module, variables: Variables) -> None:
    """Put the arrays of `variables` into an NNX module, in place: the way back from `variables_of`.

    Raises ConfigError, and changes nothing, where their names or shapes are not those of the module.
    """
    _, params, _, stats = _parts(_checked(module))
    for kind, state, values in zip(variables._fields, (params, stats), variables, strict=True):
        own, given = (
            {jax.tree_util.keystr(path): jnp.shape(leaf) for path, leaf in leaves}
            for leaves in map(jax.tree.leaves_with_path, (_plain(state), values))
        )
        different = sorted(own.items() ^ given.items())
        if different:
            name, _ = different[0]
            raise ConfigError(
                f"{kind}{name} is {given.get(name, 'absent')}, and in {type(module).__name__} it is "
                f"{own.get(name, 'absent')}: these are the variables of another network"
            )
    nnx.update(module, _filled(params, variables.params), _filled(stats, variables.stats))


def _checked(module: nnx.Module) -> nnx.Module:
    if not isinstance(module, nnx.Module):
        raise ConfigError(f"an NNX module is needed, not {type(module).__name__}")
    return module


def _parts(module: nnx.Module) -> tuple[nnx.GraphDef, nnx.State, nnx.State, nnx.State]:
    """Graph, parameters, random streams and statistics of an NNX module; what it sows is left out."""
    graph, *states = nnx.split(module, nnx.Param, nnx.RngState, nnx.Intermediate, ...)
    params, rngs, _, stats = states
    return graph, params, rngs, stats


def _plain(state: nnx.State) -> dict[str, PyTree]:
    """An NNX state as nested dicts of arrays; the indices of lists become strings."""

    def text(tree: PyTree) -> PyTree:
        if not isinstance(tree, dict):
            return tree
        return {str(name): text(branch) for name, branch in tree.items()}

    return text(nnx.to_pure_dict(state))


def _filled(state: nnx.State, values: PyTree) -> nnx.State:
    """A copy of the NNX `state` that holds the arrays of `values`, nested dicts as from `_plain`."""
    copy = jax.tree.map(lambda leaf: leaf, state)
    nnx.replace_by_pure_dict(copy, values)
    return copy


def _seeded(rngs: nnx.State, key: Key) -> nnx.State:
    """Random streams of the shape of `rngs` that start anew from `key`."""
    leaves, tree = jax.tree.flatten(rngs)
    fresh = [
        jax.random.split(jax.random.fold_in(key, number), leaf.shape)
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        else jnp.zeros(leaf.shape, leaf.dtype)
        for number, leaf in enumerate(leaves)
    ]
    return jax.tree.unflatten(tree, fresh)


@contextmanager
def _recorded(module: nnx.Module, head: str | None, head_input: list[Array]) -> Iterator[None]:
    """Keeps in `head_input` what the attribute `head` of an NNX module is called with."""
    if head is None:
        yield
        return
    layer = getattr(module, head)

    def record(x: Array, *args: Any, **kwargs: Any) -> Any:
        head_input[:] = [x]
        return layer(x, *args, **kwargs)

    setattr(module, head, record)
    yield
    setattr(module, head, layer)
