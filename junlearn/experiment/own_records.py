"""The record of a network that was made in Python, in the form of the command line's records."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from junlearn.datasets.cache import digests, fingerprint
from junlearn.engine.inputs.arrays import kind_of
from junlearn.engine.inputs.options import key_of, sort_options, values_of
from junlearn.engine.run import Result
from junlearn.errors import ConfigError, unknown
from junlearn.experiment import records, schema
from junlearn.experiment.configured import configured
from junlearn.experiment.conversion import convert
from junlearn.methods import retrain as retraining
from junlearn.plugins import registry
from junlearn.plugins.source import is_own, source_digest
from junlearn.scenarios.split_off import labelled, split_of
from junlearn.types import Data, Key, Sources, Split

__all__ = ["record_of", "write_record"]


def write_record(
    path: str | os.PathLike[str],
    metrics: dict[str, float],
    data: Data | Sources,
    split: Split | np.ndarray | Sequence[int],
    method: Any,
    result: Result | None = None,
    *,
    dataset: str,
    model: str,
    key: Key | int | None = None,
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
    made = record_of(
        *(metrics, data, split, method, result), dataset=dataset, model=model, key=key, **options
    )
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    return records.append(Path(path), made)


def record_of(
    metrics: dict[str, float],
    data: Data | Sources,
    split: Split | np.ndarray | Sequence[int],
    method: Any,
    result: Result | None = None,
    *,
    dataset: str,
    model: str,
    key: Key | int | None = None,
    label: str | None = None,
    **options: Any,
) -> records.Record:
    """The record that `write_record` appends; `label` is what the method is called in it, by default its name."""
    sources = labelled(data)
    split = split_of(sources, split)
    if not isinstance(result, Result | None):
        raise ConfigError(f"result is {kind_of(result)}: what train or unlearn returned, or None")
    for name, text in (("dataset", dataset), ("model", model)):
        if not isinstance(text, str):
            raise ConfigError(f"{name} is {kind_of(text)}: a name to find the record by is wanted")
    intervals = getattr(metrics, "intervals", None)
    metrics = values_of(metrics)
    if isinstance(method, str) and not registry.is_known("method", method) and method != "original":
        raise unknown("method", method, [*registry.names("method"), "original"])
    original = isinstance(method, str) and method == "original"
    fields, runs = sort_options(options)
    if original:
        name, thing, settings = method, retraining, convert(retraining.Config, fields, method)
    else:
        name, thing, settings = configured(method, fields)
    settings = schema.plain(settings)
    code = {} if is_own(thing) else {"source": source_digest(thing)}
    section = {"name": registry.proper("method", name), **settings, **code}
    label = name if label is None else label
    own: dict[str, Any] = {"methods": [label], "method": {label: section}}
    if trains := thing is retraining:
        own = {"methods": [], "method": {}, "train": settings if result else None}
    resolved = {
        "dataset": {"name": dataset, "fingerprint": fingerprint(digests(sources))},
        "model": {"name": model},
        "scenario": {
            "name": "class" if split.classes else "rows",
            "classes": list(split.classes),
            "forget": len(split.forget),
            "retain": len(split.retain),
            "rows": schema.digest(split.forget.tolist()),
        },
        "seed": runs.get("seed", 0),
        "key": None if key is None else np.ravel(jax.random.key_data(key_of(key))).tolist(),
        "metrics": sorted(metrics),
        **own,
    }
    role = name if trains else "unlearn"
    name_of = schema.digest(resolved)
    return records.new(resolved, name_of, role, label, metrics, result, intervals=intervals)
