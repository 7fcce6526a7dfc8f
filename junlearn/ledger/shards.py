"""SISA in a ledger: a request trains only the shards anew that hold what it names, from their first slice.

The networks of all other shards stay, bit for bit. SISA's own checkpoints between slices are not kept from one request
to the next, so a shard that is concerned begins from its initial weights.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from junlearn.methods import build, sisa
from junlearn.types import Key, Method, Model, Sources, Split, Stage, Variables

__all__ = ["continued"]


def continued(
    section: Any, model: Model, key: Key, sources: Sources, split: Split
) -> tuple[Method, list[int]]:
    """SISA from a network that it left, and the shards that it trains anew.

    `key` is that of `engine.run` for every request of the ledger: it deals the examples to the shards.
    """
    method = build(sisa, section, model)
    first = jax.random.split(key)[0]
    layout = method.init(first, Variables({}, {}), sources, split)
    shard, slices = np.asarray(layout.shard), np.asarray(layout.slice)
    concerned = np.unique(shard[split.forget])
    # What SISA calls forgotten says where a shard restarts, and is not read: its whole first slice says "from there".
    beginnings = np.flatnonzero(np.isin(shard, concerned) & (slices == 0))
    marked = split._replace(forget=beginnings)
    anew = jnp.isin(jnp.arange(section.shards), jnp.asarray(concerned))

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> sisa.State:
        del split
        state = method.init(key, Variables({}, {}), sources, marked)

        def chosen(fresh: jax.Array, old: jax.Array) -> jax.Array:
            return jnp.where(anew.reshape(-1, *[1] * (fresh.ndim - 1)), fresh, old)

        networks = jax.tree.map(chosen, state.variables, variables)
        return state._replace(variables=networks)

    def plan(split: Split) -> list[Stage]:
        del split
        return method.plan(marked)[section.slices :]

    return method._replace(init=init, plan=plan), concerned.tolist()
