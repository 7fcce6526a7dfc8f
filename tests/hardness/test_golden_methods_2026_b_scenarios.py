"""Parity with reference numbers of scores of examples, of the groups by them, and of the search for the worst case."""

import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.hardness import bilevel, entanglement, memorisation
from junlearn.scenarios import ranking
from junlearn.types import Data, Feed
from tests.golden_nets import VIEWS, close, network, params

pytestmark = pytest.mark.parity


def test_memorisation_and_its_groups(golden):
    case = golden("methods_2026_b/memorisation_groups")
    inside = case["in_training"]
    # The reference is in float32.
    found = memorisation.memorisation(inside, case["correct_train"])
    np.testing.assert_allclose(found, case["memorization"], atol=2e-7)
    found = memorisation.influence(inside, case["correct_test"])
    np.testing.assert_allclose(found, case["influence"], atol=2e-7)
    for name, stored in (("high", "high"), ("low", "low"), ("medium", "mid")):
        rows = ranking.group(case["score"], name, len(case[stored]), 0.5)
        np.testing.assert_array_equal(rows, case[stored])


def test_groups_by_distance(golden):
    case = golden("methods_2026_b/memorisation_groups")
    rows = ranking.parts(entanglement.distances(case["embedding"]), int(case["n_groups"]))
    np.testing.assert_array_equal(rows[:, : int(case["take"])], case["distance_groups"])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_entanglement_score(golden, float64, dtype):
    case = golden("methods_2026_b/memorisation_groups")
    case = {n: a.astype(dtype) if a.dtype == np.float64 else a for n, a in case.items()}
    model, variables = network("cnn", case)
    embedded = []
    for name in ("retain", "forget"):
        x = case[f"x_{name}"]
        sources = {"train": Data(x, np.zeros(len(x), np.int32))}
        embedded.append(
            entanglement.embeddings(model, variables, sources, view=VIEWS["eval"], batch_size=7)
        )
    tolerance = 1e-9 if dtype == "float64" else 1e-4
    for size, end in ((None, ""), (int(case["es_batch_size"]), "_released")):
        found = entanglement.between(*embedded, size)
        np.testing.assert_allclose(found, case[f"inter{end}"], rtol=tolerance)
        found = entanglement.score(*embedded, size)
        np.testing.assert_allclose(found, case[f"es{end}"], rtol=tolerance)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_worst_case(golden, float64, dtype):
    case = golden("methods_2026_b/worst_case_mlp")
    case = {n: a.astype(dtype) if a.dtype == np.float64 else a for n, a in case.items()}
    tolerance = 1e-9 if dtype == "float64" else 1e-4
    model, variables = network("mlp", case)
    data = Data(jnp.asarray(case["x_retain"]), jnp.asarray(case["y_retain"]))
    rounds, size = int(case["rounds"]), int(case["size"])
    w = case["w0"]
    for number, rows in enumerate(np.split(case["batches"], rounds), start=1):
        order = Feed(np.maximum(rows, 0).astype(np.int32), rows >= 0)
        moved = bilevel.inner(
            model, variables, data, w, [order], float(case["lr_inner"]), VIEWS["eval"]
        )
        close(moved.params, params("mlp", case, f"_inner{number}"), rtol=tolerance)
        losses = bilevel.losses_of(model, moved, data, VIEWS["eval"])
        close(losses, case[f"losses{number}"], rtol=tolerance)
        w = bilevel.upper(w, losses, size, float(case["lr_upper"]), float(case["gamma"]))
        np.testing.assert_allclose(w, case["w_rounds"][number - 1], atol=2e-5)
        np.testing.assert_allclose(w @ losses, case["objective"][number - 1], rtol=1e-4)
        chosen = np.flatnonzero(bilevel.binary(w, size))
        np.testing.assert_array_equal(chosen, case["selected_rounds"][number - 1])
        w = case["w_rounds"][number - 1]


def test_projection(golden):
    case = golden("methods_2026_b/worst_case_mlp")
    for budget, reference in zip(case["simplex_budget"], case["simplex_out"], strict=True):
        found = bilevel.project(case["simplex_in"], int(budget))
        np.testing.assert_allclose(found, reference, atol=2e-5)
