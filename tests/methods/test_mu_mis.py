"""MU-Mis: a step worked out in numpy on a network whose input gradients are known, the draws and the stop."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.engine.run import run
from junlearn.methods import mu_mis
from junlearn.types import Data, Model, Split, Variables

NONE = np.zeros(0, int)
RATE = 0.01


def linear(classes=2):
    """f(x) = x W on images of 2 x 2 pixels: the input gradient of a logit is a column of W."""

    def apply(variables, x, *, train=False, key=None, mask=None):
        flat = x.reshape(len(x), -1)
        return flat @ variables.params["head"]["kernel"], {"embedding": flat}, variables.stats

    rng = np.random.default_rng(5)
    kernel = rng.normal(size=(4, classes)).astype(np.float32)
    data = Data(rng.normal(size=(9, 2, 2, 1)).astype(np.float32), np.arange(9) % classes)
    data = data._replace(y=data.y.astype(np.int32))
    split = Split(np.arange(5), np.arange(5, 9), NONE, NONE)
    model = Model(lambda key, x: None, apply, ("head",))
    return model, Variables({"head": {"kernel": kernel}}, {}), {"train": data}, split


def unlearn(problem, **fields):
    model, variables, sources, split = problem
    method = mu_mis.make(mu_mis.Config(**{"learning_rate": RATE, **fields}), model)
    return run(method, model, variables, sources, split, key=jax.random.key(0))


def test_two_steps_by_hand():
    """Two classes: the other one is known. Of each pair of columns one shrinks and one grows, by its own length."""
    problem = linear()
    done = unlearn(problem, epochs=2, batch_size=8)
    kernel, labels = problem[1].params["head"]["kernel"], problem[2]["train"].y[:5]
    # d/dW of |W_y|^2 - |W_c|^2, mean over the rows.
    share = np.array([np.mean(labels == k) - np.mean(labels != k) for k in range(2)])
    squares = np.square(kernel).sum(0)
    own, other = squares[labels], squares[1 - labels]
    first = done.history[0]
    assert first["loss"] == pytest.approx((own - other).mean(), rel=1e-5)
    assert first["own_sensitivity"] == pytest.approx(np.sqrt(own).mean(), rel=1e-5)
    assert first["other_sensitivity"] == pytest.approx(np.sqrt(other).mean(), rel=1e-5)
    expected = kernel * (1 - 2 * RATE * share) ** 2
    np.testing.assert_allclose(done.variables.params["head"]["kernel"], expected, rtol=1e-5)


def test_the_other_class_is_drawn_uniformly_in_every_step():
    """Never the own one. Orthogonal columns of known lengths tell which class it was."""
    model, _, sources, _ = linear(classes=4)
    kernel = np.diag([1.0, 2.0, 3.0, 4.0]).astype(np.float32)
    split = Split(np.array([2]), np.arange(5, 9), NONE, NONE)
    problem = model, Variables({"head": {"kernel": kernel}}, {}), sources, split
    done = unlearn(problem, learning_rate=1e-30, epochs=240)
    lengths = np.array([entry["other_sensitivity"] for entry in done.history])
    drawn, counts = np.unique(lengths.round(4), return_counts=True)
    np.testing.assert_array_equal(drawn, [1, 2, 4])
    assert counts.min() > 55  # 80 each; three standard deviations are 22


def test_each_example_has_a_draw_of_its_own():
    model, _, sources, split = linear(classes=4)
    kernel = np.diag([1.0, 2.0, 3.0, 4.0]).astype(np.float32)
    sources["train"].y[:] = 0
    problem = model, Variables({"head": {"kernel": kernel}}, {}), sources, split
    done = unlearn(problem, learning_rate=1e-30, epochs=20)
    means = {round(5 * entry["other_sensitivity"], 3) for entry in done.history}
    # Sums of five draws of 2, 3 and 4: of one draw for all, they would be multiples of 5.
    assert any(total % 5 > 0.01 for total in means)


@pytest.mark.parametrize(
    ("values", "share", "stops"),
    [
        ([4.0, 2.0, 3.0], 0.5, 2),  # past the minimum and above half of the start
        ([4.0, 1.0, 1.5, 2.5], 0.5, 3),  # past it, but still below
        ([4.0, 3.0, 2.5, 2.1], 0.5, None),  # it falls
        ([4.0, 5.0], 0.5, 1),  # it never fell
        ([4.0, 2.0, 2.0, 2.0], 0.1, None),  # equal is not past it
    ],
)
def test_when_it_stops(values, share, stops):
    watch = mu_mis.Watch(*map(jnp.float32, (0, np.inf, np.inf, 0)), jnp.int32(0), jnp.int32(8))
    stopped = None
    for epoch, value in enumerate(values):
        # Two ragged batches whose rows have this mean.
        for mean, rows in ((value + 0.3, 5), (value - 0.5, 3)):
            watch = watch.with_batch(jnp.float32(mean), jnp.int32(rows))
        assert float(watch.latest) == pytest.approx(value)
        if stopped is None and watch.recovered(share):
            stopped = epoch
    assert stopped == stops


def test_the_rule_ends_a_run():
    """The other column only grows here, so that the second epoch is above the first."""
    assert len(unlearn(linear(), epochs=6, stop_above=0.5).history) == 2
    assert len(unlearn(linear(), epochs=6, stop_above=50.0).history) == 6
    assert len(unlearn(linear(), epochs=6).history) == 6


def test_running_statistics_stay(convnet):
    method = mu_mis.make(mu_mis.Config(epochs=2, batch_size=5, learning_rate=0.1), convnet.model)
    done = run(method, *convnet[:4], key=jax.random.key(0))
    jax.tree.map(np.testing.assert_array_equal, done.variables.stats, convnet.variables.stats)
    moved = [
        (after != before).any()
        for after, before in zip(
            *(jax.tree.leaves(v.params) for v in (done.variables, convnet.variables)), strict=True
        )
    ]
    assert sum(moved) > len(moved) / 2
