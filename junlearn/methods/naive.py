"""Naive: no unlearning. The original network as it is, the row that every correction is measured from.

Setting: no data at all.

    (1)  theta = theta0

Defaults: it has no fields.

Deviation: the released code of Corrective Machine Unlearning (arXiv 2402.14015) calls fine-tuning on the retain set by
this name; that is `cf_k` with k=-1. The paper's row of this name is the original.
"""

from dataclasses import dataclass
from typing import NamedTuple

from junlearn.types import Key, Method, Model, Sources, Space, Split, Variables

__all__ = ["NEEDS", "SPACE", "Config", "State", "make"]

NEEDS: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Config:
    """There is nothing to choose."""


SPACE: Space = {}


class State(NamedTuple):
    """Nothing but the weights."""

    variables: Variables


def make(config: Config, model: Model) -> Method:
    """No stages."""

    def init(key: Key, variables: Variables, sources: Sources, split: Split) -> State:
        return State(variables)

    return Method(init, lambda split: [], lambda state: state.variables)
