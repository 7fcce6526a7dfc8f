"""A comparison of methods in one call: train, unlearn, evaluate, and a table."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from junlearn import api, relearn
from junlearn.engine.batches import PLAIN_VIEWS
from junlearn.engine.inputs.networks import network_of
from junlearn.engine.inputs.options import key_of, seed_of, sort_options
from junlearn.engine.run import Result
from junlearn.engine.showing import Shown, Watcher, shown
from junlearn.errors import ConfigError, short
from junlearn.experiment.configured import configured
from junlearn.experiment.conversion import convert
from junlearn.experiment.evaluate import of_the_machine
from junlearn.experiment.own_records import record_of
from junlearn.interactive.judging import Judge, Numbers
from junlearn.interactive.method_comparison import MethodComparison
from junlearn.methods import build, finetune, needs_of
from junlearn.methods import retrain as retraining
from junlearn.metrics import DEFAULT_METRICS, Metric, Network
from junlearn.plugins.method_names import MethodName
from junlearn.scenarios.split_off import check_needs, fitting, split_of
from junlearn.types import Data, Key, Model, Sources, Split, View

__all__ = ["compare_methods"]

OF_RUNS = ("initial", "loop", "mesh")
"""Keywords of the runs of the methods and of the retraining."""
WHERE = "compare_methods"


def compare_methods(
    model: Model,
    variables: Numbers,
    data: Data | Sources,
    split: Split | np.ndarray | Sequence[int],
    methods: Sequence[MethodName | Any] | Mapping[str, Any],
    *,
    key: Key | int | None = None,
    seeds: Sequence[int] | None = None,
    retrain: bool | Result | Numbers | None = True,
    random: Numbers | None = None,
    views: Mapping[str, View] = PLAIN_VIEWS,
    metrics: Sequence[str | Metric] | str = DEFAULT_METRICS,
    train_view: str = "eval",
    relearning: finetune.Config = relearn.DEFAULT,
    dataset: str = "arrays",
    network: str = "model",
    progress: Shown = "auto",
    **options: Any,
) -> MethodComparison:
    """Run methods on one network and split, and judge each beside the original and the retrained network.

    `methods` holds what `unlearn` takes: names, presets, filled Configs, methods of one's own. Several settings of one
    method get labels, as pairs `(label, method)` or as a dict. `retrain=True` trains the retrained network by the
    fields of the recipe among `options` (those that `variables` was trained with); it can be given, or None: then there
    is none, and metrics that read it are missing. `options` can also hold `initial`, `loop` and `mesh` of `unlearn`.
    The numbers are those of separate calls with the same `key`: `unlearn(..., method="retrain", key=key, **recipe)`,
    `unlearn(..., method=..., key=key)`, then `evaluate(..., original=variables, retrain=...)`. It should not be the key
    that the original was trained with. With `seeds` in its place each seed s is a run with `key=s, seed=s`. All else is
    as in `evaluate`; `dataset` and `network` are names to find the records by.

    A method that fails while it runs is named in `failures` and does not keep the others from running. Raises
    ConfigError as `unlearn` and `evaluate` do, before anything is trained, and DivergedError where the retrained
    network diverges.
    """
    asked = _asked(methods)
    fields, runs = sort_options(options, OF_RUNS)
    trains = retrain is True
    if fields and not trains:
        raise ConfigError(
            f"{WHERE}: {', '.join(fields)} would be for the training of the retrained network, which is given or not "
            "wanted: retrain=True trains it"
        )
    convert(retraining.Config, fields, WHERE)
    places = _places(key, seeds)
    sources, shapes = fitting(model, data, views)
    split = split_of(sources, split, shapes.classes)
    original = network_of(variables, shapes)
    for label, method in asked.items():
        _check(label, method, model, split, runs)
    known = retrain if isinstance(retrain, Result) else None
    given = None if isinstance(retrain, bool) else known.variables if known else retrain
    labels = [*["retrain"] * trains, "original", *asked]
    found = MethodComparison(None if seeds is None else [seed for seed, _ in places])
    with shown(WHERE, progress) as watcher, watcher.whole("networks", labels * len(places)):
        work = _Work(
            *(model, original, sources, split, found, watcher),
            runs={**runs, "views": views},
            judging={
                "random": random,
                "views": views,
                "metrics": metrics,
                "train_view": train_view,
                "relearning": relearning,
            },
            names={"dataset": dataset, "model": network},
        )
        # A mistake in what is judged is an error before anything is trained.
        judge = work.judge(given, warns=(WHERE, 4))
        for seed, own_key in places:
            how = {"key": own_key, **({} if seeds is None else {"seed": seed})}
            if trains:
                with watcher.timed("retrain"):
                    known = work.ran("retrain", "retrain", {**how, **fields})
                judge = work.judge(known.variables)
            with watcher.timed("original"):
                work.add(judge, ("original", seed), "original", (model, original), None, how)
            if known is not None or given is not None:
                numbers = given if known is None else known.variables
                told = {**how, **fields} if trains else {}
                work.add(judge, ("retrain", seed), "retrain", (model, numbers), known, told)
            for label, method in asked.items():
                with watcher.timed(label):
                    work.attempt(judge, (label, seed), method, how)
    return found


class _Work:
    """The arguments of a call, and what is done with them for each network."""

    def __init__(
        self,
        model: Model,
        original: Any,
        sources: Sources,
        split: Split,
        found: MethodComparison,
        watcher: Watcher,
        *,
        runs: dict[str, Any],
        judging: dict[str, Any],
        names: dict[str, str],
    ) -> None:
        self.model, self.original, self.sources, self.split = model, original, sources, split
        self.found, self.watcher = found, watcher
        self.runs, self.judging, self.names = runs, judging, names

    def judge(self, retrained: Any, warns: tuple[str, int] | None = None) -> Judge:
        """What judges the networks beside this retrained one; `warns` as in `Judge`."""
        judging = dict(self.judging)
        references: dict[Network, Any]
        references = {
            "original": self.original,
            "retrain": retrained,
            "random": judging.pop("random"),
        }
        given = (self.model, self.sources, self.split)
        return Judge(*given, references=references, watcher=self.watcher, warns=warns, **judging)

    def ran(self, label: str, method: Any, options: Mapping[str, Any]) -> Result:
        """What a method leaves."""
        given = (self.model, self.original, self.sources, self.split, method)
        with self.watcher.following(label, label) as follow:
            return api.unlearn(*given, **{**self.runs, **options}, progress=follow)

    def add(
        self,
        judge: Judge,
        place: tuple[str, int],
        method: Any,
        network: tuple[Model, Any],
        result: Result | None,
        told: Mapping[str, Any],
    ) -> None:
        """Judge a network and put down what was found."""
        label, seed = place
        role: Network = label if label in ("original", "retrain") else "model"  # type: ignore[assignment]
        values = judge.values(*network, label, role, stacklevel=3)
        record = record_of(
            *(values, self.sources, self.split, method, result),
            **{**self.names, "label": label, **told},
        )
        self.found.add(label, seed, record, result, values)

    def attempt(
        self, judge: Judge, place: tuple[str, int], method: Any, how: Mapping[str, Any]
    ) -> None:
        """Run and judge a method; where it fails that is put down."""
        try:
            done = self.ran(place[0], method, how)
            self.add(judge, place, method, (done.model, done.variables), done, how)
        except Exception as error:
            if of_the_machine(error):
                raise
            self.found.failures[self.found.key(*place)] = error


def _asked(methods: Any) -> dict[str, Any]:
    """Label -> what `unlearn` takes. Raises ConfigError for no method, and two of one label."""
    if isinstance(methods, str) or not isinstance(methods, Iterable):
        methods = [methods]
    pairs = [
        each if isinstance(each, tuple) and len(each) == 2 else (None, each)
        for each in (methods.items() if isinstance(methods, Mapping) else methods)
    ]
    found: dict[str, Any] = {}
    for given, method in pairs:
        label = given
        if label is None:
            label = method if isinstance(method, str) else configured(method, {}).name
        if not isinstance(label, str) or not label:
            raise ConfigError(f"{WHERE}: {short(label)} is no label of a method: text is wanted")
        if label in ("original", "retrain"):
            raise ConfigError(
                f"{WHERE}: {label} is no method here: the original is there anyway, and retrain=True trains the "
                "retrained network"
            )
        if label in found:
            raise ConfigError(
                f"{WHERE}: two methods are called {label!r}: give pairs (label, method), or a dict"
            )
        found[label] = method
    if not found:
        raise ConfigError(f"{WHERE}: there is no method to compare")
    return found


def _places(key: Any, seeds: Any) -> list[tuple[int, Key]]:
    """The seed and the key of each run."""
    if (key is None) == (seeds is None):
        raise ConfigError(f"{WHERE}: give a key, or seeds for several runs of each method")
    if seeds is None:
        return [(0, key_of(key))]
    if isinstance(seeds, str) or not isinstance(seeds, Iterable):
        raise ConfigError(f"{WHERE}: seeds is {short(seeds)}: several whole numbers are wanted")
    found = [seed_of(seed, f"{WHERE}: seeds[{i}]") for i, seed in enumerate(seeds)]
    if not found or len(set(found)) < len(found):
        raise ConfigError(f"{WHERE}: seeds are different numbers, one at least: {short(found)}")
    return [(seed, key_of(seed)) for seed in found]


def _check(label: str, method: Any, model: Model, split: Split, runs: Mapping[str, Any]) -> None:
    """Raises ConfigError for a method that cannot run, before another one has taken its time."""
    name, thing, settings = configured(method, {}, label)
    check_needs(name, needs_of(thing, settings), split)
    built = build(thing, settings, model)
    if built.with_initial is not None and runs.get("initial") is None:
        raise ConfigError(
            f"{label}: this method needs the weights that the original's training began from: pass "
            "initial=junlearn.initial(model, data, key=...) with the key of that training"
        )
