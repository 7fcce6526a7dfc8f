"""Parity of NegMerge with reference numbers, in both precisions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.methods import negmerge
from junlearn.parts import task_vectors
from junlearn.types import Data, Split
from tests.golden_nets import close, network, params

pytestmark = pytest.mark.parity
NONE = np.zeros(0, int)


@pytest.fixture(params=["float64", "float32"])
def rtol(request):
    with jax.enable_x64(request.param == "float64"):
        yield 1e-9 if request.param == "float64" else 1e-4


def forgetting(case):
    """The forget rows of a case as the source, all of them to be forgotten."""
    data = Data(jnp.asarray(case["x_forget"]), jnp.asarray(case["y_forget"]))
    return {"train": data}, Split(np.arange(len(data.y)), NONE, NONE, NONE)


def test_negmerge(golden, rtol):
    case = golden("methods_2026_a/negmerge_mlp")
    model, variables = network("mlp", case)
    candidates = params("mlp", case, "_candidates")
    found = task_vectors.empty(variables)
    for number in range(len(case["W1_candidates"])):
        one = jax.tree.map(lambda stack, number=number: stack[number], candidates)
        found = task_vectors.observe(found, variables, variables._replace(params=one))
    vector = task_vectors.merged(found).params
    close(vector, params("mlp", case, "_merged"), rtol)
    kept = sum(int(jnp.count_nonzero(leaf)) for leaf in jax.tree.leaves(vector))
    assert kept == case["kept"]
    scale = negmerge.choose(
        case["coefficients"], case["forget_metric"], case["control_metric"], case["control_floor"]
    )
    assert scale == case["best_coefficient"]
    method = negmerge.make(negmerge.Config(scale=scale), model)
    sources, split = forgetting(case)
    state = method.init(jax.random.key(0), variables, sources, split)
    state = state._replace(consensus=found)
    close(method.finish(state).params, params("mlp", case, "_out"), rtol)
    assert float(method.report(state)["negmerge/kept"]) == pytest.approx(kept / case["total"])
