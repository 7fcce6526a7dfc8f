"""What an audit looks at in a network: its outputs on fixed rows, which are all that is kept of most networks."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from junlearn.audit.bank import Bank, Place
from junlearn.audit.inquiry import Inquiry, Rows
from junlearn.engine import predict
from junlearn.engine.abreast import One
from junlearn.engine.batches import view_of
from junlearn.engine.network_file import NetworkFile
from junlearn.errors import ConfigError
from junlearn.experiment import provenance
from junlearn.metrics.probabilities import logit_scaled_confidence
from junlearn.types import Model, Variables

__all__ = ["Look", "keep", "labels_on", "logits_on"]

DISTINCT = 16
"""Different logits from which on it is no accident that all of them are numbers of half precision."""


class Look(NamedTuple):
    """The examples on which outputs are kept, and in which form."""

    train: np.ndarray
    """int[] into "train"."""
    test: np.ndarray
    """int[] into "test"."""
    margins: bool = False
    """Whether only the margin and the predicted class are kept."""

    @staticmethod
    def at(rows: Rows, margins: bool) -> "Look":
        """Just these examples, in the order that `rows.columns` counts."""
        return Look(np.concatenate([rows.forget, rows.retain]), rows.test, margins)


def keep(
    inquiry: Inquiry,
    bank: Bank,
    place: Place,
    one: One,
    look: Look,
    about: Mapping[str, Any],
    weights: bool,
    code: Mapping[str, str],
) -> None:
    """Look at a network and write its file."""
    made: dict[str, Any] = {
        "ensemble": place.ensemble,
        "number": place.number,
        "how": one.how,
        **about,
        **provenance.now(code),
    }
    if one.diverged is not None or one.variables is None:
        made["diverged"] = one.diverged or "not finite"
        bank.write(place, NetworkFile(made, {}), one.seconds)
        return
    found = logits_on(inquiry, one.model or inquiry.model, one.variables, look)
    if not np.isfinite(found).all():
        made["diverged"] = "its logits are NaN or infinite"
        bank.write(place, NetworkFile(made, {}), one.seconds)
        return
    outputs = {"logits": found}
    if look.margins:
        labels = labels_on(inquiry, look)
        phi = logit_scaled_confidence(found.astype(np.float64), labels)
        outputs = {"phi": phi, "predicted": found.argmax(axis=1).astype(np.int32)}
    leaves = tuple(jax.tree.leaves(one.variables)) if weights else ()
    bank.write(place, NetworkFile(made, outputs, leaves), one.seconds)


def logits_on(inquiry: Inquiry, model: Model, variables: Variables, look: Look) -> np.ndarray:
    """float32[n,K] of a network: the training rows, then the test rows.

    Raises ConfigError where the head computes in half precision, whose steps are coarser than what is measured.
    """
    variables = jax.tree.map(jnp.asarray, variables)
    parts = []
    for source, rows in (("train", look.train), ("test", look.test)):
        if len(rows):
            view = view_of(inquiry.views, source, "eval")
            parts.append(predict.logits(model, variables, inquiry.sources[source], rows, view=view))
    found = np.concatenate(parts).astype(np.float32)
    for half in (jnp.bfloat16, jnp.float16):
        with np.errstate(over="ignore"):
            same = found.astype(half).astype(np.float32) == found
        if same.all() and len(np.unique(found)) > DISTINCT:
            raise ConfigError(
                f"audit: the network's logits have the steps of {np.dtype(half).name}, too coarse to compare laws by; "
                'its head must compute in float32 (precision = "float32")'
            )
    return found


def labels_on(inquiry: Inquiry, look: Look) -> np.ndarray:
    """int[n]: the labels that training sees, of the same rows."""
    parts = [
        np.asarray(inquiry.sources[source].y)[rows]
        for source, rows in (("train", look.train), ("test", look.test))
        if len(rows)
    ]
    return np.concatenate(parts)
