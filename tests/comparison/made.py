"""Records of runs that nobody ran, with numbers to compute by hand."""


def record(method, seed=0, *, role="unlearn", classes=(0,), settings=None, seconds=1.0, **values):
    """A record; of the metrics `retain_test` is an accuracy, and `js` and `mia` are the usual ones of that name."""
    names = {"js": "js/forget_train", "mia": "mia/entropy"}
    section = {method: {"name": method, "alpha": 1.0, **(settings or {})}}
    return {
        "dataset": "digits",
        "model": "mlp",
        "scenario": "class",
        "method": method,
        "role": role,
        "seed": seed,
        "metrics": {names.get(n, f"accuracy/{n}"): value for n, value in values.items()},
        "seconds": {"compile": 1.0, "run": seconds, "evaluate": 0.0, "total": seconds},
        "history": [],
        "config": {
            "seed": seed,
            "seeds": {"order": None},
            "metrics": ["accuracy", "mia"],
            "dataset": {"name": "digits"},
            "model": {"name": "mlp", "hidden": [8]},
            "scenario": {"name": "class", "classes": list(classes)},
            "train": {"epochs": 2},
            "methods": [method] if role == "unlearn" else [],
            "method": section if role == "unlearn" else {},
        },
        "config_hash": f"{method}{seed}{classes}{settings}",
        "versions": {"jax": "0.10.2"},
        "device": "cpu x1",
        "code": {"network": "c0de"},
        "time": f"2026-01-01T00:00:0{seed}",
    }


RETRAIN = [(0.90, 0.10), (0.92, 0.14), (0.94, 0.12)]
GOOD = [(0.89, 0.12), (0.91, 0.14), (0.93, 0.10)]
FAIR = [(0.88, 0.20), (0.92, 0.30), (0.91, 0.25)]
POOR = [(0.70, 0.60), (0.72, 0.65), (0.74, 0.61)]


def runs(classes=(0,)):
    """Three methods and both references in three runs: retain accuracy on test data, and the attack's share."""
    found = []
    for name, role, values in (
        ("poor", "unlearn", POOR),
        ("good", "unlearn", GOOD),
        ("fair", "unlearn", FAIR),
        ("original", "original", [(0.95, 0.9)] * 3),
        ("retrain", "retrain", RETRAIN),
    ):
        found += [
            record(name, seed, role=role, classes=classes, retain_test=kept, mia=told)
            for seed, (kept, told) in enumerate(values)
        ]
    return found
