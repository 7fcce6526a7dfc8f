"""PRMQ: what is pruned and drawn anew, its loss by hand, its length, and its rounding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.errors import DivergedError
from junlearn.methods import build, prmq
from junlearn.types import Split, Variables
from tests import linear_net
from tests.golden_nets import drive
from tests.linear_net import NONE

PARAMS = {
    "conv": {"kernel": jnp.array([[[[1.0, -2.0]]]]), "bias": jnp.array([0.1, 9.0])},
    "norm": {"scale": jnp.array([0.01, 0.01]), "bias": jnp.array([0.02, 0.02])},
    "head": {"kernel": jnp.array([[-3.0], [0.5]]), "bias": jnp.array([4.0])},
}


def everything(tree):
    return [value for leaf in jax.tree.leaves(tree) for value in np.asarray(leaf).ravel()]


@pytest.mark.parametrize(
    ("share", "gone"),
    [(0.0, set()), (0.5, {0.1, 0.5, 1.0, -2.0}), (1.0, {-3.0, 0.5, 4.0, 1.0, -2.0, 0.1, 9.0})],
)
def test_the_smallest_entries_of_all_layers_together_are_pruned(share, gone):
    after = prmq.pruned(PARAMS, share)
    lost = {
        np.float32(a).item()
        for a, b in zip(everything(PARAMS), everything(after), strict=True)
        if b == 0
    }
    assert lost == {np.float32(value).item() for value in gone}
    jax.tree.map(np.testing.assert_array_equal, after["norm"], PARAMS["norm"])


def test_zeros_of_kernels_are_drawn_and_biases_stay():
    pruned = prmq.pruned(PARAMS, 1.0)
    after = prmq.refilled(pruned, jax.tree.map(jnp.ones_like, PARAMS))
    np.testing.assert_array_equal(after["conv"]["kernel"].ravel(), [1, 1])
    np.testing.assert_allclose(after["head"]["kernel"].ravel(), 1 / np.sqrt([2, 2]), rtol=1e-6)
    assert not after["conv"]["bias"].any() and not after["head"]["bias"].any()
    kept = prmq.refilled(PARAMS, jax.tree.map(jnp.ones_like, PARAMS))
    jax.tree.map(np.testing.assert_array_equal, kept, PARAMS)


def test_a_step_by_hand(float64):
    """The gradient by central differences of the loss, for rare classes that count more."""
    variables, sources, split = linear_net.problem(3, 9)
    config = prmq.Config(
        learning_rate=0.5, weight_decay=0.0, rho=0.0, exponent=0.7, batch_size=16, passes=0.5
    )
    method = prmq.make(config, linear_net.MODEL)
    state = method.init(jax.random.key(0), variables, sources, split)
    x, y = (np.asarray(a)[split.retain] for a in sources["train"][:2])
    w = np.bincount(y, minlength=linear_net.CLASSES)[y] ** -0.7
    other = Variables(jax.tree.map(lambda a: 0.6 * a - 0.1, variables.params), {})

    def entropy(p):
        return -(p * np.log(p)).sum(1)

    def value(kernel, bias):
        p = linear_net.softmax(linear_net.flat(x) @ kernel + bias)
        gap = entropy(p) - entropy(linear_net.softmax(linear_net.logits(variables, x)))
        return -(w * np.log(p[np.arange(len(y)), y])).sum() / w.sum() + (gap**2).mean()

    def slope(place, index):
        ends = []
        for sign in (1, -1):
            moved = [a.copy() for a in linear_net.arrays(other)]
            moved[place][index] += sign * 1e-6
            ends.append(value(*moved))
        return (ends[0] - ends[1]) / 2e-6

    after, metrics = drive(method.plan(split)[-1], state._replace(variables=other), sources)
    np.testing.assert_allclose(metrics[0]["loss"], value(*linear_net.arrays(other)), rtol=1e-9)
    before = linear_net.arrays(other)
    for place, done in enumerate(linear_net.arrays(after.variables)):
        for index in np.ndindex(done.shape):
            expected = before[place][index] - 0.5 * slope(place, index)
            np.testing.assert_allclose(done[index], expected, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize(
    ("passes", "steps"), [(3.2, [3 * 4, 1]), (1.0, [4, 1]), (0.1, [1]), (0.75, [4]), (2.5, [8, 3])]
)
def test_the_number_of_steps(passes, steps):
    """Four batches a pass, and one step more than the whole part of the product."""
    split = Split(np.arange(5), np.arange(5, 35), NONE, NONE)
    method = build("prmq", prmq.Config(passes=passes, batch_size=8), linear_net.MODEL)
    made = [
        stage.epochs * len(stage.feed(np.random.default_rng(0), None).index)
        for stage in method.plan(split)
    ]
    assert made == steps and sum(made) == int(passes * 4) + 1


def test_the_result_has_numbers_of_half_precision():
    variables = Variables(PARAMS, {"var": jnp.array([1.0001, 1e-9])})
    for old, new in zip(*map(jax.tree.leaves, (variables, prmq.halved(variables))), strict=True):
        assert new.dtype == old.dtype
        np.testing.assert_array_equal(new, np.asarray(old).astype(np.float16).astype(old.dtype))
    with pytest.raises(DivergedError, match=r"prmq: .* 70000 in stats\.var\. Set half=false"):
        prmq.halved(variables._replace(stats={"var": jnp.array([70000.0])}))


def test_only_the_end_of_a_run_reads_half():
    variables, sources, split = linear_net.problem(3, 9)
    for half in (True, False):
        method = build("prmq", prmq.Config(half=half), linear_net.MODEL)
        state = method.init(jax.random.key(0), variables, sources, split)
        kernel = state.variables.params["fc"]["kernel"]
        same = (method.finish(state).params["fc"]["kernel"] == kernel).all()
        assert same != half and method.read_at_finish == {"half"}
