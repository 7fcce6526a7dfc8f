"""WoodFisher: its step against the closed form and the rank-one recursion, its limits, and what the release does."""

import jax
import numpy as np
import pytest

from junlearn.engine.run import run
from junlearn.methods import wood_fisher
from tests import linear_net
from tests.linear_net import MODEL, arrays, flat, logits, one_hot, softmax

FORGET, RETAIN = 3, 10


def moved(**fields):
    """How the weights of a linear network change, v, and the gradients of the retain examples, a row each."""
    variables, sources, split = linear_net.problem(FORGET, RETAIN)
    data = jax.tree.map(np.asarray, sources["train"])
    data = data._replace(x=data.x.astype(float))
    variables = jax.tree.map(lambda leaf: leaf.astype(float), variables)
    x = np.concatenate([np.ones((len(data.x), 1)), flat(data.x)], 1)
    gap = softmax(logits(variables, data.x)) - one_hot(data.y)
    each = np.einsum("ni,nk->nik", x, gap).reshape(len(x), -1)
    retain = each[split.retain]
    v = (each[split.forget].mean(0) - retain.mean(0)) * FORGET / (FORGET + RETAIN)
    method = wood_fisher.make(wood_fisher.Config(batch_size=4, tolerance=1e-13, **fields), MODEL)
    done = run(method, MODEL, variables, {"train": data}, split, key=jax.random.key(0))

    def together(variables):
        kernel, bias = arrays(variables)
        return np.concatenate([bias[None], kernel]).ravel()

    return together(done.variables) - together(variables), v, retain, done


def recursion(v, rows, damping):
    """C v by one gradient after the other, which keeps a vector of each."""
    k, kept = v / damping, []
    for g in rows:
        u = g / damping - sum((q * (q @ g) / den for q, den in kept), np.zeros_like(g))
        den = len(rows) + u @ g
        k = k - u * (u @ v) / den
        kept.append((u, den))
    return k


def test_the_inverse_of_the_fisher_matrix(float64):
    """That of the m x m matrix, and that of the recursion."""
    change, v, g, done = moved(damping=0.05, alpha=2.0)
    inner = np.linalg.solve(0.05 * RETAIN * np.eye(RETAIN) + g @ g.T, g @ v)
    closed = (v - g.T @ inner) / 0.05
    np.testing.assert_allclose(recursion(v, g, 0.05), closed, rtol=1e-9)
    np.testing.assert_allclose(change, 2 * closed, rtol=1e-9, atol=1e-12)
    assert done.reported["wood_fisher/residual"] < 1e-12


def test_large_damping_leaves_an_ascent_step(float64):
    change, v, _, _ = moved(damping=1e6, alpha=3e6)
    np.testing.assert_allclose(change, 3 * v, rtol=1e-4)


@pytest.mark.parametrize("count", [2, 50])
def test_the_release_reads_two_gradients_more_than_its_constant(count, float64):
    change, v, g, done = moved(curvature="released", count=count, alpha=1.0)
    o, k = g[0], v
    for row in g[1 : count + 2]:
        t = o @ row
        k, o = k - (k @ row) / (count + t) * o, o - t / (count + t) * o
    np.testing.assert_allclose(change, k, rtol=1e-9, atol=1e-12)
    assert not done.reported
