"""SVD projection: the rows that layers read, the limits of the two weights, the sample, and the search."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.errors import ConfigError
from junlearn.methods import svd_projection
from junlearn.methods.svd_projection import importance, projection
from junlearn.testing import tiny
from tests.golden_nets import drive
from tests.methods.linear_pairs import LINEAR

TINY = tiny("convnet")


def gram(rng, width=5, rank=5):
    a = rng.normal(size=(rank, width)).astype(np.float32)
    return a.T @ a


def begun(split=TINY.split, **fields):
    method = svd_projection.make(svd_projection.Config(batch_size=64, **fields), TINY.model)
    sources = jax.tree.map(jnp.asarray, TINY.sources)
    return method, method.init(jax.random.key(0), TINY.variables, sources, split), sources


def test_the_inputs_of_a_layer_give_its_output():
    x = jnp.asarray(TINY.sources["train"].x[:3])
    rows = TINY.model.layer_inputs(TINY.variables, x)
    assert set(rows) == {("block1", "conv"), ("fc1",), ("head",)}
    params = TINY.variables.params
    kernel = params["block1"]["conv"]["kernel"]
    convolved = jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    found = rows["block1", "conv"] @ kernel.reshape(-1, kernel.shape[-1])
    np.testing.assert_allclose(found.reshape(convolved.shape), convolved, atol=1e-5)
    logits = rows["head",][:, 0] @ params["head"]["kernel"] + params["head"]["bias"][None]
    np.testing.assert_allclose(logits, TINY.model.apply(TINY.variables, x)[0], atol=1e-5)


@pytest.mark.parametrize("alpha", [0.25, 1.0, 300.0])
def test_importance_is_that_of_the_singular_values(alpha):
    rng = np.random.default_rng(0)
    a = rng.normal(size=(3, 5)).astype(np.float32)
    values, vectors = np.linalg.eigh(a.T @ a)
    q = np.maximum(values, 0) / values.sum()
    wanted = vectors * (alpha * q / ((alpha - 1) * q + 1)) @ vectors.T
    np.testing.assert_allclose(importance(jnp.asarray(a.T @ a), alpha), wanted, atol=2e-4)
    assert not importance(jnp.zeros((2, 2)), alpha).any()


def test_limits():
    rng = np.random.default_rng(1)
    full, forget = gram(rng), gram(rng, rank=2)
    weak = projection(full, forget, 100.0, 1e-7)
    np.testing.assert_allclose(weak, np.eye(5), atol=1e-5)
    # All directions are in use on the retain set, and count wholly: none can be taken out.
    np.testing.assert_allclose(projection(full, forget, 1e6, 100.0), np.eye(5), atol=1e-2)
    # Directions of D_f alone are gone.
    gone = projection(np.diag([1.0, 1.0, 0, 0, 0]), np.diag([0, 0, 0, 1.0, 1.0]), 1e4, 1e6)
    np.testing.assert_allclose(gone, np.diag([1.0, 1, 1, 0, 0]), atol=1e-2)


def test_the_sample_has_as_many_of_each_class():
    labels = TINY.sources["train"].y
    _, state, _ = begun(retain_count=14, forget_count=5)
    np.testing.assert_array_equal(np.bincount(labels[state.retain_rows]), [4, 0, 4, 4])
    assert set(np.asarray(state.retain_rows)) <= set(TINY.split.retain)
    assert len(state.forget_rows) == 5 and set(labels[state.forget_rows]) == {1}
    assert len(begun(retain_count=14, balanced=False)[1].retain_rows) == 14


def test_the_search_takes_the_best_pair():
    method, state, sources = begun(
        search=True, retain_alphas=(1.0, 100.0), forget_alphas=(0.5, 30.0)
    )
    for stage in method.plan(TINY.split):
        state, _ = drive(stage, state, sources)
    share = np.asarray(state.right) / np.array([[len(state.retain_rows)], [len(state.forget_rows)]])
    pairs = [(r, f) for r in (1.0, 100.0) for f in (0.5, 30.0)]
    wanted = pairs[int(np.argmax(share[0] * (1 - share[1])))]
    report = method.report(state)
    assert tuple(float(value) for value in report.values()) == wanted
    fixed, *_ = begun(alpha_retain=wanted[0], alpha_forget=wanted[1])
    for ours, other in zip(
        jax.tree.leaves(method.finish(state)), jax.tree.leaves(fixed.finish(state)), strict=True
    ):
        np.testing.assert_array_equal(ours, other)


def test_what_it_reads_is_what_it_needs():
    Config = svd_projection.Config
    assert svd_projection.needs(Config()) == svd_projection.NEEDS
    assert svd_projection.needs(Config(balanced=False)) == {"forget.x", "retain.x"}
    assert "forget.y" in svd_projection.needs(Config(search=True))


def test_bad_input():
    with pytest.raises(ConfigError, match="make the model by"):
        svd_projection.make(svd_projection.Config(), LINEAR)
    with pytest.raises(ConfigError, match="an entry each"):
        svd_projection.make(svd_projection.Config(search=True, forget_alphas=()), TINY.model)
