"""Parity of the methods that draw kernels anew or turn them over with reference numbers, in both precisions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.methods import cfw, ct, msg, prmq
from junlearn.parts.feeds import cut
from junlearn.parts.reinitialise import normal_fan_out
from junlearn.types import Split, Variables
from tests.golden_nets import close, drive, network, params, stats
from tests.golden_rows import check, feed_of, sources_of

pytestmark = pytest.mark.parity
NONE = np.zeros(0, int)


@pytest.fixture(params=["float64", "float32"])
def rtol(request):
    with jax.enable_x64(request.param == "float64"):
        yield 1e-9 if request.param == "float64" else 1e-4


def fields(case):
    """Of the optimiser, and the sizes."""
    return {
        "learning_rate": float(case["lr"]),
        **{name: float(case[name]) for name in ("momentum", "weight_decay")},
        **{name: case[name].item() for name in ("epochs", "batch_size")},
    }


def begun(module, config, case):
    """The method, its state before the first stage, its plan and its data, in which retain rows come first."""
    model, variables = network("cnn", case)
    parts = ("retain", "forget") if "x_forget" in case else ("retain",)
    sources = sources_of(case, *parts)
    rows = np.arange(len(sources["train"].y))
    split = Split(rows[len(case["y_retain"]) :], rows[: len(case["y_retain"])], NONE, NONE)
    method = module.make(config, model)
    state = method.init(jax.random.key(0), variables, sources, split)
    return method, state, method.plan(split), sources


def losses_are(metrics, reference, rtol):
    close(np.array([values["loss"] for values in metrics]), reference, rtol)


def test_ct(golden, rtol):
    case = golden("methods_2026_b/ct_cnn")
    method, state, (stage,), sources = begun(ct, ct.Config(**fields(case)), case)
    kernel = state.variables.params["conv"]["kernel"]
    close(kernel, jnp.asarray(case["K1_transposed"]), rtol)
    feed = feed_of(case["train_rows"])
    first, _ = drive(stage, state, sources, cut(feed, 1))
    check("cnn", case, first.variables, "_step1", rtol)
    last, metrics = drive(stage, state, sources, feed)
    check("cnn", case, method.finish(last), "_out", rtol)
    losses_are(metrics, case["loss"], rtol)


def with_kernel(tree, kernel, bias):
    """`tree`, all zeros but for the kernel and the bias of the convolution."""
    zeros = jax.tree.map(jnp.zeros_like, tree)
    return zeros | {"conv": {"kernel": jnp.asarray(kernel), "bias": jnp.asarray(bias)}}


def msg_begun(case, rtol, mode):
    """As `begun`, with the state after the two passes that measure."""
    config = msg.Config(
        **fields(case),
        rho=float(case["init_rate"]),
        kept=float(case["grad_mask_K1"].min()),
        weighing="batch",
        train_mode=mode == "train",
    )
    method, state, stages, sources = begun(msg, config, case)
    for place, start in ((0, 0), (1, len(case["y_retain"]))):
        feed = feed_of(case["snip_rows"][case["snip_set"] == place], start)
        state, _ = drive(stages[place], state, sources, feed)
    close(state.extra.total["fc"], params("cnn", case, f"_snip_{mode}")["fc"], rtol)
    kernel = state.extra.total["conv"]["kernel"]
    close(kernel, jnp.asarray(case[f"K1_snip_{mode}"]), rtol)
    return method, state, stages, sources


def test_msg_measures_in_eval_mode(golden, rtol):
    case = golden("methods_2026_b/msg_cnn")
    _, state, _, _ = msg_begun(case, rtol, "eval")
    close(state.extra.total, params("cnn", case, "_snip_eval"), rtol)
    close(state.variables.stats, stats("cnn", case), rtol)


def test_msg(golden, rtol):
    case = golden("methods_2026_b/msg_cnn")
    method, state, stages, sources = msg_begun(case, rtol, "train")
    close(state.variables.stats, stats("cnn", case, "_snip"), rtol)
    weights = state.variables.params
    kernel = jnp.asarray(case["fresh_K1"])
    fan_in = kernel[..., 0].size
    unit = with_kernel(
        weights,
        kernel / normal_fan_out(jnp.ones_like(kernel)),
        (case["fresh_bk1"] * np.sqrt(fan_in) + 1) / 2,
    )
    mixed, fresh = msg.mixed(weights, state.extra.total, unit, float(case["init_rate"]))
    mixed = msg.rebiased(mixed, unit)
    close(mixed, params("cnn", case, "_reinit"), rtol)
    np.testing.assert_array_equal(fresh["conv"]["kernel"], case["grad_mask_K1"] == 1)
    variables = Variables(mixed, state.variables.stats)
    state = state._replace(variables=variables, extra=state.extra._replace(fresh=fresh))
    feed = feed_of(case["train_rows"])
    for steps, when in ((1, "_step1"), (2, "_step2"), (len(feed.index), "_out")):
        after, metrics = drive(stages[-1], state, sources, cut(feed, steps))
        check("cnn", case, method.finish(after), when, rtol)
    losses_are(metrics, case["train_loss"], rtol)


def test_prmq(golden, rtol):
    case = golden("methods_2026_b/prmq_cnn")
    settings = fields(case)
    passes = settings.pop("epochs")
    config = prmq.Config(**settings, passes=passes, rho=float(case["prune_amount"]))
    method, state, stages, sources = begun(prmq, config, case)
    weights = state.extra.original.params
    unit = jax.tree.map(jnp.zeros_like, weights)
    unit["conv"]["kernel"], unit["fc"]["kernel"] = (
        jnp.asarray(case[f"uniform_{name}"]) for name in ("K1", "W")
    )
    weights = prmq.refilled(prmq.pruned(weights, config.rho), unit)
    close(weights, params("cnn", case, "_pruned"), rtol)
    feed = feed_of(case["train_rows"])
    made = sum(
        stage.epochs * len(stage.feed(np.random.default_rng(0), state).index) for stage in stages
    )
    assert made == len(feed.index)
    state = state._replace(variables=state.variables._replace(params=weights))
    first, _ = drive(stages[0], state, sources, cut(feed, 1))
    check("cnn", case, first.variables, "_step1", rtol)
    last, metrics = drive(stages[0], state, sources, feed)
    check("cnn", case, last.variables, "_out", rtol)
    losses_are(metrics, case["loss"], rtol)
    # A number next to the middle of two of float16 may go to either in single precision.
    check("cnn", case, method.finish(last), "_half", rtol if rtol < 1e-6 else 1e-3)


def test_cfw(golden, rtol):
    """The reference has the product of means of the release; the epochs are of equal length."""
    case = golden("methods_2026_b/cfw_cnn")
    sigmas = {"sigma": float(case["sigma_start"]), "final_sigma": float(case["sigma_final"])}
    config = cfw.Config(**fields(case), **sigmas, weighing="batch")
    method, state, (repair, _, last_epoch), sources = begun(cfw, config, case)
    close(state.extra.weights, jnp.asarray(case["class_weights"]), rtol)
    _, variables = network("cnn", case)

    def noise(variables, place, sigma):
        unit = with_kernel(variables.params, case["noise"][place], case["bk1"])
        return variables._replace(params=cfw.noised(variables.params, unit, ("conv",), sigma))

    state = state._replace(variables=noise(variables, 0, config.sigma))
    feed = feed_of(case["train_rows"])
    early = len(feed.index) - len(feed.index) // config.epochs
    first, _ = drive(repair, state, sources, cut(feed, 1))
    check("cnn", case, first.variables, "_step1", rtol)
    state, metrics = drive(repair, state, sources, cut(feed, early))
    state = state._replace(variables=noise(state.variables, 1, config.final_sigma))
    rest = feed._replace(index=feed.index[early:], mask=feed.mask[early:])
    state, more = drive(last_epoch, state, sources, rest)
    check("cnn", case, method.finish(state), "_out", rtol)
    losses_are([*metrics, *more], case["loss"], rtol)
