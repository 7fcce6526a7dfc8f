"""The library for a person with a model and arrays of their own: `train`, `train_many`, `unlearn`, `evaluate`."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from junlearn import config, judge, many, records, relearn
from junlearn import train as training
from junlearn.batches import PLAIN_VIEWS
from junlearn.datasets.cache import digests, fingerprint
from junlearn.errors import ConfigError, unknown
from junlearn.methods import METHODS, finetune, made
from junlearn.methods import retrain as retraining
from junlearn.metrics import (
    DEFAULT_METRICS,
    Context,
    Curve,
    Network,
    Outputs,
    Relearned,
    compute,
    costly,
)
from junlearn.run import Result, run
from junlearn.scenarios.class_names import resolve
from junlearn.scenarios.partition import partition
from junlearn.scenarios.whole_class import of_classes
from junlearn.types import Data, Key, Model, PyTree, Sources, Split, Variables, View

__all__ = [
    "evaluate",
    "initial",
    "split_off",
    "train",
    "train_many",
    "unlearn",
    "write_record",
]

Numbers = Variables | Mapping[str, PyTree]
"""Of a network: `Variables`, or Flax's own dict `{"params": ..., "batch_stats": ...}`, plain or frozen."""

RUN_OPTIONS = ("seed", "initial", "views", "loop", "mesh", "store", "save_seconds", "progress")
"""Keywords of `train` and `unlearn` that go to `junlearn.run.run`; all others are fields of the method's Config."""
MANY_OPTIONS = ("keys", "seeds", "views", "how", "loop", "memory", "progress")
"""The same of `train_many`, for `junlearn.many.train_many`."""


def split_off(
    data: Data | Sources,
    forget: np.ndarray | Sequence[int] | None = None,
    *,
    classes: Sequence[int] | None = None,
) -> Split:
    """The Split that forgets the rows `forget` of the training set, or whole `classes`, and retains the others.

    `forget` holds row numbers, or is a mask bool[N]. With `classes`, numbers of `y`, the test examples of these classes
    are `forget_test`, and methods and metrics know that classes are removed; rows leave `forget_test` empty.

    Raises ConfigError unless one of the two is given, if either set is empty, a row is out of range or given twice, a
    mask has another length, or a class does not exist.
    """
    sources = _sources(data)
    if (forget is None) == (classes is None):
        raise ConfigError(
            "split_off: give either the rows to forget or classes=..., one of the two"
        )
    key = jax.random.key(0)
    if classes is not None:
        labels = [np.asarray(d.y) for name, d in sources.items() if name in ("train", "test")]
        names = [str(number) for number in range(1 + np.concatenate(labels).max())]
        return of_classes(sources, resolve(np.atleast_1d(classes).tolist(), names, "class"), key)
    tests = sources["test"].y.shape[0] if "test" in sources else 0
    return partition(_mark(forget, sources["train"].y.shape[0]), np.zeros(tests, bool), key)


def _mark(forget: np.ndarray | Sequence[int] | None, size: int) -> np.ndarray:
    """bool[N]: which rows are in `forget`."""
    rows = np.asarray(forget)
    if rows.dtype == bool:
        if rows.shape != (size,):
            raise ConfigError(f"forget is a mask of shape {rows.shape}, and there are {size} rows")
        return rows
    if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
        found = f"{rows.dtype}{list(rows.shape)}"
        raise ConfigError(f"forget must be a list of row numbers or a mask, not {found}")
    rows = rows.astype(int)
    if rows.size and not 0 <= rows.min() <= rows.max() < size:
        raise ConfigError(f"forget holds an index outside of 0 to {size - 1}")
    if len(np.unique(rows)) != rows.size:
        raise ConfigError("forget must hold each index only once")
    marked = np.zeros(size, bool)
    marked[rows] = True
    return marked


def initial(model: Model, data: Data | Sources, *, key: Key) -> Variables:
    """The weights that `train` with this key began from; `unlearn` takes them as `initial` for a method in need."""
    return training.initial(model, _sources(data), key=key)


def train(model: Model, data: Data | Sources, *, key: Key, **options: Any) -> Result:
    """Train a fresh network on all of `data` (or of `data["train"]`).

    `options` are fields of the recipe (`junlearn.methods.retrain.Config`) and keywords of `junlearn.run.run`. The
    result holds `variables`, `history` (metrics of every epoch) and `seconds`.
    """
    fields, runs = _sort(options)
    recipe = config.build(retraining.Config, fields, "train")
    return training.train(recipe, model, _sources(data), key=key, **runs)


def train_many(
    model: Model,
    data: Data | Sources,
    retains: Sequence[np.ndarray | Sequence[int]] | None = None,
    *,
    forgets: Sequence[np.ndarray | Sequence[int]] | None = None,
    **options: Any,
) -> many.Many:
    """Train many fresh networks at once: one on each set of rows in `retains`, or on all rows but those of each set in
    `forgets`, or with neither one on all rows for each of `keys`.

    `options` are fields of the recipe, as of `train`, and keywords of `junlearn.many.train_many`: `keys`, `seeds`,
    `views`, `how`, `loop`, `memory`, `progress`. Network i is the one that `train` gives on the same rows with the same
    key and seed, to rounding. `junlearn.pick(result, i)` takes it out; `history` and `seconds` are as in `train`.
    """
    if forgets is not None:
        if retains is not None:
            raise ConfigError("train_many: give retains or forgets, not both")
        retains = [split_off(data, rows).retain for rows in forgets]
    fields, runs = _sort(options, MANY_OPTIONS)
    recipe = config.build(retraining.Config, fields, "train_many")
    return many.train_many(recipe, model, _sources(data), retains, **runs)


def unlearn(
    model: Model,
    variables: Numbers,
    data: Data | Sources,
    split: Split | np.ndarray | Sequence[int],
    method: str = "finetune",
    *,
    key: Key,
    **options: Any,
) -> Result:
    """Make a trained network forget.

    `data` is the training set, or a dict with it under "train"; uint8 images are scaled to [0, 1], float arrays taken
    as they are (other `views` can be passed). `variables` may be Flax's own dict of collections. `split` is a Split or
    the indices to forget. `options` are fields of the method's `Config` and keywords of `junlearn.run.run`. The result
    holds `variables` (and `model`, should the method change it), `history` and `seconds`.

    Raises ConfigError for a method or a field that does not exist, a value out of range, or `variables` that are none.
    """
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    fields, runs = _sort(options)
    settings = config.build(METHODS[method].Config, fields, method)
    if not isinstance(split, Split):
        split = split_off(data, split)
    start = Variables.from_linen(variables)
    return run(made(method, settings, model), model, start, _sources(data), split, key=key, **runs)


def evaluate(
    model: Model,
    variables: Numbers,
    data: Data | Sources,
    split: Split | np.ndarray | Sequence[int],
    *,
    original: Numbers | None = None,
    retrain: Numbers | None = None,
    random: Numbers | None = None,
    reference_model: Model | None = None,
    views: Mapping[str, View] = PLAIN_VIEWS,
    metrics: Sequence[str] = DEFAULT_METRICS,
    train_view: str = "eval",
    relearning: finetune.Config = relearn.DEFAULT,
) -> dict[str, float]:
    """Judge a network: every metric for which the data and the reference networks are there.

    `original`, `retrain` and `random` are networks of `reference_model` (None: of the same model): before unlearning,
    trained without the forget set, and untrained; all of them, as `variables`, may be Flax's own dicts. A method that
    changes the network leaves its own in `Result.model`, which is then `model` here. Keys of the result name metric and
    split, such as `accuracy/forget_train`. `relearning` is the fine-tuning of the metrics "relearn" and "anamnesis",
    its `epochs` their cap, and of "relearn_retain". Training examples are seen through the view `train_view` of
    `views`: "augment" judges them augmented as in training.

    Raises ConfigError for a metric or a view that does not exist, or networks that are none.
    """
    if not {train_view, f"train/{train_view}"} & set(views):
        raise unknown("view", train_view, views)
    sources = {n: jax.tree.map(jnp.asarray, d) for n, d in _sources(data).items()}
    if not isinstance(split, Split):
        split = split_off(data, split)
    references = reference_model or model
    given: dict[Network, Numbers | None] = {
        "model": variables,
        "original": original,
        "retrain": retrain,
        "random": random,
    }
    networks = {n: Variables.from_linen(v) for n, v in given.items() if v is not None}

    def judged(
        owner: Model,
        network: Variables,
        only: Sequence[str] | None = None,
        extra: Sequence[str] = (),
    ) -> Outputs:
        return judge.outputs(
            owner, network, sources, split, views, only, train_view=train_view, extra=extra
        )

    def outputs(role: Network, only: Sequence[str] | None = None) -> Outputs | None:
        if role not in networks:
            return None
        return judged(references, networks[role], only)

    def relearned(role: Network, level: float) -> Relearned:
        owner = model if role == "model" else references
        network, key = networks[role], jax.random.key(0)
        return relearn.relearn(
            relearning, owner, network, sources, split, level, key=key, views=views
        )

    def retained() -> Curve:
        parts = (relearning, model, networks["model"], sources, split, relearning.augment)
        return relearn.relearn_retain(*parts, key=jax.random.key(0), views=views)

    context = Context(
        judged(model, networks["model"], extra=costly(metrics)),
        judge.labels(sources, split, views),
        original=outputs("original"),
        retrain=outputs("retrain"),
        random=outputs("random", judge.ZRF_SPLITS),
        classes=split.classes,
        target=split.target,
        clean=judge.clean(sources, split, views),
        sample=judge.sample(split),
        networks=networks,
        relearn=relearned,
        relearn_retain=retained,
    )
    return compute(context, metrics)


def write_record(
    path: str | os.PathLike[str],
    metrics: dict[str, float],
    data: Data | Sources,
    split: Split | np.ndarray | Sequence[int],
    method: str,
    result: Result | None = None,
    *,
    dataset: str,
    model: str,
    key: Key | None = None,
    **options: Any,
) -> records.Record:
    """Append what `evaluate` found to a file such as `records.jsonl`, in the form of the command line's records.

    `method` is what `unlearn` was called with, "retrain" for the reference, or "original" for the network before; `key`
    and `options` are those of the same call (for the original those of `train`), and `result` is what it returned, for
    its times and history. None of them for a network that was trained elsewhere. `dataset` and `model` are names to
    find the record by. What was forgotten stands in the configuration as the number of rows and their hash, the data as
    the hash of all arrays, and `config_hash` covers all of it.

    Raises ConfigError as `unlearn` and `split_off` do.
    """
    sources = _sources(data)
    if not isinstance(split, Split):
        split = split_off(data, split)
    known = METHODS | {"original": retraining}
    if method not in known:
        raise unknown("method", method, known)
    fields, runs = _sort(options)
    settings = config.plain(config.build(known[method].Config, fields, method))
    own: dict[str, Any] = {"methods": [method], "method": {method: {"name": method, **settings}}}
    if trains := known[method] is retraining:
        own = {"methods": [], "method": {}, "train": settings if result else None}
    resolved = {
        "dataset": {"name": dataset, "fingerprint": fingerprint(digests(sources))},
        "model": {"name": model},
        "scenario": {
            "name": "class" if split.classes else "rows",
            "classes": list(split.classes),
            "forget": len(split.forget),
            "retain": len(split.retain),
            "rows": config.digest(split.forget.tolist()),
        },
        "seed": runs.get("seed", 0),
        "key": None if key is None else np.ravel(jax.random.key_data(key)).tolist(),
        "metrics": sorted(metrics),
        **own,
    }
    role = method if trains else "unlearn"
    record = records.new(resolved, config.digest(resolved), role, method, metrics, result)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    records.append(Path(path), record)
    return record


def _sources(data: Data | Sources) -> Sources:
    return {"train": data} if isinstance(data, Data) else data


def _sort(
    options: dict[str, Any], names: Sequence[str] = RUN_OPTIONS
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fields of a Config, and keywords of the run."""
    runs = {name: value for name, value in options.items() if name in names}
    if runs.get("initial") is not None:
        runs["initial"] = Variables.from_linen(runs["initial"])
    return {name: value for name, value in options.items() if name not in runs}, runs
