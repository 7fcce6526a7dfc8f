"""How far the weights of two networks are apart, layer by layer.

With w and v the weights of one layer (a top-level group of parameters) of P numbers in two networks:

    distance       ||w - v||_2
    distance_mean  (1/P) sum_i |w_i - v_i|

Over all layers together, "total", the first one to the retrained network is the verification error of Thudi et al.,
"Unrolling SGD" (2022). Running statistics of BatchNorm are no weights. A small distance to the original says that
little was changed, not that little was forgotten; two retrained networks are far apart as well.
"""

from collections.abc import Mapping

import jax
import numpy as np

from junlearn.metrics.context import Context, Floats
from junlearn.types import PyTree

__all__ = ["distance", "layer_gaps"]


def layer_gaps(params: PyTree, other: PyTree) -> dict[str, Floats] | None:
    """Layer -> w - v as float64[P]; None where the two networks do not have the same layers of the same shapes."""
    if not isinstance(params, Mapping) or not isinstance(other, Mapping):
        return None
    if jax.tree.map(np.shape, params) != jax.tree.map(np.shape, other):
        return None
    gaps = {}
    for layer, group in params.items():
        pairs = zip(jax.tree.leaves(group), jax.tree.leaves(other[layer]), strict=True)
        parts = [np.asarray(a, np.float64) - np.asarray(b, np.float64) for a, b in pairs]
        gaps[layer] = np.concatenate([part.ravel() for part in parts] or [np.zeros(0)])
    return gaps


def distance(context: Context) -> dict[str, float]:
    """Layer-wise distance of the weights to those of the original and of the retrained network.

    `distance/original/LAYER` (L2) and `distance_mean/original/LAYER` (mean absolute difference), the same for
    `retrain`, and `total` in the place of a layer for all of them. Needs `networks`; a reference of another structure
    is left out.
    """
    values: dict[str, float] = {}
    if "model" not in context.networks or not context.model.logits:
        return values
    for reference in ("original", "retrain"):
        if reference not in context.networks:
            continue
        networks = context.networks["model"].params, context.networks[reference].params
        gaps = layer_gaps(*networks)
        if not gaps:
            continue
        for layer, gap in [*gaps.items(), ("total", np.concatenate(list(gaps.values())))]:
            values[f"distance/{reference}/{layer}"] = float(np.linalg.norm(gap))
            values[f"distance_mean/{reference}/{layer}"] = float(
                np.abs(gap).mean() if gap.size else 0
            )
    return values
