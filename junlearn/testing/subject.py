"""A method under test: its runs on the tiny problems, each made once and shared by the checks that compare with it."""

import copy
import functools
import unittest
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from junlearn.engine import interrupts
from junlearn.engine.run import Result, run
from junlearn.errors import ConfigError, DivergedError
from junlearn.testing.differences import kinds_differ
from junlearn.testing.limits import quick
from junlearn.testing.problems import Problem, initial_weights, shortened, tiny, validated
from junlearn.types import Method, PyTree, Sources, Split, Stage

__all__ = ["NotApplicable", "Plain", "Subject", "Trace", "copies", "missing", "told"]

PARTS = {
    "Config": "a frozen dataclass of its hyper-parameters",
    "make": "make(config, model) -> junlearn.types.Method",
    "NEEDS": "a frozenset of the data that it reads, such as forget.x",
}
"""What a method is: the names that it must have, and what each is."""


class NotApplicable(unittest.SkipTest):
    """A check has nothing to look at in this method; pytest skips the test in which it is raised."""


class Fault(Exception):
    """Why a plain run did not come to its end, and the name of the check that is about it."""

    def __init__(self, check: str, text: str) -> None:
        super().__init__(text)
        self.check = check


class Trace(NamedTuple):
    """Shapes and dtypes that a step was traced with."""

    state: PyTree
    after: PyTree
    metrics: PyTree


class Plain(NamedTuple):
    """A run of the whole plan, which others are compared with."""

    result: Result
    traces: list[list[Trace]]
    """The traces of each step of the plan; stages that share a step count once."""
    before: tuple[Sources, Split]
    """What the run was given, copied before it."""
    after: tuple[Sources, Split]
    """The same arrays, after the run."""
    reports: int
    """How often the run reported its progress."""


def missing(method: Any) -> str:
    """What an object lacks to be a method, with what that is, in a line; empty where it has all."""
    return "; ".join(f"{name} ({PARTS[name]})" for name in PARTS if not hasattr(method, name))


def told(error: BaseException) -> str:
    """An exception in one line: its kind and the first line of its text."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__


class Subject:
    """A method, its settings and the problems that it is checked on.

    `module` is any object with `Config`, `make` and `NEEDS`: a module of `junlearn.methods`, or of your own. `config`
    defaults to `quick(module.Config)`. `problem` takes the place of both tiny problems. In these a few examples are in
    neither set, and there is a validation set where the method needs one. Raises ConfigError for an object that is no
    method.
    """

    def __init__(self, module: Any, config: Any = None, problem: Problem | None = None) -> None:
        if lacks := missing(module):
            raise ConfigError(f"a method has {', '.join(PARTS)}; this one lacks {lacks}")
        self.module = module
        self.config = quick(module.Config) if config is None else config
        reads = any(name.startswith("validation.") for name in self.needs)
        tinies = [shortened(tiny(kind)) for kind in ("mlp", "convnet")]
        dense, normed = [validated(made) if reads else made for made in tinies]
        self.dense = dense if problem is None else problem
        """The problem of most checks."""
        self.normed = normed if problem is None else problem
        """The problem of those that look at BatchNorm and convolutions too."""
        self.unrepeated: str | None = None
        """How a second run differs from the first, empty where it does not; None as long as nobody has asked."""
        self._steps: dict[Any, dict[int, Callable]] = {}
        self._traces: dict[Any, dict[Callable, list[Trace]]] = {}
        self._plain: dict[Any, Plain | Fault] = {}

    @property
    def needs(self) -> frozenset[str]:
        """What the method reads with this config: its `needs(config)`, where it has one, or its NEEDS."""
        own = getattr(self.module, "needs", None)
        return self.module.NEEDS if own is None else own(self.config)

    def method(self, problem: Problem) -> Method:
        """The method for the network of `problem`, made anew but for its steps.

        Steps are pure, and compiled once: they are those of the first Method that was made for this network. Whatever
        else a method keeps to itself is new, as in another process.
        """
        made = self.module.make(self.config, problem.model)
        steps = self._steps.setdefault(problem.model, {})

        def plan(split: Split) -> list[Stage]:
            stages = made.plan(split)
            for number, stage in enumerate(stages):
                if number not in steps:
                    steps[number] = self._watched(problem, stage)
            return [stage._replace(step=steps[number]) for number, stage in enumerate(stages)]

        return made._replace(plan=plan)

    def anew(self, problem: Problem) -> Method:
        """The method with steps of its own, which are traced and compiled again."""
        return self.module.make(self.config, problem.model)

    def run(self, problem: Problem, method: Method | None = None, **options: Any) -> Result:
        """A run from the problem's weights with a fixed key; no random key may be used twice in it.

        It gets copies of the problem's arrays. `options` are those of `junlearn.engine.run.run`.
        """
        sources, split = options.pop("inputs", None) or copies(problem)
        options = {"loop": "python"} | options
        with jax.debug_key_reuse(True):
            return run(
                self.method(problem) if method is None else method,
                problem.model,
                problem.variables,
                sources,
                split,
                key=jax.random.key(5),
                initial=initial_weights(problem),
                **options,
            )

    def other(
        self, what: str, problem: Problem, method: Method | None = None, **options: Any
    ) -> Result:
        """As `run`, of a run that must work as the plain one did. Raises AssertionError, which begins with `what`."""
        try:
            return self.run(problem, method, **options)
        except Exception as error:
            if interrupts.behind(error) is not None:
                raise
            raise AssertionError(f"{what}, the run stops: {told(error)}") from error

    def plain(self, problem: Problem, asked: str = "") -> Plain:
        """The run of the method that others are compared with, done once.

        Where it does not come to its end: raises AssertionError if the check `asked` is about the reason, else
        NotApplicable.
        """
        if problem.model not in self._plain:
            self._plain[problem.model] = self._run_plain(problem)
        found = self._plain[problem.model]
        if isinstance(found, Plain):
            return found
        if found.check == asked:
            raise AssertionError(str(found)) from found
        raise NotApplicable(f"the plan does not run to its end; see {found.check}")

    def stages(self, problem: Problem) -> list[Stage]:
        """The method's plan. Raises NotApplicable where it has no stage."""
        stages = self.method(problem).plan(copies(problem)[1])
        if not stages:
            raise NotApplicable("the plan has no stages")
        return stages

    def _run_plain(self, problem: Problem) -> Plain | Fault:
        inputs, before = copies(problem), copies(problem)
        reports = 0

        def progress(*_: Any) -> None:
            nonlocal reports
            reports += 1

        try:
            result = self.run(problem, inputs=inputs, progress=progress)
        except Exception as error:
            if interrupts.behind(error) is not None:
                raise
            return _fault(error)
        traces = [list(found) for found in self._traces.get(problem.model, {}).values()]
        return Plain(result, traces, before, inputs, reports)

    def _watched(self, problem: Problem, stage: Stage) -> Callable:
        """The stage's step, which notes what it is traced with; the same for stages that share one."""
        of_model = self._traces.setdefault(problem.model, {})
        inner = stage.step
        for known in self._steps[problem.model].values():
            if getattr(known, "__wrapped__", None) is inner:
                return known
        traces: list[Trace] = []

        @functools.wraps(inner)
        def step(state: PyTree, batch: PyTree) -> tuple[PyTree, Any]:
            after, metrics = inner(state, batch)
            trace = Trace(*jax.tree.map(jax.typeof, (state, after, metrics)))
            traces.append(trace)
            if changes := kinds_differ(trace.state, trace.after):
                raise Fault("fixed_point", f"stage {stage.name!r}: after a step {changes}")
            wide = [name for name, value in trace.metrics.items() if value.shape != ()]
            if wide:
                text = f"stage {stage.name!r}: metrics must be scalars: {', '.join(wide)}"
                raise Fault("fixed_point", text)
            return after, metrics

        of_model[step] = traces
        return step


def copies(problem: Problem) -> tuple[Sources, Split]:
    """Arrays of the same numbers, so that a method that changes its input spoils no other run."""
    return jax.tree.map(np.array, problem.sources), copy.deepcopy(problem.split)


def _fault(error: Exception) -> Fault:
    text = str(error)
    if isinstance(error, Fault):
        return error
    if isinstance(error, DivergedError):
        return Fault("finite", text)
    if isinstance(error, jax.errors.KeyReuseError):
        return Fault(
            "keys", f"a random key is used twice; split it, or fold in a number: {told(error)}"
        )
    if "deleted" in text or "donated" in text:
        return Fault(
            "donation",
            f"an array of an earlier state is read, which its step has consumed: {told(error)}",
        )
    return Fault("runs", f"the run stops: {told(error)}")
