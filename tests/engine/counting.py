"""Methods that write down what they are fed, a short way to run one, and what is compiled meanwhile."""

from contextlib import contextmanager

import jax
import jax.numpy as jnp

from junlearn.engine.run import run
from junlearn.types import Method, Variables

LOWERED = "/jax/core/compile/jaxpr_to_mlir_module_duration"
"""JAX's event for every function that was traced and is turned into a program."""


@contextmanager
def lowered():
    """The list of the functions that are turned into programs meanwhile; an entry each."""
    found = []

    def listen(event, seconds, **details):
        if event == LOWERED:
            found.append(details.get("fun_name", event))

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield found
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def counting(stages):
    """A method that writes down what it is fed: the state counts how often each example was seen."""

    def init(key, variables, sources, split):
        return jnp.zeros(sources["train"].y.shape[0], jnp.int32)

    return Method(init, lambda split: stages, lambda state: Variables(state, {}))


def seen(state, batch):
    return state.at[batch.index].add(batch.mask.astype(jnp.int32)), {"rows": batch.mask.sum()}


def go(method, problem, **options):
    return run(
        method,
        problem.model,
        problem.variables,
        problem.sources,
        problem.split,
        key=jax.random.key(1),
        **options,
    )
