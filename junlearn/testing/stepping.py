"""Checks of one run of the plan: that it comes to its end, with what shapes, how often traced, with what numbers."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from junlearn.engine.batches import PLAIN_VIEWS, gather, specify
from junlearn.testing.differences import kinds_differ, numbers_differ
from junlearn.testing.problems import Problem, initial_weights
from junlearn.testing.subject import NotApplicable, Subject, copies
from junlearn.types import Method, Model, Variables

__all__ = [
    "donation",
    "dropout",
    "finished",
    "finite",
    "first_steps",
    "fixed_point",
    "keys",
    "one_trace",
    "runs",
]


def runs(subject: Subject) -> None:
    """The plan runs to its end on both problems."""
    for problem in (subject.dense, subject.normed):
        subject.plain(problem, "runs")


def fixed_point(subject: Subject) -> None:
    """After a step the state has the tree, shapes and dtypes that it had before; metrics are scalars."""
    for problem in (subject.dense, subject.normed):
        subject.stages(problem)
        subject.plain(problem, "fixed_point")


def one_trace(subject: Subject) -> None:
    """Each step is traced once for the whole plan: its batches have one shape, its function stays the same."""
    for problem in (subject.dense, subject.normed):
        stages = subject.stages(problem)
        names: dict[Any, str] = {}
        for stage in stages:
            names.setdefault(stage.step, stage.name)
        traces = subject.plain(problem, "one_trace").traces
        for name, of_step in zip(names.values(), traces, strict=True):
            assert len(of_step) == 1, (
                f"the step of stage {name!r} is traced {len(of_step)} times instead of once: give all batches one "
                "shape (pad them, with mask False), and the state fixed dtypes"
            )


def keys(subject: Subject) -> None:
    """No random key is used for two draws."""
    for problem in (subject.dense, subject.normed):
        subject.plain(problem, "keys")


def donation(subject: Subject) -> None:
    """Nothing reads a state that a step has consumed, and the arrays that were passed are alive after the run."""
    for problem in (subject.dense, subject.normed):
        subject.plain(problem, "donation")
        dead = [leaf for leaf in jax.tree.leaves(problem.variables) if _deleted(leaf)]
        assert not dead, "the original's weights were consumed: copy what the state starts from"


def finite(subject: Subject) -> None:
    """No metric and no weight is NaN or infinite, on both problems."""
    for problem in (subject.dense, subject.normed):
        done = subject.plain(problem, "finite").result
        for path, leaf in jax.tree.leaves_with_path(done.variables):
            finite = not jnp.issubdtype(leaf.dtype, jnp.inexact) or np.isfinite(leaf).all()
            assert finite, f"the result's {jax.tree_util.keystr(path)} is not finite"


def finished(subject: Subject) -> None:
    """`finish` returns Variables like the original's, or a Model and Variables such as its `init` draws."""
    for problem in (subject.dense, subject.normed):
        done = subject.plain(problem, "finished").result
        assert isinstance(done.variables, Variables), "finish must return junlearn.types.Variables"
        if done.model is problem.model:
            changes = kinds_differ(problem.variables, done.variables)
            assert not changes, f"the result is not like the original: {changes}"
        else:
            _another_network(done.model, done.variables, problem.sources["test"].x)


def dropout(subject: Subject) -> None:
    """Passes in train mode get a key, each another one, so that no two passes of a step drop the same numbers."""
    problem = subject.dense
    subject.plain(problem)
    passes: list[bool] = []

    def apply(
        variables: Variables, x: Any, *, train: Any = False, key: Any = None, mask: Any = None
    ) -> Any:
        if train:
            passes.append(key is not None)
            if key is not None:
                x = jnp.where(jax.random.bernoulli(key, 0.5, x.shape), 0, x)
        return problem.model.apply(variables, x, train=train, mask=mask)

    method = subject.module.make(subject.config, problem.model._replace(apply=apply))
    for name, step, state, batch in first_steps(method, problem):
        try:
            with jax.debug_key_reuse(True):
                jax.eval_shape(step, state, batch)
        except jax.errors.KeyReuseError:
            text = f"stage {name!r}: two passes in train mode get the same key, or one that is used elsewhere"
            raise AssertionError(f"{text}; split it") from None
        assert all(passes), f"stage {name!r}: apply is called with train=True and without a key"
    if not passes:
        raise NotApplicable("no pass in train mode")


def first_steps(method: Method, problem: Problem) -> Iterator[tuple[str, Callable, Any, Any]]:
    """`(stage, step, state, batch)` of the first step of each stage, the state being that of the beginning."""
    sources, split = copies(problem)
    sources = jax.tree.map(jnp.asarray, sources)
    state = method.init(jax.random.key(1), problem.variables, sources, split)
    if method.with_initial is not None:
        state = method.with_initial(state, initial_weights(problem))
    for number, stage in enumerate(method.plan(split)):
        spec, rows = specify(stage.feed(np.random.default_rng(number), state))
        row = [tuple(array[0] for array in arrays) for arrays in rows]
        keys = jax.random.key(2), jax.random.key(3)
        yield stage.name, stage.step, state, gather(spec, row, sources, PLAIN_VIEWS, *keys)


def _another_network(model: Model, variables: Variables, x: Any) -> None:
    logits, features, stats = model.apply(variables, jnp.asarray(x))
    assert logits.ndim == 2 and len(logits) == len(x), "the new model's logits must be [B,K]"
    assert bool(jnp.isfinite(logits).all()), "the new model's logits are not finite"
    assert len(features["embedding"]) == len(x), (
        'the new model\'s features["embedding"] must be [B,D]'
    )
    changes = numbers_differ(variables.stats, stats)
    assert not changes, f"the new model changes its stats in eval mode: {changes}"
    fresh = jax.eval_shape(model.init, jax.random.key(0), jnp.asarray(x[:1]))
    changes = kinds_differ(fresh, variables)
    assert not changes, f"the result is not like what the new model's init draws: {changes}"


def _deleted(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and leaf.is_deleted()
