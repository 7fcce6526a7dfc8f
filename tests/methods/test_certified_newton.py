"""Certified Newton: its step and noise, and what it claims of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.engine.run import run
from junlearn.errors import ConfigError
from junlearn.methods import certified_newton
from tests import linear_net
from tests.linear_net import MODEL, arrays, flat, gradient, logits, one_hot, softmax

DECAY, DAMPING = 0.1, 0.3
CLAIM = {"distance": 0.01, "epsilon": 0.5, "delta": 1e-5, "std": 0.1}


def unlearned(**fields):
    """The linear network before, and the run."""
    variables, sources, split = linear_net.problem(3, 12)
    config = certified_newton.Config(solver="cg", weight_decay=DECAY, damping=DAMPING, **fields)
    method = certified_newton.make(config, MODEL)
    return (
        (variables, sources["train"], split),
        run(method, MODEL, variables, sources, split, key=jax.random.key(0)),
    )


def step(variables, data, split):
    """Equation 2, dense, as [1 + D, K] with the bias first."""
    x, y = np.asarray(data.x)[split.retain], np.asarray(data.y)[split.retain]
    kernel, bias = arrays(variables)
    theta = np.concatenate([bias[None], kernel])
    slope = np.concatenate([g.reshape(-1, 3) for g in gradient(variables, x, one_hot(y))[::-1]])
    p, rows = softmax(logits(variables, x)), np.concatenate([np.ones((len(x), 1)), flat(x)], 1)
    bent = np.einsum("nk,kl->nkl", p, np.eye(3)) - np.einsum("nk,nl->nkl", p, p)
    h = np.einsum("ni,nkl,nj->ikjl", rows, bent, rows).reshape(theta.size, -1) / len(x)
    matrix = h + (DECAY + DAMPING) * np.eye(theta.size)
    return np.linalg.solve(matrix, (slope + DECAY * theta).ravel()).reshape(theta.shape)


def test_a_newton_step_and_its_noise():
    (variables, data, split), still = unlearned(std=0.0, tolerance=1e-6)
    expected = step(variables, data, split)
    kernel, bias = arrays(variables)
    after, moved = arrays(still.variables)
    np.testing.assert_allclose(kernel - after, expected[1:], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(bias - moved, expected[0], rtol=1e-3, atol=1e-5)
    assert still.reported["certified_newton/certified"] == 0 and not still.certificate

    _, noisy = unlearned(std=0.5, tolerance=1e-6)
    drawn = [a - b for a, b in zip(arrays(noisy.variables), arrays(still.variables), strict=True)]
    spread = np.concatenate([d.ravel() for d in drawn])
    assert 0.25 < spread.std() < 0.8 and abs(drawn[0][0]).max() != abs(drawn[1]).max()


def test_a_given_bound_is_certified():
    """The record's certificate says that the bound was given."""
    least = certified_newton.least_noise(2.0, 0.5, 1e-5)
    assert least == pytest.approx(2 * np.sqrt(2 * np.log(1.25e5)) / 0.5)
    _, done = unlearned(**CLAIM)
    assert done.reported["certified_newton/certified"] == 1
    assert (done.certificate["epsilon"], done.certificate["delta"]) == (0.5, 1e-5)
    assert "given, not computed" in done.certificate["assumed"][0]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"epsilon": None}, "give epsilon, or none"),
        ({"epsilon": 2.0}, "0 < epsilon <= 1"),
        ({"delta": 1.0}, "0 < delta < 1"),
        ({"std": 0.01}, r"std = 0\.01 does not hide .*; std >= 0\.0968961 does"),
        ({"regulariser": "norms"}, '"squares" is allowed'),
    ],
)
def test_wrong_claims_are_refused(fields, told):
    with pytest.raises(ConfigError, match=told):
        certified_newton.make(certified_newton.Config(**(CLAIM | fields)), MODEL)


def test_originals_without_a_certificate_are_refused(convnet):
    with pytest.raises(ConfigError, match=r"norm .*, above radius = 0\.1"):
        unlearned(**CLAIM, radius=0.1)
    method = certified_newton.make(certified_newton.Config(**CLAIM), convnet.model)
    with pytest.raises(ConfigError, match="running statistics"):
        run(method, *convnet, key=jax.random.key(0))


def test_an_array_of_zeros_has_no_slope():
    params = {"w": jnp.array([3.0, 4.0]), "b": jnp.zeros(2)}
    slope = jax.grad(certified_newton.norms(2.0))(params)
    np.testing.assert_allclose(slope["w"], [1.2, 1.6], rtol=1e-6)
    assert not slope["b"].any()
