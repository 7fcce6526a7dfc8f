"""The library for a person with a model and arrays of their own: `train`, `train_many`, `unlearn`, `evaluate`."""

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np

from junlearn import many, methods, relearn
from junlearn.engine.batches import PLAIN_VIEWS
from junlearn.engine.checkpoint import Store
from junlearn.engine.inputs.arrays import kind_of
from junlearn.engine.inputs.networks import network_of, shapes_of
from junlearn.engine.inputs.options import MANY_OPTIONS, key_of, sort_options
from junlearn.engine.run import Result, run
from junlearn.engine.showing import Shown, counted, shown
from junlearn.errors import ConfigError
from junlearn.experiment.configured import configured
from junlearn.experiment.conversion import convert
from junlearn.interactive.judging import Judge, Numbers
from junlearn.methods import finetune, needs_of
from junlearn.methods import retrain as retraining
from junlearn.metrics import DEFAULT_METRICS, Metric
from junlearn.metrics.evaluation import Evaluation
from junlearn.plugins.method_names import MethodName
from junlearn.scenarios.split_off import check_needs, divide, fitting, labelled, split_of
from junlearn.train import initial as initial_weights
from junlearn.train import train as train_fresh
from junlearn.types import Data, Key, Model, Sources, Split, Variables, View

__all__ = [
    "evaluate",
    "initial",
    "split_off",
    "train",
    "train_many",
    "unlearn",
]


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
    return divide(labelled(data), forget, classes)


def initial(model: Model, data: Data | Sources, *, key: Key | int) -> Variables:
    """The weights that `train` with this key began from; `unlearn` takes them as `initial` for a method in need.

    Raises ConfigError as `train` does.
    """
    sources = labelled(data)
    shapes_of(model, sources)
    return initial_weights(model, sources, key=key_of(key))


def train(model: Model, data: Data | Sources, *, key: Key | int, **options: Any) -> Result:
    """Train a fresh network on all of `data` (or of `data["train"]`).

    `data` is Data, a pair `(x, y)`, or a dict with one of them under "train"; lists, tensors and labels of any number
    type are converted. `key` may be a whole number, its seed. `options` are fields of the recipe
    (`junlearn.methods.retrain.Config`) and keywords of `junlearn.engine.run.run`. The result holds `variables`,
    `history` (metrics of every epoch) and `seconds`; it prints as one line, `print(result.table())` has a row a stage.

    `progress="auto"` shows bars on a terminal and in a notebook, and nothing in a log; None is silence, and a function
    is called with `(stage, steps done, steps in all, metrics)` about twice a second.

    Raises ConfigError, before anything is compiled, for arrays that do not fit each other or the model (columns of
    other lengths, labels out of range, pixels that are not finite), a model with a single logit, and options that do
    not exist or are out of range.
    """
    fields, runs = sort_options(options)
    recipe = convert(retraining.Config, fields, "train")
    key = key_of(key)
    sources, _ = fitting(model, data, runs.get("views"))
    progress = runs.pop("progress", "auto")
    with shown("train", progress) as watcher, watcher.following("") as follow:
        return train_fresh(recipe, model, sources, key=key, progress=follow, **runs)


def train_many(
    model: Model,
    data: Data | Sources,
    retains: Sequence[np.ndarray | Sequence[int]] | None = None,
    *,
    forgets: Sequence[np.ndarray | Sequence[int]] | None = None,
    store: Store | str | PathLike[str] | None = None,
    **options: Any,
) -> many.Many:
    """Train many fresh networks at once: one on each set of rows in `retains`, or on all rows but those of each set in
    `forgets`, or with neither one on all rows for each of `keys`.

    `options` are fields of the recipe, as of `train`, and keywords of `junlearn.many.train_many`: `keys`, `seeds`,
    `views`, `how`, `places`, `loop`, `mesh`, `memory`, `progress`, `log`. Network i is the one that `train` gives on
    the same rows with the same key and seed, to rounding. `junlearn.pick(result, i)` takes it out; `history` and
    `seconds` are as in `train`. So is `progress`, but that a function is called with `(done, total)`, the steps of all
    networks that are trained.

    `store`: a directory in which each network is kept as soon as its chunk is done. The same call goes on from there,
    and one with more sets or keys at the end trains these alone. `mesh`: the devices that the networks are spread over.

    Raises ConfigError as `train` does, and for sets, keys or seeds that do not fit each other; CheckpointError where
    the networks in `store` are of another training.
    """
    fields, runs = sort_options(options, MANY_OPTIONS)
    recipe = convert(retraining.Config, fields, "train_many")
    sources, _ = fitting(model, data, runs.get("views"))
    if forgets is not None:
        if retains is not None:
            raise ConfigError("train_many: give retains or forgets, not both")
        if not isinstance(forgets, Iterable):
            raise ConfigError(
                f"train_many: forgets is {kind_of(forgets)}: a list of sets is wanted"
            )
        retains = [divide(sources, rows).retain for rows in forgets]
    with counted("train_many", runs.pop("progress", "auto")) as count:
        return many.train_many(recipe, model, sources, retains, store=store, progress=count, **runs)


def unlearn(
    model: Model,
    variables: Numbers,
    data: Data | Sources,
    split: Split | np.ndarray | Sequence[int],
    method: MethodName | Any = "finetune",
    *,
    key: Key | int,
    **options: Any,
) -> Result:
    """Make a trained network forget.

    `data` is the training set, or a dict with it under "train"; uint8 images are scaled to [0, 1], float arrays taken
    as they are (other `views` can be passed). `variables` may be Flax's own dict of collections. `split` is a Split or
    the indices to forget. `options` are fields of the method's `Config` and keywords of `junlearn.engine.run.run`. The
    result holds `variables` (and `model`, should the method change it), `history` and `seconds`.

    `method` is a name, that of a preset too (`"potion"`), a method's filled `Config` (`scrub.Config(alpha=1)`, beside
    which there are no fields in `options`), or a method of one's own: a module or any object with `Config`, `make` and
    `NEEDS`. `junlearn.options("scrub")` lists the fields. `progress` is that of `train`.

    Raises ConfigError for a method or a field that does not exist, a value out of range, arrays that `train` refuses,
    `variables` that are none, not finite or of another model, and a Split with rows that are out of range, repeated,
    or both forgotten and retained.
    """
    fields, runs = sort_options(options)
    name, thing, settings = configured(method, fields)
    key = key_of(key)
    sources, shapes = fitting(model, data, runs.get("views"))
    split = split_of(sources, split, shapes.classes)
    check_needs(name, needs_of(thing, settings), split)
    start = network_of(variables, shapes)
    if runs.get("initial") is not None:
        runs["initial"] = network_of(runs["initial"], shapes, "initial")
    built = methods.build(thing, settings, model)
    progress = runs.pop("progress", "auto")
    with shown(name, progress) as watcher, watcher.following(name) as follow:
        return run(built, model, start, sources, split, key=key, progress=follow, **runs)


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
    metrics: Sequence[str | Metric] | str = DEFAULT_METRICS,
    train_view: str = "eval",
    relearning: finetune.Config = relearn.DEFAULT,
    progress: Shown = "auto",
) -> Evaluation:
    """Judge a network: every metric for which the data and the reference networks are there.

    `original`, `retrain` and `random` are networks of `reference_model` (None: of the same model): before unlearning,
    trained without the forget set, and untrained; all of them, as `variables`, may be Flax's own dicts. A method that
    changes the network leaves its own in `Result.model`, which is then `model` here. Keys of the result name metric and
    split, such as `accuracy/forget_train`. `relearning` is the fine-tuning of the metrics "relearn" and "anamnesis",
    its `epochs` their cap, and of "relearn_retain". Training examples are seen through the view `train_view` of
    `views`: "augment" judges them augmented as in training. `metrics` holds names, and functions of one's own that take
    a `junlearn.metrics.Context` and give numbers by name. `progress` is that of `train`.

    The result is a dict that prints by families of metrics; `print(result.table())` has a row a value.

    Warns once where the outputs of a network are probabilities: metrics and losses take logits; and where fewer than 30
    examples are forgotten, of which a rate says little.

    Raises ConfigError for a metric or a view that does not exist, and for data, a split or networks that `unlearn`
    refuses.
    """
    with shown("evaluate", progress) as watcher:
        judge = Judge(
            model,
            data,
            split,
            references={"original": original, "retrain": retrain, "random": random},
            reference_model=reference_model,
            views=views,
            metrics=metrics,
            train_view=train_view,
            relearning=relearning,
            watcher=watcher,
        )
        return judge.values(model, variables)
