"""Ensembles of margins without networks: laws that are known."""

import numpy as np

from junlearn.audit.ensembles import Ensemble
from junlearn.audit.margins import Margins
from junlearn.audit.yardstick import Yardstick
from junlearn.experiment.auditing import Auditing

CLASSES = 4
PARTS = {"forget": 12, "retain": 9, "test": 10}
LABELS = {name: np.arange(size) % CLASSES for name, size in PARTS.items()}


def ensemble(name, seed, count=16, shift=0.0, scale=1.0, parts=PARTS):
    """Networks with independent normal margins, those of the forget set shifted and stretched."""
    rng = np.random.default_rng((seed, 7))
    margins = {}
    for part, size in parts.items():
        phi = rng.normal(size=(count, size)) + 1
        if part == "forget":
            phi = shift + scale * phi
        wrong = (LABELS[part] + 1) % CLASSES
        margins[part] = Margins(phi, np.where(phi > 0, LABELS[part], wrong))
    return Ensemble(name, margins, tuple(range(count)))


def yardstick(original=None, twin=True, count=16, **settings):
    """Of two retrained ensembles; few permutations."""
    few = {"models": count, "splits": 20, "permutations": 119, "fpr": (0.1,)}
    return Yardstick(
        ensemble("retrain", 1, count),
        ensemble("twin", 2, count) if twin else None,
        LABELS,
        CLASSES,
        Auditing(**{**few, **settings}),
        original,
    )
