"""A right method in a few lines, and the means to make it wrong in one place."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from junlearn.parts import feeds, losses
from junlearn.types import Method, Range, Stage, Variables

NEEDS = frozenset({"forget.x", "forget.y", "retain.x", "retain.y"})


@dataclass(frozen=True, kw_only=True)
class Config:
    epochs: int = 10
    batch_size: int = 64
    learning_rate: float = 0.05


SPACE = {"learning_rate": Range(1e-3, 1.0, log=True)}


class State(NamedTuple):
    variables: Any
    key: Any
    step: Any
    extra: Any = ()


def right(config, model):
    """Descent on the cross entropy of all training examples, in train mode."""

    def mean_loss(params, state, batch):
        key = jax.random.fold_in(state.key, state.step)
        variables = Variables(params, state.variables.stats)
        logits, _, stats = model.apply(variables, batch.x, train=True, key=key, mask=batch.mask)
        each = -jnp.take_along_axis(jax.nn.log_softmax(logits), batch.y[:, None], axis=1)[:, 0]
        return losses.masked_mean(each, batch.mask), stats

    def init(key, variables, sources, split):
        del sources, split
        return State(jax.tree.map(jnp.array, variables), key, jnp.int32(0))

    def step(state, batch):
        loss = jax.value_and_grad(mean_loss, has_aux=True)
        (value, stats), gradients = loss(state.variables.params, state, batch)
        params = jax.tree.map(
            lambda p, g: p - config.learning_rate * g, state.variables.params, gradients
        )
        after = state._replace(variables=Variables(params, stats), step=state.step + 1)
        return after, {"loss": value}

    def plan(split):
        def feed(rng, state):
            return feeds.shuffled(rng, split.retain, config.batch_size)

        return [Stage("descend", step, feed, config.epochs)]

    return Method(init, plan, lambda state: state.variables)


def method(*, make=right, needs=NEEDS, init=None, step=None, feed=None, finish=None, **parts):
    """The right method, changed: each function gets the right one's result beside its own arguments.

    `init(state)`, `step(state, batch, after, metrics)`, `feed(rng, state, feed, split)`, `finish(variables)`.
    """

    def changed(config, model):
        own = make(config, model)

        def new_init(key, variables, sources, split):
            return init(own.init(key, variables, sources, split))

        def new_plan(split):
            return [_changed(stage, step, feed, split) for stage in own.plan(split)]

        def new_finish(state):
            return finish(own.finish(state))

        return own._replace(
            init=new_init if init else own.init,
            plan=new_plan if step or feed else own.plan,
            finish=new_finish if finish else own.finish,
        )

    def make_changed(config, model):
        return changed(config, model)

    fields = {"Config": Config, "State": State, "make": make_changed, "NEEDS": needs, "__doc__": ""}
    fields["SPACE"] = SPACE
    return SimpleNamespace(**(fields | parts))


def _changed(stage, step, feed, split):
    def new_step(state, batch):
        return step(state, batch, *stage.step(state, batch))

    def new_feed(rng, state):
        return feed(rng, state, stage.feed(rng, state), split)

    return stage._replace(
        step=new_step if step else stage.step, feed=new_feed if feed else stage.feed
    )
