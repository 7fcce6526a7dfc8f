"""From networks to what the metrics read: logits and labels on every split."""

from collections.abc import Mapping

import numpy as np

from junlearn import evaluation
from junlearn.metrics import Outputs
from junlearn.types import Model, Sources, Split, Variables, View

__all__ = ["labels", "outputs"]


def outputs(
    model: Model,
    variables: Variables,
    sources: Sources,
    split: Split,
    views: Mapping[str, View],
) -> Outputs:
    """Logits of one network on every split that is not empty; each example is computed once."""
    names = _present(sources)
    whole = {
        name: evaluation.logits(model, variables, sources[name], view=views["eval"])
        for name in names
    }
    return Outputs(_by_split(whole, split))


def labels(sources: Sources, split: Split) -> dict[str, np.ndarray]:
    """The labels of the same rows."""
    whole = {name: np.asarray(sources[name].y) for name in _present(sources)}
    return _by_split(whole, split)


def _present(sources: Sources) -> list[str]:
    return [name for name in ("train", "test") if name in sources]


def _by_split(whole: dict[str, np.ndarray], split: Split) -> dict[str, np.ndarray]:
    parts = {
        "retain_train": whole["train"][split.retain],
        "forget_train": whole["train"][split.forget],
    }
    if "test" in whole:
        parts["test"] = whole["test"]
        parts["retain_test"] = whole["test"][split.retain_test]
        parts["forget_test"] = whole["test"][split.forget_test]
    return {name: rows for name, rows in parts.items() if len(rows)}
