"""From indices to network input, inside the compiled step."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from junlearn.engine.augment import make_views
from junlearn.errors import unknown
from junlearn.parts.feeds import is_feed
from junlearn.types import Array, Batch, Data, Feed, Key, PyTree, Sources, View

__all__ = ["PLAIN_VIEWS", "Keys", "Rows", "Spec", "gather", "pixel_range", "specify", "view_of"]

PLAIN_VIEWS: Mapping[str, View] = make_views((0.0,), (1.0,), None, "none")
"""For arrays without a dataset: uint8 scaled to [0, 1], float as it is, no augmentation."""

Rows = list[tuple[Any, ...]]
"""(index, mask) of every Feed of a tree, or (index, mask, slot), in tree order; [T,B] for an epoch, [B] for a step."""


Keys = tuple[Key, Key]
"""What randomness of the views comes from: the key of the epoch, and the frozen one of slots."""


def view_of(views: Mapping[str, View], source: str, view: str) -> View:
    """The view of a source: its own of that name, where there is one, else the one for all sources."""
    own = f"{source}/{view}"
    if own in views:
        return views[own]
    if view not in views:
        raise unknown("view", view, views)
    return views[view]


def pixel_range(data: Data, view: View) -> tuple[Array, Array]:
    """The network's input at a black and at a white pixel, float32[1,1,1,C] each.

    Of images whose pixels are all so; where the view draws a trigger, the others count. White is 255 of whole numbers
    and 1 of others.
    """
    one = jax.tree.map(lambda column: column[:1], data)
    white = 255 if jnp.issubdtype(data.x.dtype, jnp.integer) else 1
    keys = jax.random.split(jax.random.key(0), 1)
    dark, light = (view(one._replace(x=jnp.full_like(one.x, v)), keys) for v in (0, white))
    return dark.min((0, 1, 2), keepdims=True), light.max((0, 1, 2), keepdims=True)


class Spec(NamedTuple):
    """The part of a tree of feeds that is known when the step is compiled."""

    structure: Any
    sources: tuple[str, ...]
    views: tuple[str, ...]

    def shown(self, views: Mapping[str, View]) -> tuple[tuple[str, View], ...]:
        """Those of `views` that the feeds ask for, each named "SOURCE/VIEW"."""
        asked = dict.fromkeys(zip(self.sources, self.views, strict=True))
        return tuple((f"{source}/{view}", view_of(views, source, view)) for source, view in asked)


def specify(tree: PyTree) -> tuple[Spec, Rows]:
    """Split a tree of feeds into what the compiler knows and the index arrays of the epoch."""
    leaves: list[Feed]
    leaves, structure = jax.tree.flatten(tree, is_leaf=is_feed)
    spec = Spec(structure, tuple(f.source for f in leaves), tuple(f.view for f in leaves))
    return spec, [
        (f.index, f.mask) if f.slot is None else (f.index, f.mask, f.slot) for f in leaves
    ]


def gather(
    spec: Spec,
    rows: Rows,
    sources: Sources,
    views: Mapping[str, View],
    key: Key,
    frozen: Key | None = None,
) -> PyTree:
    """The batch of one step: a Batch at the place of each Feed.

    The random key of an example is `fold_in(key, index)`, with `key` that of the epoch: its augmentation depends on
    neither the layout of the batch nor the number of devices. Where a feed has slots, `fold_in(frozen, slot)` takes
    the place of `key`; `frozen` (by default `key`) is the same in all epochs.
    """
    spread = jax.vmap(jax.random.fold_in, in_axes=(None, 0))

    def batch(name: str, view: str, row: tuple[Array, ...]) -> Batch:
        index, mask = row[:2]
        slot = row[2] if len(row) == 3 else None
        picked = sources[name].take(index)
        if slot is None:
            keys = spread(key, index)
        else:
            slot_keys = spread(key if frozen is None else frozen, slot)
            keys = jax.vmap(jax.random.fold_in)(slot_keys, index)
        return Batch(view_of(views, name, view)(picked, keys), picked.y, index, mask, slot)

    return jax.tree.unflatten(
        spec.structure,
        [
            batch(name, view, row)
            for name, view, row in zip(spec.sources, spec.views, rows, strict=True)
        ],
    )
