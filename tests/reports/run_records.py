"""Records of a run and what its networks say, made by hand: plausible, and with every field that a report reads."""

import numpy as np

from junlearn.experiment.asking import Answers, Asked, Images
from junlearn.reports.run_page import Experiment, Subject, heading

CLASSES = ("cat", "dog", "owl")
LABELS = {"original": "original", "retrain": "retrain", "ssd": "unlearn", "langevin": "unlearn"}
CERTIFICATE = {
    "epsilon": 1.25,
    "delta": 1e-5,
    "mechanism": "Langevin noise",
    "assumed": ["gradients are clipped at 1", "the data are bounded"],
    "settings": {"noise": 0.1},
}
HISTORY = [
    {"stage": "unlearn", "epoch": i, "steps": 5, "loss": 2.0 - i, "accuracy": 0.5} for i in range(2)
]


def record(label="ssd", amount=0.1, **changes):
    """A record of the network `label`, `amount` away from the retrained one."""
    role = LABELS.get(label, "unlearn")
    section = {label: {"name": label, "alpha": 3.0}} if role == "unlearn" else {}
    found = {
        "dataset": "pets",
        "model": "small_cnn",
        "scenario": "class",
        "method": label,
        "role": role,
        "seed": 0,
        "metrics": {
            "accuracy/retain_train": 0.99 - 0.1 * amount,
            "accuracy/forget_train": amount,
            "accuracy/test": 0.88,
            "mia/entropy": amount,
            "js/forget_train": 0.25 * amount,
            "zrf/forget_train": 0.7,
            "aus": 1 - amount,
            "distance/original/head": 3.5,
            "langevin/steps": 12.0,
        },
        "seconds": {"compile": 4.0, "run": 1.5, "evaluate": 0.0, "total": 6.0},
        "stages": {"unlearn": 1.5},
        "history": HISTORY,
        "config": {
            "methods": list(section),
            "seed": 0,
            "metrics": ["accuracy", "mia"],
            "dataset": {"name": "pets"},
            "model": {"name": "small_cnn", "channels": [4]},
            "scenario": {"name": "class", "classes": [1]},
            "seeds": {"order": 7, "method": None},
            "train": {"epochs": 2},
            "method": section,
        },
        "config_hash": f"hash_of_{label}",
        "versions": {"junlearn": "0.1.0", "jax": "0.10.2"},
        "device": "cpu x1",
        "code": {"network": "c0de", "metrics": "c1de"},
        "time": "2026-11-29T12:00:00+00:00",
        "request": {"forget": 40, "retain": 80, "data": "f1nger", "rows": "r0ws", "ids": "1ds"},
    }
    if label == "langevin":
        found["certificate"] = CERTIFICATE
    if label == "ssd":
        found["effect"] = "it changed no prediction on any example"
    return found | changes


def records(**changes):
    """Those of all networks of a run."""
    return [record(label, 0.3 * i, **changes) for i, label in enumerate(LABELS)]


def revisited(count=60, images=True, **changes):
    """What the networks of `records` say of `count` test and 40 forgotten examples."""
    rng = np.random.default_rng(3)
    tests = np.arange(count) % 3
    forgotten = np.full(40, 1)
    networks = []
    for place, (label, role) in enumerate(LABELS.items()):
        answers = np.where(rng.uniform(size=count) < 0.1, rng.integers(0, 3, count), tests)
        of_forgotten = forgotten if role == "original" else rng.choice([0, 2], 40)
        pictured = np.full((2, 3), 0.1)
        pictured[:, of_forgotten[0]] = 0.8
        points = rng.normal(size=(50, 6)).astype(np.float32) + place
        middles = {"retain": 5, "unseen": 4, "unseen_forgotten": 1, "forget": 5 - 2 * place}
        margins = {kind: rng.normal(middle, 1, 30) for kind, middle in middles.items()}
        networks.append(Asked(role, label, answers, of_forgotten, pictured, points, margins))
    pixels = rng.integers(0, 255, (2, 8, 8, 3), dtype=np.uint8)
    return Answers(
        CLASSES,
        tests,
        forgotten,
        Images(pixels, ("a.png", "b.png"), np.array([1, 1])) if images else None,
        np.arange(50) % 3,
        np.arange(50) % 3 == 1,
        tuple(networks),
        (),
        ("the original network /cache/models/abc",),
    )._replace(**changes)


def subject(found=None, rows=None, **changes):
    """A report on one run."""
    rows = records() if rows is None else rows
    listing = "forgotten.txt beside the records (SHA-256 abc)"
    return Subject([Experiment(rows, heading(rows[0]), listing, found)])._replace(**changes)
