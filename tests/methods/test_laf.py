"""LAF: parity with the reference numbers in float64, the vectors of its equations, and what it leaves alone."""

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
from junlearn.parts import feeds, losses
from junlearn.parts.descent import start, updater
from junlearn.types import Batch, Data, Model, Split, Stage, Variables
from tests.golden_nets import NAMES, network

VAE_NAMES = {
    "encoder1": "E1",
    "encoder2": "E2",
    "mu": "Mu",
    "logvar": "Lv",
    "decoder1": "D1",
    "decoder2": "D2",
    "out": "D3",
}
CONV_NAMES = {"K1": "K", "bk1": "cb", "gamma": "bn_scale", "beta": "bn_bias", "W": "Wh", "b": "bh"}
NONE = np.zeros(0, int)
QUICK = {"epochs": 2, "vae_epochs": 1, "batch_size": 8, "vae_hidden": (6, 5), "latent": 2}


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def close(ours, reference, rtol=1e-9):
    def leaf(a, b):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * float(np.abs(b).max()))

    jax.tree.map(leaf, ours, reference)


def weights(kind, case, suffix="", prefix=""):
    """What a case has of the network's parameters; gradients are those of the extractor."""
    tree = {}
    for (layer, leaf), name in NAMES[kind].items():
        stored = prefix + CONV_NAMES.get(name, name) + suffix
        if stored in case:
            tree.setdefault(layer, {})[leaf] = jnp.asarray(case[stored])
    return tree


def golden_network(kind, case):
    return network(kind, case | {ours: case[k] for ours, k in CONV_NAMES.items() if k in case})


def vae_params(case, prefix="", suffix=""):
    return {
        layer: {
            "kernel": jnp.asarray(case[f"{prefix}W{name}{suffix}"]),
            "bias": jnp.asarray(case[f"{prefix}b{name}{suffix}"]),
        }
        for layer, name in VAE_NAMES.items()
    }


def golden_vae(case, prefix=""):
    hidden = case[f"{prefix}WE1"].shape[1], case[f"{prefix}WE2"].shape[1]
    return make_vae(hidden, case[f"{prefix}WMu"].shape[1])


def gradient(moments):
    """The gradient of the first step, out of Adam's first moment."""
    tree = optax.tree.get(moments, "mu")
    return {
        name: jax.tree.map(lambda m: m / 0.1, group)
        for name, group in tree.items()
        if jax.tree.leaves(group)
    }


def padded(values, size):
    """Rows of `values` and, up to `size`, rows that must not matter."""
    filler = np.full((size - len(values), *values.shape[1:]), 3.0)
    return np.concatenate([values, filler])


def as_batch(x, first, size):
    index = np.minimum(first + np.arange(size), first + len(x) - 1)
    mask = np.arange(size) < len(x)
    return Batch(jnp.asarray(padded(x, size)), jnp.zeros(size, int), index, mask)


def replay(kind, case, config, original=None, steps=1):
    """The two steps of LAF on the given batches and draws: the state after each, and the metrics."""
    model, variables = golden_network(kind, case)
    vae = golden_vae(case, "r_") if "r_WE1" in case else make_vae((4,), 2)
    x = {
        (name, k): case[f"x_{name[0]}_{k}"] if f"x_{name[0]}_{k}" in case else case[f"x_{name[0]}"]
        for k in range(steps)
        for name in ("retain", "forget")
    }
    data = Data(jnp.asarray(np.concatenate(list(x.values()))), jnp.zeros(1, int))
    method = laf.make(config, model)
    state = method.init(jax.random.key(0), variables, {"train": data}, None)
    table = model.apply(original or variables, data.x)[1]["embedding"]
    state = state._replace(original=table)
    if "r_WE1" in case:
        fits = [
            start(jax.random.key(0), Variables(vae_params(case, p), {}), optax.adam(0.0))
            for p in ("r_", "f_")
        ]
        state = state._replace(vae_retain=fits[0], vae_forget=fits[1])
    update = jax.jit(laf.unlearner(config, model, vae))
    states, metrics, first = [], [], 0
    for k in range(steps):
        batch, noise = {}, {}
        for name in ("retain", "forget"):
            batch[name] = as_batch(x[name, k], first, 8)
            first += len(x[name, k])
            eps = next(
                (case[n] for n in (f"eps_{name[0]}_{k}", f"eps_{name[0]}") if n in case),
                np.zeros((8, 2)),
            )
            noise[name] = jnp.asarray(padded(eps, 8))
        state, values = update(state, batch, noise)
        states.append(state)
        metrics.append(values)
    return states, {n: np.array([m[n] for m in metrics]) for n in metrics[0]}


def test_vae(golden, float64):
    """Ten epochs of two batches: every loss, the first gradient, every weight."""
    case = golden("laf_camu/laf_vae")
    model, variables = golden_network("mlp", case)
    vae = golden_vae(case)
    tx = optax.adam(float(case["lr"]))
    update = jax.jit(updater(laf.vae_loss(vae, float(case["kl_weight"])), tx))
    state = start(jax.random.key(0), Variables(vae_params(case), {}), tx)
    rows = {"loss": [], "reconstruction": [], "kl": []}
    for epoch in range(10):
        for b in (0, 1):
            x, noise = case[f"x_{b}"][epoch], jnp.asarray(padded(case[f"eps_{b}"][epoch], 6))
            e = model.apply(variables, jnp.asarray(padded(x, 6)))[1]["embedding"]
            if epoch == b == 0:
                r, mu, logvar = vae.apply(state.variables.params, e, noise)
                close((r, mu), (case["first_recon"], case["first_mu"]), 1e-10)
                close(jnp.exp(logvar / 2), case["first_sigma"], 1e-10)
                close(e, case["first_emb"], 1e-10)
            state, values = update(state, (e, np.arange(6) < len(x)), noise)
            for name in rows:
                rows[name].append(float(values[name]))
            if epoch == b == 0:
                expected = {
                    layer: {"kernel": case[f"g_W{n}"], "bias": case[f"g_b{n}"]}
                    for layer, n in VAE_NAMES.items()
                }
                close(jax.tree.map(lambda m: m / 0.1, state.optimizer[0].mu), expected)
                close(state.variables.params, vae_params(case, suffix="_step1"))
    for name, stored in (("loss", "loss"), ("reconstruction", "recon_loss"), ("kl", "kl")):
        close(np.reshape(rows[name], (10, 2)), case[stored], 1e-10)
    close(state.variables.params, vae_params(case, suffix="_out"))


def test_extractor_unlearning_loss(golden, float64):
    case = golden("laf_camu/laf_ue_loss")
    (state,), metrics = replay("mlp", case, laf.Config(latent=3))
    close(metrics["loss_unlearn"][0], case["L_UE"], 1e-10)
    close(metrics["sum_retain"][0], case["term_r"], 1e-10)
    close(metrics["sum_forget"][0], case["term_f"], 1e-10)
    close(gradient(state.unlearn), weights("mlp", case, prefix="g_"))


@pytest.mark.parametrize("number", ["", "2"])
def test_alignment_loss(number, golden, float64):
    case = golden("laf_camu/laf_ra_loss")
    suffix = f"_tau{number}" if number else ""
    config = laf.Config(
        temperature=float(case[f"tau{number}"]),
        unlearn_learning_rate=0.0,
        vae_hidden=(4,),
        latent=2,
    )
    teacher = Variables(weights("mlp", case, "_teacher"), {})
    (state,), metrics = replay("mlp", case, config, teacher)
    close(metrics["loss_align"][0], case[f"L_RA{suffix}"], 1e-10)
    close(gradient(state.align), weights("mlp", case, prefix="g_", suffix=suffix))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("laf_iterations_mlp", "mlp"),
        ("laf_two_epochs_mlp", "mlp"),
        ("laf_iterations_convbn", "cnn"),
    ],
)
def test_iterations(name, kind, golden, float64):
    """Several iterations with ragged forget batches: losses, first gradients, weights after every step."""
    case = golden(f"laf_camu/{name}")
    steps = int(case["n_iter"])
    config = laf.Config(
        unlearn_learning_rate=float(case["lr_ue"]),
        align_learning_rate=float(case["lr_ra"]),
        temperature=float(case["tau"]),
    )
    states, metrics = replay(kind, case, config, steps=steps)
    for ours, stored in {
        "loss_unlearn": "L_UE",
        "loss_align": "L_RA",
        "sum_retain": "term_r",
        "sum_forget": "term_f",
    }.items():
        close(metrics[ours], case[stored], 1e-10)
    close(gradient(states[0].unlearn), weights(kind, case, prefix="gUE_"))
    close(gradient(states[0].align), weights(kind, case, prefix="gRA_"), 1e-7)
    for k, state in enumerate(states):
        close(state.variables.params, weights(kind, case, suffix=f"_it{k}"))
    close(states[-1].variables.params, weights(kind, case, suffix="_out"))
    _, before = golden_network(kind, case)
    chex.assert_trees_all_equal(states[-1].variables.stats, before.stats)
    head = "fc" if kind == "cnn" else "fc3"
    chex.assert_trees_all_equal(states[-1].variables.params[head], before.params[head])
    # The first step on L_UE by hand: Adam starts with lr g / (|g| + 1e-8).
    lr = float(case["lr_ue"])
    for layer, slopes in gradient(states[0].unlearn).items():
        moved = jax.tree.map(
            lambda w, g: w - lr * g / (abs(g) + 1e-8), before.params[layer], slopes
        )
        close(moved, weights(kind, case, suffix="_ue0")[layer])


def test_repair(golden, float64):
    case = golden("laf_camu/laf_repair")
    model, variables = golden_network("mlp", case)
    config = laf.Config(repair_epochs=2, repair_learning_rate=float(case["lr"]))
    method = laf.make(config, model)
    x = jnp.asarray(case["x_r_0"])
    state = method.init(jax.random.key(0), variables, {"train": Data(x, case["y_r_0"])}, None)
    stage = method.plan(Split(np.arange(2), np.arange(2, 8), NONE, NONE))[-1]
    assert (stage.name, stage.epochs) == ("repair", 2)
    step, values = jax.jit(stage.step), []
    for k in range(4):
        batch = as_batch(case[f"x_r_{k}"], 0, 9)
        labels = np.append(case[f"y_r_{k}"], 0)
        state, metrics = step(state, {"retain": batch._replace(y=labels), "forget": batch})
        values.append(float(metrics["loss"]))
        if k == 0:
            close(gradient(state.repair), {"fc3": {"kernel": case["g_W3"], "bias": case["g_b3"]}})
            close(state.variables.params["fc3"]["kernel"], case["W3_step1"])
    close(np.array(values), case["loss"], 1e-10)
    close(state.variables.params, weights("mlp", case, suffix="_out"))


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
    np.testing.assert_array_equal(laf.cosine_distance(zero, one), 1)
    np.testing.assert_allclose(laf.cosine_distance(tiny, tiny), 0.96154, atol=5e-6)
    np.testing.assert_allclose(laf.cosine_distance(one, -one), 2, rtol=1e-9)
    slope = jax.grad(lambda u: laf.cosine_distance(u.astype(jnp.float32), one)[0])(zero)
    assert np.isfinite(slope).all()


def test_kl_by_hand(float64):
    """One sample with mu = (0.5, -1) and sigma = (0.8, 1.5), the biases of an encoder without weights."""
    vae = make_vae((3,), 2, "linear")
    params = jax.tree.map(jnp.zeros_like, vae.init(jax.random.key(0), 4))
    params["mu"]["bias"] = jnp.array([0.5, -1.0])
    params["logvar"]["bias"] = 2 * jnp.log(jnp.array([0.8, 1.5]))
    rows = jnp.full((2, 4), 2.0), np.array([True, False])
    state = start(jax.random.key(0), Variables(params, {}), optax.identity())
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
