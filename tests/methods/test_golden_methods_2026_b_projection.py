"""Parity of SVD projection with reference numbers, in both precisions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.methods import svd_projection
from junlearn.methods.svd_projection import importance, projection
from junlearn.types import Data, Split
from tests.golden_nets import close, drive, names, network, params, stats

pytestmark = pytest.mark.parity
NONE = np.zeros(0, int)


def patch_order(matrix, kernel):
    """A matrix over the patches of a convolution from the order (in, kh, kw) of the case to that of the kernel."""
    if kernel.ndim != 4:
        return matrix
    height, width, inputs, _ = kernel.shape
    order = np.arange(len(matrix)).reshape(inputs, height, width).transpose(1, 2, 0).ravel()
    return matrix[np.ix_(order, order)]


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("kind", ["mlp", "cnn"])
def test_svd_projection(golden, kind, precision):
    case = golden(f"methods_2026_b/svd_{kind}")
    with jax.enable_x64(precision == "float64"):
        rtol = 1e-9 if precision == "float64" else 1e-4
        model, variables = network(kind, case)
        images = np.concatenate([case["x_retain"], case["x_forget"]])
        labels = np.concatenate([case["y_retain"], case["y_forget"]])
        sources = {"train": Data(jnp.asarray(images), jnp.asarray(labels))}
        retain = np.arange(len(case["y_retain"]))
        split = Split(np.arange(len(retain), len(images)), retain, NONE, NONE)
        config = svd_projection.Config(
            alpha_retain=float(case["alpha_retain"]),
            alpha_forget=float(case["alpha_forget"]),
            balanced=False,
            batch_size=len(retain) - 7,
        )
        method = svd_projection.make(config, model._replace(input_shape=images.shape[1:]))
        state = method.init(jax.random.key(0), variables, sources, split)
        for stage in method.plan(split):
            state, _ = drive(stage, state, sources)
        for (layer, leaf), name in names(kind, case).items():
            if leaf != "kernel":
                continue
            kernel = case[name]
            grams, alphas = (
                (state.retain[layer], state.forget[layer]),
                (config.alpha_retain, config.alpha_forget),
            )
            found = [importance(gram, alpha) for gram, alpha in zip(grams, alphas, strict=True)] + [
                projection(*grams, *alphas)
            ]
            for matrix, key in zip(found, ("M_retain", "M_forget", "P"), strict=True):
                close(matrix, patch_order(case[f"{key}_{name}"], kernel), rtol)
        finished = method.finish(state)
        close(finished.params, params(kind, case, "_out"), rtol)
        close(finished.stats, stats(kind, case, "_out"), rtol)
