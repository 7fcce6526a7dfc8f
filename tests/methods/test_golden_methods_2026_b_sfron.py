"""Parity of SFRon with reference numbers, in both precisions: the mask, and ascent and descent in one run."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from junlearn.methods import sfron
from junlearn.parts.feeds import is_feed
from junlearn.parts.pairs import pull
from junlearn.types import Batch, Split
from tests.golden_nets import close, drive, network, params
from tests.golden_rows import check, feed_of, sources_of

pytestmark = pytest.mark.parity
NONE = np.zeros(0, int)
FORGET, RETAIN = 0, 1
"""What `kind` calls the updates."""


def config_of(case):
    return sfron.Config(
        learning_rate=float(case["lr"]),
        momentum=float(case["momentum"]),
        weight_decay=float(case["weight_decay"]),
        steps=int(case["n_iters"]),
        forget_every=int(case["forget_freq"]),
        ascent=float(case["forget_alpha"]),
        clip=float(case["max_norm"]),
        exponent=float(case["exponent"]),
        least_loss=0.0,
        threshold=float(case["threshold"]),
        fisher="batch",
        batch_size=int(case["batch_size"]),
    )


def pairs_of(case, offset):
    """The batches of every step; a step without an ascent has no forget rows."""
    kind, rows = case["kind"], case["rows"]
    retain = np.flatnonzero(kind == RETAIN)
    ahead = np.full((len(retain), rows.shape[1]), -1)
    for place, update in enumerate(retain):
        if update and kind[update - 1] == FORGET:
            ahead[place] = rows[update - 1]
    return {"retain": feed_of(rows[retain]), "forget": feed_of(ahead, offset)}


def cut_out(feed, step):
    return feed._replace(index=feed.index[[step]], mask=feed.mask[[step]])


def row(feed, sources):
    data, index = sources["train"], feed.index[0]
    return Batch(data.x[index], data.y[index], jnp.asarray(index), jnp.asarray(feed.mask[0]))


@pytest.mark.parametrize("kind", ["mlp", "cnn"])
@pytest.mark.parametrize(("double", "rtol"), [(True, 1e-9), (False, 1e-4)])
def test_sfron(kind, double, rtol, golden):
    case = golden(f"methods_2026_b/sfron_{kind}")
    config = config_of(case)
    retain = np.arange(len(case["x_retain"]))
    split = Split(len(retain) + np.arange(len(case["x_forget"])), retain, NONE, NONE)
    with jax.enable_x64(double):
        model, variables = network(kind, case)
        method, sources = sfron.make(config, model), sources_of(case, "retain", "forget")
        state = method.init(jax.random.key(0), variables, sources, split)
        of_forget, of_retain, mask, steps = method.plan(split)
        rows = feed_of(case["fisher_forget_rows"], len(retain))
        state, _ = drive(of_forget, state, sources, rows)
        state, _ = drive(of_retain, state, sources, feed_of(case["fisher_retain_rows"]))
        for name in ("forget", "retain"):
            fisher = getattr(state.extra, name).mean()
            close(fisher, params(kind, case, f"_fisher_{name}"), rtol)
        state, _ = drive(mask, state, sources)
        jax.tree.map(np.testing.assert_array_equal, state.extra.mask, params(kind, case, "_mask"))

        pairs = pairs_of(case, len(retain))
        loss, update = sfron.objective(config, model), sfron.ascend(config, model)

        @jax.jit
        def ascended(state, batch):
            """Loss and masked gradient of the ascent, and the network after it."""
            value, gradient, _ = pull(loss, state.variables.params, state, batch, state.key)
            gradient = jax.tree.map(jnp.multiply, gradient, state.extra.mask)
            return value, optax.tree.norm(gradient), update(state, batch, state.key).variables

        norms, found = [], []
        for place in range(config.steps):
            one = jax.tree.map(lambda f, t=place: cut_out(f, t), pairs, is_leaf=is_feed)
            if one["forget"].mask.any():
                value, norm, after = ascended(state, row(one["forget"], sources))
                norms.append(norm)
                found.append(value)
            state, (metrics,) = drive(steps, state, sources, one)
            found.append(metrics["retain_loss"])
            if place == 0:
                check(kind, case, after, "_step1", rtol)
                check(kind, case, state.variables, "_step2", rtol)
        check(kind, case, method.finish(state), "_out", rtol)
        close(np.array(norms), case["norm_before_clip"], rtol)
        close(np.array(found), case["loss"], rtol)
        np.testing.assert_allclose(
            [sfron.schedules(config)[0](t) for t in range(config.steps)],
            case["lr_steps"][case["kind"] == RETAIN],
            rtol=rtol,
        )
