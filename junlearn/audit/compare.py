"""Ensembles from anywhere: arrays of logits in, null bands, p values and verdicts out."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from junlearn.audit.by_example import by_example
from junlearn.audit.carry import OTHERS
from junlearn.audit.ensembles import Ensemble, check_apart
from junlearn.audit.judge import judge, told
from junlearn.audit.lines import Role, row_hash, row_of
from junlearn.audit.margins import margins_of
from junlearn.audit.result import Audit
from junlearn.audit.yardstick import Yardstick
from junlearn.engine.inputs.arrays import array_of, kind_of
from junlearn.errors import ConfigError
from junlearn.experiment.auditing import Auditing, check
from junlearn.experiment.conversion import convert
from junlearn.files import array_digest

__all__ = ["compare"]

PARTS = ("forget", "retain", "test")
OF_TRAINING = ("keep", "save_weights", "mixed", "retain_rows", "targets", "forget_sets")
"""Fields of `[audit]` that mean nothing here."""


def compare(
    unlearned: Any,
    retrained: Any,
    twin: Any = None,
    *,
    labels: Any,
    original: Any = None,
    forget_rows: Any = None,
    retrained_rows: Any = None,
    names: Mapping[str, str] | None = None,
    **settings: Any,
) -> Audit:
    """Judge ensembles of unlearned networks by ensembles of retrained ones.

    `unlearned`, `retrained`, `twin` (a second, independent ensemble of retrained networks, which the null bands come
    from; without it they come from both sides pooled) and `original` (before unlearning) are logits [N, n, K] of N
    networks on the same n examples: arrays of numpy, JAX or PyTorch. `labels` int[n] are those that training saw. Each
    of them may be a dict with "forget" and, besides, "retain" and "test" in the place of the one array, which is the
    forget set; `unlearned` may be a dict of methods by name, whose values are any of that. Networks on two sides must
    not share seeds or weights. `settings` are fields of `[audit]`: `metrics`, `folds`, `variance`, `splits`,
    `permutations`, `level`, `delta`, `fpr`, `seed`, `compat`.

    With `forget_rows` and `retrained_rows` (a list of the training rows of each retrained network) it is checked that
    no retrained network saw what was to be forgotten. `names` are `dataset`, `model` and `scenario` for the table.

    Returns an Audit: `rows` (values, nulls, p values, verdicts), `table()`, `page(path)`.

    Raises ConfigError for shapes that do not fit, logits that are not finite, fewer than 8 networks a side, the same
    network on two sides, and settings that do not exist.
    """
    auditing = _settings(settings, _parts(retrained, "retrain")["forget"], twin)
    known = _parts(labels, "labels")
    second = _ensemble(retrained, known, "retrain")
    null = None if twin is None else _ensemble(twin, known, "twin")
    before = None if original is None else _ensemble(original, known, "original")
    contenders = {
        label: _ensemble(logits, known, label) for label, logits in _methods(unlearned).items()
    }
    sides = [side for side in (second, null, before) if side is not None]
    check_apart(sides)
    retrains = [side for side in (second, null) if side is not None]
    for side in contenders.values():
        check_apart(retrains, side)
    for side in (*sides, *contenders.values()):
        if side.classes != second.classes:
            raise ConfigError(
                f"audit: {side.name} has {side.classes} classes, and retrain {second.classes}"
            )
    _check_rows(forget_rows, retrained_rows, second.size)
    yardstick = Yardstick(second, null, known, second.classes, auditing, before)
    judged: list[tuple[str, Role, Ensemble]] = []
    if before is not None:
        judged.append(("original", "original", before))
    if null is not None:
        judged.append(("twin", "twin", null))
    judged += [(label, "unlearn", side) for label, side in contenders.items()]
    about = {"dataset": "", "model": "", "scenario": "", **(names or {}), "seed": auditing.seed}
    rows, examples = [], {}
    for label, role, side in judged:
        one = auditing.originals == "one" and role == "unlearn"
        done = judge(yardstick, side, conditional=one)
        marks = {name: list(each.marks) for name, each in (("judged", side), ("retrain", second))}
        rows.append(
            row_of(
                about | {"config": {}, "bank_hash": ""},
                label,
                role,
                done,
                config_hash=row_hash(auditing, marks),
                auditing=auditing,
                **told(yardstick, done, side, before),
            )
        )
        examples[label] = by_example(yardstick, side, before)
    return Audit(rows, examples, {})


def _settings(settings: Mapping[str, Any], retrained: np.ndarray, twin: Any) -> Auditing:
    models = max(len(retrained) if retrained.ndim else 0, 1)
    given = {"models": models, "twins": 0 if twin is None else models}
    for name in settings:
        if name in given or name == "design":
            raise ConfigError(f"audit: {name} is told by the arrays")
        if name in OF_TRAINING:
            raise ConfigError(f"audit: {name} is about networks that an audit trains")
    auditing: Auditing = convert(Auditing, {**settings, **given}, "audit")
    check(auditing)
    return auditing


def _methods(unlearned: Any) -> dict[str, Any]:
    """Methods by name; one alone is called "unlearned"."""
    if not isinstance(unlearned, Mapping) or set(unlearned) <= set(PARTS):
        return {"unlearned": unlearned}
    if not unlearned:
        raise ConfigError("audit: unlearned is empty")
    for name in unlearned:
        if name in OTHERS:
            raise ConfigError(
                f"audit: unlearned holds {name!r}, which is the name of another ensemble"
            )
    return {str(label): logits for label, logits in unlearned.items()}


def _parts(value: Any, what: str) -> dict[str, np.ndarray]:
    """Arrays by part, from a dict of them or the one of the forget set."""
    table = value if isinstance(value, Mapping) else {"forget": value}
    wrong = [name for name in table if name not in PARTS]
    if wrong or "forget" not in table:
        raise ConfigError(
            f"audit: {what} has {', '.join(map(repr, table)) or 'no parts'}: 'forget' is needed; 'retain' and 'test' "
            "can be there"
        )
    for name, array in table.items():
        if array is None:
            raise ConfigError(f"audit: {what}[{name!r}] is {kind_of(array)}: an array is wanted")
    return {
        name: np.asarray(array_of(_plain(table[name]), f"audit: {what}[{name!r}]"))
        for name in PARTS
        if name in table
    }


def _plain(value: Any) -> Any:
    """A tensor of PyTorch that still has its history, without it."""
    return value.detach().cpu() if hasattr(value, "detach") else value


def _ensemble(logits: Any, labels: Mapping[str, np.ndarray], name: str) -> Ensemble:
    arrays = _parts(logits, name)
    if set(arrays) != set(labels):
        raise ConfigError(
            f"audit: {name} has {', '.join(arrays)}, and labels have {', '.join(labels)}: the same parts are wanted"
        )
    sizes = {len(array) for array in arrays.values() if array.ndim}
    if len(sizes) != 1:
        raise ConfigError(
            f"audit: {name} has {sorted(sizes)} networks on its parts: the same number is wanted"
        )
    parts = {part: margins_of(arrays[part], labels[part], f"{name}[{part!r}]") for part in arrays}
    (count,) = sizes
    marks = tuple(
        " ".join(array_digest(np.asarray(array[i])) for array in arrays.values())
        for i in range(count)
    )
    classes = {array.shape[-1] for array in arrays.values()}
    if len(classes) > 1:
        raise ConfigError(f"audit: {name} has {sorted(classes)} classes on its parts")
    return Ensemble(name, parts, tuple(range(count)), (), marks, *classes)


def _check_rows(forget_rows: Any, retrained_rows: Any, networks: int) -> None:
    """Raise ConfigError where a retrained network saw what was to be forgotten."""
    if (forget_rows is None) != (retrained_rows is None):
        raise ConfigError("audit: give forget_rows and retrained_rows, both or neither")
    if forget_rows is None:
        return
    count = len(retrained_rows) if hasattr(retrained_rows, "__len__") else 0
    if count != networks:
        raise ConfigError(
            f"audit: retrained_rows are of {count} networks, and there are {networks}: a list of rows each is wanted"
        )
    for number, rows in enumerate(retrained_rows):
        seen = np.intersect1d(np.asarray(forget_rows), np.asarray(rows))
        if len(seen):
            raise ConfigError(
                f"audit: example {seen[0]} is to be forgotten but was in the training set of retrain-{number:05d}"
            )
