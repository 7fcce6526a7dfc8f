"""LAF: the vectors of its equations, what it reads, and what it leaves alone."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from junlearn.engine.run import run
from junlearn.errors import ConfigError
from junlearn.methods import METHODS, laf
from junlearn.models.vae import make_vae
from junlearn.parts import descent, feeds, losses
from junlearn.types import Model, Split, Stage, Variables

NONE = np.zeros(0, int)
QUICK = {"epochs": 2, "vae_epochs": 1, "batch_size": 8, "vae_hidden": (6, 5), "latent": 2}


def test_vectors_of_the_equations(float64):
    s = jnp.array([0.0, 1.0, 10.0, 160.0])
    np.testing.assert_allclose(
        laf.saturate(s), [1, 1.6487212707, 2.4820650846, 2.7014504160], rtol=1e-10
    )
    assert float(laf.saturate(jnp.float32(1e30))) == pytest.approx(np.e)

    alignment = jax.jit(laf.alignment)

    def ra(a, b, tau):
        """Among 34 rows, of which those after `a` and `b` do not count."""
        rows = [np.pad(v, (0, 34 - len(v)), constant_values=99.0) for v in (a, b)]
        masks = [np.arange(34) < len(v) for v in (a, b)]
        return float(alignment(rows[0], masks[0], rows[1], masks[1], tau))

    assert ra([0.1, 0.2], [0.3, 0.5, 1.0], 5.0) == pytest.approx(-2.1407218, abs=1e-7)
    assert ra([0.1, 0.2], [0.3, 0.5, 1.0], 20.0) == pytest.approx(-1.9574418, abs=1e-7)
    assert ra([0.0] * 32, [0.0] * 32, 5.0) == pytest.approx(-110.9035489, abs=1e-7)
    assert ra([0.0] * 32, [0.0] * 8, 5.0) == pytest.approx(-66.5421294, abs=1e-7)

    zero, one, tiny = jnp.zeros((1, 4)), jnp.ones((1, 4)), jnp.full((1, 4), 1e-7)
    np.testing.assert_array_equal(losses.paired_cosine_distances(zero, one), 1)
    np.testing.assert_allclose(losses.paired_cosine_distances(tiny, tiny), 0.96154, atol=5e-6)
    np.testing.assert_allclose(losses.paired_cosine_distances(one, -one), 2, rtol=1e-9)
    slope = jax.grad(lambda u: losses.paired_cosine_distances(u.astype(jnp.float32), one)[0])(zero)
    assert np.isfinite(slope).all()


def test_kl_by_hand(float64):
    """One sample with mu = (0.5, -1) and sigma = (0.8, 1.5), the biases of an encoder without weights."""
    vae = make_vae((3,), 2, "linear")
    params = jax.tree.map(jnp.zeros_like, vae.init(jax.random.key(0), 4))
    params["mu"]["bias"] = jnp.array([0.5, -1.0])
    params["logvar"]["bias"] = 2 * jnp.log(jnp.array([0.8, 1.5]))
    rows = jnp.full((2, 4), 2.0), np.array([True, False])
    state = descent.init(jax.random.key(0), Variables(params, {}), optax.identity())
    loss = laf.vae_loss(vae, 0.5)
    value, (_, metrics) = loss(params, state, rows, jnp.zeros((2, 2)))
    assert float(metrics["kl"]) == pytest.approx(0.8876784, abs=1e-7)
    # A linear decoder of zeros gives 0, so the error is |e|^2 = 16; that of a sigmoid is 4 (2 - 0.5)^2.
    assert float(value) == pytest.approx(16 + 0.5 * 0.8876784, abs=1e-7)
    curved = laf.vae_loss(make_vae((3,), 2), 0.0)
    assert float(curved(params, state, rows, jnp.zeros((2, 2)))[0]) == pytest.approx(9.0)


def test_noise_of_a_row_depends_on_its_index_alone(key):
    draw = make_vae((3,), 2).draw
    whole, part = draw(key, jnp.arange(6)), draw(key, jnp.array([4, 1]))
    np.testing.assert_array_equal(whole[jnp.array([4, 1])], part)
    assert len(np.unique(whole)) == 12


def unlearn(problem, sources=None, method=None, **fields):
    method = method or laf.make(laf.Config(**(QUICK | fields)), problem.model)
    sources = sources or problem.sources
    return run(
        method, problem.model, problem.variables, sources, problem.split, key=jax.random.key(2)
    )


@pytest.fixture(scope="module")
def plain(mlp):
    return unlearn(mlp)


def test_leaves_the_head_alone(mlp, plain):
    before, after = mlp.variables.params, plain.variables.params
    chex.assert_trees_all_equal(after["head"], before["head"])
    for name in mlp.model.layers[:-1]:
        assert (np.asarray(after[name]["kernel"]) != before[name]["kernel"]).any()
    assert [h["stage"] for h in plain.history] == [
        "embed",
        "vae_retain",
        "vae_forget",
        "unlearn",
        "unlearn",
    ]


def test_the_table_of_embeddings_changes_nothing(mlp, plain):
    """The view "augment" without an augmentation computes every embedding anew, of the same images."""
    method = laf.make(laf.Config(**QUICK, augment=True), mlp.model)
    assert [s.name for s in method.plan(mlp.split)] == ["vae_retain", "vae_forget", "unlearn"]
    # The order of the data depends on a stage's place in the plan: the first one is taken by a stage without effect.
    idle = Stage("embed", lambda state, batch: (state, {}), lambda rng, state: feeds.dataless(1))
    method = method._replace(plan=lambda split, plan=method.plan: [idle, *plan(split)])
    anew = unlearn(mlp, method=method)
    chex.assert_trees_all_close(anew.variables, plain.variables, rtol=1e-4, atol=1e-6)
    for a, b in zip(anew.history[1:], plain.history[1:], strict=True):
        assert a.pop("stage") == b["stage"]
        assert a == pytest.approx({n: b[n] for n in b if n != "stage"}, rel=1e-4, abs=1e-4)


def test_repair_reads_the_labels_of_the_retain_set_alone(mlp, plain):
    """LAF+R moves the head and nothing else, and no forget label changes a bit."""
    method = laf.make(laf.Config(**QUICK, repair_epochs=2), mlp.model)
    repaired = unlearn(mlp, method=method)
    layers = dict(plain.variables.params)
    for name in mlp.model.layers[:-1]:
        chex.assert_trees_all_equal(repaired.variables.params[name], layers[name])
    train = mlp.sources["train"]
    hidden = train._replace(y=train.y.copy())
    hidden.y[mlp.split.forget] = -(10**6)
    again = unlearn(mlp, mlp.sources | {"train": hidden}, method=method)
    chex.assert_trees_all_equal(again.variables, repaired.variables)
    hidden.y[mlp.split.retain] = 1
    other = unlearn(mlp, mlp.sources | {"train": hidden}, method=method)
    assert (
        other.variables.params["head"]["bias"] != repaired.variables.params["head"]["bias"]
    ).any()
    rows = mlp.sources["train"]
    x, y = (jnp.asarray(v[mlp.split.retain]) for v in (rows.x, rows.y))

    def loss(variables):
        return losses.cross_entropy(mlp.model.apply(variables, x)[0], y, jnp.ones(len(y), bool))

    assert loss(repaired.variables) < loss(plain.variables)


@pytest.mark.parametrize(("forget", "retain", "steps"), [(11, 35, 2), (35, 11, 2), (16, 15, 2)])
def test_an_epoch_is_one_pass_over_the_shorter_stream(forget, retain, steps, mlp):
    order = np.random.default_rng(0).permutation(46)
    split = Split(order[:forget], order[forget : forget + retain], NONE, NONE)
    plan = laf.make(laf.Config(**QUICK), mlp.model).plan(split)
    assert [s.name for s in plan] == ["embed", "vae_retain", "vae_forget", "unlearn"]
    feed = plan[-1].feed(np.random.default_rng(1), None)
    for name, rows in (("forget", split.forget), ("retain", split.retain)):
        assert feed[name].index.shape == (steps, 8)
        taken = feed[name].index[feed[name].mask]
        assert set(taken) <= set(rows) and len(set(taken)) == len(taken) == min(len(rows), 16)


def test_what_the_autoencoders_are_fitted_to(mlp):
    everything, retain = set(range(46)), set(mlp.split.retain)
    for source, expected in (("all", everything), ("retain", retain)):
        method = laf.make(laf.Config(**QUICK, vae_source=source), mlp.model)
        seen = [
            set(s.feed(np.random.default_rng(0), None).index.ravel())
            for s in method.plan(mlp.split)[:3]
        ]
        assert seen == [everything, expected, set(mlp.split.forget)]


@pytest.mark.parametrize("name", ["laf", "camu", "boundary_expand"])
def test_a_network_whose_head_reads_a_map(name, mlp):
    """All that work on the embedding say so in one line."""

    def apply(variables, x, **options):
        logits, features, stats = mlp.model.apply(variables, x, **options)
        return logits, {**features, "embedding": x}, stats

    module = METHODS[name]
    method = module.make(module.Config(), Model(mlp.model.init, apply, mlp.model.layers))
    with pytest.raises(
        ConfigError, match=rf"{name} needs a head that reads a vector, not \(4, 4, 1\)"
    ):
        method.init(jax.random.key(0), mlp.variables, mlp.sources, mlp.split)


def test_a_network_without_a_known_head(mlp):
    with pytest.raises(ConfigError, match="laf must know the head"):
        laf.make(laf.Config(), mlp.model._replace(layers=()))
