"""The library for a person with a model and arrays of their own: `train`, `train_many`, `unlearn`, `evaluate`."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from junlearn import many, methods, relearn
from junlearn.engine.batches import PLAIN_VIEWS
from junlearn.engine.inputs.arrays import kind_of
from junlearn.engine.inputs.networks import are_probabilities, network_of, shapes_of
from junlearn.engine.inputs.options import MANY_OPTIONS, check_views, key_of, sort_options
from junlearn.engine.run import Result, run
from junlearn.errors import ConfigError, unknown
from junlearn.experiment.conversion import convert
from junlearn.experiment.evaluator import Evaluator, Relearning, Subject
from junlearn.methods import finetune, needs_of
from junlearn.methods import retrain as retraining
from junlearn.metrics import (
    DEFAULT_METRICS,
    Metric,
    Network,
    compute,
    costly,
)
from junlearn.plugins.objects import chosen_method, chosen_metrics
from junlearn.scenarios.split_off import check_needs, divide, fitting, labelled, split_of
from junlearn.train import initial as initial_weights
from junlearn.train import train as train_fresh
from junlearn.types import Data, Key, Model, PyTree, Sources, Split, Variables, View

__all__ = [
    "evaluate",
    "initial",
    "split_off",
    "train",
    "train_many",
    "unlearn",
]

Numbers = Variables | Mapping[str, PyTree]
"""Of a network: `Variables`, or Flax's own dict `{"params": ..., "batch_stats": ...}`, plain or frozen."""

PROBABILITIES = (
    "evaluate: the network gives probabilities (no output is negative, every row sums to 1), and metrics and losses "
    "take logits: leave the softmax out of the network"
)


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


def initial(model: Model, data: Data | Sources, *, key: Key) -> Variables:
    """The weights that `train` with this key began from; `unlearn` takes them as `initial` for a method in need.

    Raises ConfigError as `train` does.
    """
    sources = labelled(data)
    shapes_of(model, sources)
    return initial_weights(model, sources, key=key_of(key))


def train(model: Model, data: Data | Sources, *, key: Key, **options: Any) -> Result:
    """Train a fresh network on all of `data` (or of `data["train"]`).

    `data` is Data, a pair `(x, y)`, or a dict with one of them under "train"; lists, tensors and labels of any number
    type are converted. `key` may be a whole number, its seed. `options` are fields of the recipe
    (`junlearn.methods.retrain.Config`) and keywords of `junlearn.engine.run.run`. The result holds `variables`,
    `history` (metrics of every epoch) and `seconds`.

    Raises ConfigError, before anything is compiled, for arrays that do not fit each other or the model (columns of
    other lengths, labels out of range, pixels that are not finite), a model with a single logit, and options that do
    not exist or are out of range.
    """
    fields, runs = sort_options(options)
    recipe = convert(retraining.Config, fields, "train")
    key = key_of(key)
    sources, _ = fitting(model, data, runs.get("views"))
    return train_fresh(recipe, model, sources, key=key, **runs)


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
    `views`, `how`, `loop`, `memory`, `progress`, `log`. Network i is the one that `train` gives on the same rows with
    the same key and seed, to rounding. `junlearn.pick(result, i)` takes it out; `history` and `seconds` are as in
    `train`.

    Raises ConfigError as `train` does, and for sets, keys or seeds that do not fit each other.
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
    return many.train_many(recipe, model, sources, retains, **runs)


def unlearn(
    model: Model,
    variables: Numbers,
    data: Data | Sources,
    split: Split | np.ndarray | Sequence[int],
    method: Any = "finetune",
    *,
    key: Key,
    **options: Any,
) -> Result:
    """Make a trained network forget.

    `data` is the training set, or a dict with it under "train"; uint8 images are scaled to [0, 1], float arrays taken
    as they are (other `views` can be passed). `variables` may be Flax's own dict of collections. `split` is a Split or
    the indices to forget. `options` are fields of the method's `Config` and keywords of `junlearn.engine.run.run`. The
    result holds `variables` (and `model`, should the method change it), `history` and `seconds`.

    `method` is a name, that of a preset too (`"potion"`), or a method of one's own: a module or any object with
    `Config`, `make` and `NEEDS`.

    Raises ConfigError for a method or a field that does not exist, a value out of range, arrays that `train` refuses,
    `variables` that are none, not finite or of another model, and a Split with rows that are out of range, repeated,
    or both forgotten and retained.
    """
    name, thing, preset = chosen_method(method)
    fields, runs = sort_options(options)
    settings = convert(thing.Config, {**preset, **fields}, name)
    key = key_of(key)
    sources, shapes = fitting(model, data, runs.get("views"))
    split = split_of(sources, split, shapes.classes)
    check_needs(name, needs_of(thing, settings), split)
    start = network_of(variables, shapes)
    if runs.get("initial") is not None:
        runs["initial"] = network_of(runs["initial"], shapes, "initial")
    return run(methods.build(thing, settings, model), model, start, sources, split, key=key, **runs)


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
) -> dict[str, float]:
    """Judge a network: every metric for which the data and the reference networks are there.

    `original`, `retrain` and `random` are networks of `reference_model` (None: of the same model): before unlearning,
    trained without the forget set, and untrained; all of them, as `variables`, may be Flax's own dicts. A method that
    changes the network leaves its own in `Result.model`, which is then `model` here. Keys of the result name metric and
    split, such as `accuracy/forget_train`. `relearning` is the fine-tuning of the metrics "relearn" and "anamnesis",
    its `epochs` their cap, and of "relearn_retain". Training examples are seen through the view `train_view` of
    `views`: "augment" judges them augmented as in training. `metrics` holds names, and functions of one's own that take
    a `junlearn.metrics.Context` and give numbers by name.

    Warns once where the outputs of a network are probabilities: metrics and losses take logits.

    Raises ConfigError for a metric or a view that does not exist, and for data, a split or networks that `unlearn`
    refuses.
    """
    check_views(views)
    if not {train_view, f"train/{train_view}"} & set(views):
        raise unknown("view", train_view, views)
    functions = chosen_metrics(metrics)
    if not isinstance(relearning, finetune.Config):
        raise ConfigError("relearning must be a junlearn.methods.finetune.Config")
    sources, shapes = fitting(model, data, views)
    split = split_of(sources, split, shapes.classes)
    references, others = model, shapes
    if reference_model is not None:
        references = reference_model
        others = shapes_of(references, sources, views, name="reference_model")
    sources = {n: jax.tree.map(jnp.asarray, d) for n, d in sources.items()}
    subject = Subject("model", model, network_of(variables, shapes))
    given: dict[Network, Numbers | None] = {
        "original": original,
        "retrain": retrain,
        "random": random,
    }
    known = {
        role: Subject(role, references, network_of(numbers, others, role))
        for role, numbers in given.items()
        if numbers is not None
    }
    options = {"key": jax.random.key(0), "views": views}
    evaluator = Evaluator(
        sources=sources,
        split=split,
        views=views,
        references={role: partial(known.__getitem__, role) for role in known},
        relearning=Relearning(relearning, options, augment=relearning.augment),
        extra=costly(functions),
        train_view=train_view,
    )
    context = evaluator.context(subject)
    if are_probabilities(context.model.logits):
        warnings.warn(PROBABILITIES, stacklevel=2)
    return compute(context, functions)
