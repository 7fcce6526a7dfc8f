"""The pictures for Python, `junlearn.plots`: each function returns a matplotlib figure, which a notebook shows.

`gaps`, `trade_off`, `time_quality`, `curves`, `relearning` and `over_requests` take records: a list of them, or the
path of a `records.jsonl`, or of the directory of a run or of a sweep over one problem. `class_accuracy`, `confusion`,
`embedding` and `confidences` ask networks in memory. `save` writes a figure as PNG, SVG or PDF, the same bytes each
time.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from junlearn.comparison.gathering import gathered, logs
from junlearn.comparison.placing import placed
from junlearn.engine.batches import PLAIN_VIEWS
from junlearn.engine.inputs.networks import network_of, shapes_of
from junlearn.engine.inputs.options import check_views
from junlearn.engine.run import Result
from junlearn.errors import ConfigError, short
from junlearn.experiment import records as records_file
from junlearn.experiment.asking import Answers, asking
from junlearn.experiment.records import Record
from junlearn.reports import requests, style
from junlearn.reports.pictures import class_accuracy as by_class
from junlearn.reports.pictures import confidences as confidence
from junlearn.reports.pictures import confusion as confused
from junlearn.reports.pictures import curves as training
from junlearn.reports.pictures import embedding as embedded
from junlearn.reports.pictures import gaps as distances
from junlearn.reports.pictures import over_requests as stream
from junlearn.reports.pictures import relearn_curves as relearned
from junlearn.reports.pictures import time_quality as times
from junlearn.reports.pictures import trade_off as traded
from junlearn.reports.pictures.one_plane import principal, stochastic
from junlearn.scenarios.split_off import fitting, split_of
from junlearn.types import Data, Model, Sources, Split, Variables, View

__all__ = [
    "class_accuracy",
    "confidences",
    "confusion",
    "curves",
    "embedding",
    "gaps",
    "over_requests",
    "relearning",
    "save",
    "time_quality",
    "trade_off",
]

Records = Sequence[Record] | str | os.PathLike[str]
NEEDED = {"dataset", "model", "scenario", "method", "role", "metrics", "seconds", "config"}
"""What every record has."""
Networks = Mapping[str, Any]
"""Label -> `Variables`, Flax's own dict, or a `Result`; "original" and "retrain" are the networks of these roles."""


def gaps(records: Records) -> Figure:
    """How far each network is from the retrained one: a panel a metric, a dot a network, with deviations over runs.

    Raises ConfigError where there is nothing to compare.
    """
    return _drawn("gaps", distances.gaps, _last(records))


def trade_off(records: Records) -> Figure:
    """Accuracy on what is kept against that on what is to be forgotten; the star is the retrained network.

    Raises ConfigError where no network has both.
    """
    return _drawn("trade_off", traded.trade_off, _last(records))


def time_quality(records: Records) -> Figure:
    """Seconds against the mean absolute distance from the retrained network, in points.

    Raises ConfigError where there is nothing to measure it by.
    """
    return _drawn("time_quality", times.time_quality, _last(records))


def curves(records: Records) -> Figure:
    """Losses and accuracies of each epoch of training and unlearning, all networks in one grid.

    Raises ConfigError where no record has a history.
    """
    found = _last(records)
    titles = training.heading(found) if found else ()
    return _drawn(
        "curves", lambda rows: training.curves(training.panels(rows), titles=titles), found
    )


def relearning(records: Records) -> Figure:
    """How the forget set stays behind while the networks are trained on the retain set again.

    Raises ConfigError where no record has the metric `relearn_retain`.
    """
    return _drawn("relearning", relearned.relearning, _last(records))


def over_requests(records: Records) -> Figure:
    """Every network over the requests of a stream. Raises ConfigError where there are no several."""
    return _drawn("over_requests", stream.over_requests, _read(records))


def class_accuracy(
    model: Model,
    data: Data | Sources,
    split: Split | np.ndarray | Sequence[int],
    networks: Networks,
    *,
    classes: Sequence[str] | None = None,
    views: Mapping[str, View] = PLAIN_VIEWS,
) -> Figure:
    """Accuracy on the test examples of every class, by every network, in percent.

    `networks` names each network: `{"original": trained, "ssd": result, "retrain": retrained}`. A value is what `train`
    or `unlearn` returned, or its variables. `classes` are the names of the K classes. Raises ConfigError for data,
    a split or networks that `evaluate` refuses, and without test examples; so do the functions below.
    """
    found = _tested("class_accuracy", _asked(model, data, split, networks, classes, views), data)
    return _drawn("class_accuracy", by_class.class_accuracy, found)


def confusion(
    model: Model,
    data: Data | Sources,
    split: Split | np.ndarray | Sequence[int],
    networks: Networks,
    *,
    classes: Sequence[str] | None = None,
    views: Mapping[str, View] = PLAIN_VIEWS,
) -> Figure:
    """What each network takes the test examples of every class for, each row in percent of itself."""
    found = _tested("confusion", _asked(model, data, split, networks, classes, views), data)
    return _drawn("confusion", lambda a: confused.confusion(a, a.networks), found)


def embedding(
    model: Model,
    data: Data | Sources,
    split: Split | np.ndarray | Sequence[int],
    networks: Networks,
    *,
    classes: Sequence[str] | None = None,
    views: Mapping[str, View] = PLAIN_VIEWS,
    tsne: bool = False,
) -> Figure:
    """What the head of each network reads of training examples, in one plane, what is to be forgotten marked.

    Every network is laid over the original as a whole, by its retained examples
    (`junlearn.reports.pictures.one_plane`). The plane is that of the first two principal components, or with `tsne`
    that of t-SNE.
    """
    found = _asked(model, data, split, networks, classes, views)
    placed = embedded.plane(found, stochastic if tsne else principal)

    def draw(answers: Answers) -> Figure | None:
        return placed and embedded.embedding(answers, placed, answers.networks, title=" ")

    return _drawn("embedding", draw, found)


def confidences(
    model: Model,
    data: Data | Sources,
    split: Split | np.ndarray | Sequence[int],
    networks: Networks,
    *,
    classes: Sequence[str] | None = None,
    views: Mapping[str, View] = PLAIN_VIEWS,
) -> Figure:
    """How sure each network is of the labels of what was kept, to be forgotten and never seen."""
    found = _asked(model, data, split, networks, classes, views)
    return _drawn("confidences", lambda a: confidence.confidences(a, a.networks), found)


def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure as the suffix says: `.png`, `.svg` or `.pdf`. Raises ConfigError for another one."""
    place = Path(path)
    if place.suffix[1:] not in style.FORMATS:
        raise ConfigError(f"save {place}: a name that ends in .png, .svg or .pdf is wanted")
    style.save(figure, place)
    return place


def _drawn(name: str, draw: Callable[[Any], Figure | None], what: Any) -> Figure:
    figure = draw(what) if what else None
    if figure is None:
        raise ConfigError(f"plots.{name}: there is nothing to draw in what was given")
    return figure


def _tested(name: str, found: Answers, data: Data | Sources) -> Answers:
    """What was asked, where test examples were among it. Raises ConfigError, with the remedy, where they were not."""
    if not isinstance(data, Mapping) or "test" not in data:
        raise ConfigError(
            f"plots.{name}: there is nothing to draw without test examples: data is wanted as "
            '{"train": ..., "test": ...}'
        )
    return found


def _last(records: Records) -> list[Record]:
    return requests.last(_read(records))


def _read(records: Records) -> list[Record]:
    """The records that are meant. Raises ConfigError where there are none, and where they are of several problems."""
    if not isinstance(records, str | os.PathLike):
        return _in_memory(records)
    place = Path(records)
    files = [file for file in (logs(place) if place.is_dir() else [place]) if file.is_file()]
    if not files:
        raise ConfigError(f"{place}: there are no records, which a run leaves in records.jsonl")
    found = [record for file in files for record in records_file.read(file)]
    if len(files) > 1 and found:
        problems = placed(gathered(found, lambda line: None), ["seed"])
        if len(problems) > 1:
            raise ConfigError(
                f"{place}: its records are of {len(problems)} problems, and a picture is of one; the first: "
                f"{problems[0].title}; give the records of one"
            )
    return found


def _in_memory(records: Any) -> list[Record]:
    """Records that are given themselves, or what has `records`."""
    own = getattr(records, "records", records)
    if isinstance(own, Mapping):
        own = [own]
    if not isinstance(own, Iterable):
        raise ConfigError(f"plots: records are wanted, or a path to them, and this is {short(own)}")
    found = list(own)
    for each in found:
        if not isinstance(each, Mapping) or NEEDED - set(each):
            raise ConfigError(f"plots: {short(each)} is no record")
    return found


def _asked(
    model: Model,
    data: Data | Sources,
    split: Split | np.ndarray | Sequence[int],
    networks: Networks,
    classes: Sequence[str] | None,
    views: Mapping[str, View],
) -> Answers:
    """What the networks say of the data."""
    check_views(views)
    if not isinstance(networks, Mapping) or not networks:
        raise ConfigError(
            'networks is wanted as a dict of label and network, such as {"original": trained, "ssd": result}'
        )
    sources, shapes = fitting(model, data, views)
    split = split_of(sources, split, shapes.classes)
    if not len(split.forget):
        raise ConfigError("split.forget is empty: there is nothing to ask the networks about")
    sources = {name: jax.tree.map(jnp.asarray, part) for name, part in sources.items()}
    asked = asking(sources, split, views)
    if classes is not None and len(classes) != shapes.classes:
        raise ConfigError(
            f"classes has {len(classes)} names, and the network {shapes.classes} outputs"
        )
    names = list(map(str, classes or range(shapes.classes)))
    found = []
    for label, given in networks.items():
        own, variables = (
            (given.model, given.variables) if isinstance(given, Result) else (None, given)
        )
        whose, known = model, shapes
        if own is not None and own is not model:
            whose, known = own, shapes_of(own, sources, views, name=label)
        numbers: Variables = network_of(variables, known, label)
        role = label if label in ("original", "retrain") else "unlearn"
        found.append(asked.ask(role, label, whose, numbers))
    return asked.answers(names, found)
