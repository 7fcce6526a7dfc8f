"""An audit of a model and arrays of one's own: the networks are trained, unlearned and judged."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np

from junlearn.audit.carry import carry
from junlearn.audit.inquiry import Contender, Inquiry
from junlearn.audit.result import Audit
from junlearn.datasets.cache import digests, fingerprint
from junlearn.engine.batches import PLAIN_VIEWS
from junlearn.engine.inputs.options import sort_options
from junlearn.experiment.auditing import Auditing, check
from junlearn.experiment.configured import configured
from junlearn.experiment.conversion import convert
from junlearn.experiment.progress import Reporter
from junlearn.experiment.schema import digest, plain
from junlearn.files import array_digest
from junlearn.methods import needs_of
from junlearn.methods import retrain as retraining
from junlearn.plugins.registry import proper
from junlearn.plugins.source import is_own, source_digest
from junlearn.scenarios.split_off import check_needs, fitting, split_of
from junlearn.text.terminal import Terminal
from junlearn.types import Data, Model, Sources, Split

__all__ = ["run"]


def run(
    model: Model,
    data: Data | Sources,
    split: Split | Any,
    methods: Mapping[str, Any],
    *,
    models: int = 32,
    bank: str | Path | None = None,
    names: Mapping[str, str] | None = None,
    console: Any = None,
    **options: Any,
) -> Audit:
    """Audit methods on a model and arrays of one's own: train the networks, unlearn, judge.

    `model`, `data` and `split` are those of `junlearn.unlearn`. `methods` has a method by label: a name, or a dict of
    fields with `method` for its name (`{"gentle": {"method": "finetune", "epochs": 1}}`), or a method of one's own.
    `models` and other fields of `[audit]` (`twins`, `design`, `permutations` ...), fields of the recipe of training
    (`epochs`, `learning_rate` ...), and `views`, `loop` and `mesh` of a run go into `options`; `seed` is the audit's,
    and the networks are spread over the devices of `mesh`. With
    `bank`, a directory, the networks are kept there and found again, also by other processes; without it they are gone
    at the end. `names` are `dataset`, `model` and `scenario` for the table; `console` None says nothing meanwhile.

    Returns an Audit, as `compare` does. Raises ConfigError as `junlearn.unlearn` and `compare` do.
    """
    ours = set(Auditing.__dataclass_fields__) - {"models"}
    settings = {name: options.pop(name) for name in list(options) if name in ours}
    auditing: Auditing = convert(Auditing, {"models": models, **settings}, "audit")
    check(auditing)
    fields, runs = sort_options(options, ("views", "loop", "mesh"))
    recipe = convert(retraining.Config, fields, "audit")
    sources, shapes = fitting(model, data, runs.get("views"))
    split = split_of(sources, split, shapes.classes)
    mark = fingerprint(digests({n: _host(d) for n, d in sources.items()}))
    identity = {
        "dataset": {"name": (names or {}).get("dataset", "")},
        "fingerprint": mark,
        "model": _fingerprint(model, sources),
        "train": plain(recipe),
        "initialisation": auditing.seed,
        "order": auditing.seed,
    }
    request = identity | {
        "rows": digest(split.forget.tolist()),
        "retain": digest(split.retain.tolist()),
    }
    contenders = tuple(_contender(label, given, split) for label, given in methods.items())
    nameless = {"dataset": "", "model": "", "scenario": ""}
    about = {**nameless, **(names or {}), "config": {}, "seed": auditing.seed}
    inquiry = Inquiry(
        model,
        {n: jax.tree.map(jax.numpy.asarray, d) for n, d in sources.items()},
        runs.get("views") or PLAIN_VIEWS,
        split,
        recipe,
        contenders,
        dict.fromkeys(("order", "initialisation", "method"), auditing.seed),
        runs.get("loop", "auto"),
        identity,
        request | {"method_seed": auditing.seed},
        {},
        about,
        split.forget,
        runs.get("mesh"),
    )
    reporter = Reporter(Terminal(quiet=True) if console is None else console)
    with tempfile.TemporaryDirectory(prefix="junlearn-") as place:
        directory = Path(place if bank is None else bank)
        return carry(inquiry, auditing, directory, None, reporter, _raise)


def _raise(label: str, error: Exception) -> None:
    raise error


def _contender(label: str, given: Any, split: Split) -> Contender:
    """A method from the name, the fields or the object that a person gives."""
    fields: dict[str, Any] = {}
    method = given
    if isinstance(given, Mapping):
        fields = {name: value for name, value in given.items() if name != "method"}
        method = given.get("method", label)
    name, thing, config = configured(method, fields, label)
    check_needs(name, needs_of(thing, config), split)
    own = proper("method", name) if isinstance(method, str) else name
    code = {} if is_own(thing) else {"source": source_digest(thing)}
    identity = {"name": own, **plain(config), **code}
    return Contender(label, own, thing, config, identity, {})


def _fingerprint(model: Model, sources: Sources) -> str:
    """What tells one network from another without a name: its initial weights, and what they answer."""
    key = jax.random.key(0)
    variables = model.fresh(key, sources)
    logits = model.apply(variables, model.example(sources) + 0.5)[0]
    leaves = [*jax.tree.leaves(variables), logits]
    return digest([array_digest(np.asarray(leaf)) for leaf in leaves])


def _host(data: Data) -> Data:
    return cast(Data, jax.tree.map(np.asarray, data))
