"""Rows of audits and their arrays per example, made by hand: plausible, and with every key that a report reads."""

import numpy as np

BANK = {
    "forget/energy": (0.010, 0.0, 0.021),
    "forget/mean_shift": (0.0, -0.19, 0.2),
    "forget/log_variance_ratio": (0.0, -0.16, 0.17),
    "forget/accuracy": (0.5, 0.485, 0.513),
    "forget/auc": (0.5, 0.478, 0.522),
    "forget/tpr@0.01": (0.0102, 0.0044, 0.0172),
    "forget/F": (0.171, 0.152, 0.191),
    "forget/F_rank": (0.092, 0.08, 0.105),
    "forget/klom_mean": (1.63, 1.48, 1.76),
    "forget/klom_p95": (2.95, 2.59, 3.32),
    "retain/energy": (0.004, -0.01, 0.02),
    "test/energy": (0.005, -0.01, 0.02),
    "epsilon_set": (0.0, 0.0, 0.12),
    "tow": (0.942, 0.925, 0.958),
}
"""Median, low and high of the null of a bank with 32 networks a side."""
COINS = {
    "lira/accuracy": (0.5, 0.49, 0.51),
    "ulira/accuracy": (0.5, 0.49, 0.51),
    "ulira/auc": (0.5, 0.487, 0.514),
    "ulira/tpr@0.01": (0.01, 0.0067, 0.0138),
    "retain_exposure": (0.0, -0.012, 0.012),
}
SEEN = {"forget/mean_shift": 0.21, "forget/energy": 0.24, "forget/accuracy": 0.31}
SCALES = {"epsilon": (0, 4), "accuracy": (0, 1), "klom": (0, 9)}


def null(table, source="split", draws=200):
    return {
        name: {"median": m, "low": low, "high": high, "sd": (high - low) / 4, "source": source}
        | {"draws": 50 if name == "forget/F" else draws}
        for name, (m, low, high) in table.items()
    }


def values(amount):
    """Those of a method that is `amount` away from perfect, 1 for networks that were not unlearned."""
    return {
        "forget/energy": 0.01 + 0.6 * amount**2,
        "forget/mean_shift": 0.02 + 0.37 * amount,
        "forget/log_variance_ratio": -0.05 * amount,
        "forget/accuracy": 0.501 + 0.053 * amount,
        "forget/auc": 0.502 + 0.08 * amount,
        "forget/tpr@0.01": 0.0102 + 0.02 * amount,
        "forget/F": 0.171 - 0.032 * amount,
        "forget/F_rank": 0.092 - 0.02 * amount,
        "forget/F_undecided": 0.0,
        "forget/F_over_null": 1 - 0.187 * amount,
        "forget/klom_mean": 1.63 + 0.19 * amount,
        "forget/klom_median": 1.6 + 0.1 * amount,
        "forget/klom_p95": 2.95 + 0.01 * amount,
        "forget/klom_excess": 0.19 * amount,
        "forget/churn_excess": 0.031 * amount,
        "retain/energy": 0.004,
        "test/energy": 0.005,
        "epsilon_set": 1.35 * amount**2,
        "tow": 0.94 - 0.1 * amount,
        "tow_mia": 0.91 - 0.1 * amount,
        "accuracy_gap/forget": 0.08 * amount,
        "accuracy_gap/retain": 0.002,
        "accuracy_gap/test": 0.004,
    }


def row(method="finetune", role="unlearn", amount=0.4, **changes):
    """A line of `audit.jsonl`, design "request"."""
    told = amount >= 0.2
    p = 0.001 if told else 0.43
    verdict = (
        f"distinguishable (p = {p:.3f}, energy)"
        if told
        else "indistinguishable at N = 32 (a mean shift of 0.21 sd would have been seen)"
    )
    useful = "indistinguishable at N = 32 (a mean shift of 0.12 sd would have been seen)"
    return {
        "kind": "audit",
        "role": role,
        "method": method,
        "dataset": "digits",
        "model": "small_cnn",
        "scenario": "random",
        "seed": 0,
        "config": {
            "seed": 0,
            "dataset": {"name": "digits", "shuffle": True},
            "model": {"name": "small_cnn", "widths": [16, 32]},
            "scenario": {"name": "random", "examples": 100},
            "seeds": {"order": None},
            "methods": [method] if role == "unlearn" else [],
            "method": {method: {"name": method, "epochs": 2}} if role == "unlearn" else {},
            "audit": {"design": "request", "models": 32, "twins": 32, "delta": 1e-5},
        },
        "config_hash": f"c{method}",
        "bank_hash": "3f2a90",
        "versions": {"junlearn": "0.9.0", "jax": "0.10.2"},
        "device": "cpu x1",
        "time": "2026-11-28T12:00:00Z",
        "design": "request",
        "pairing": "decoupled",
        "models": {"original": 32, "unlearned": 32, "retrain": 32, "twin": 32},
        "examples": {"forget": 100, "retain": 1337, "test": 360},
        "rho": {"forget": 0.027, "retain": 0.019, "test": 0.022},
        "signal_sd": 0.83,
        "diverged": {"original": 0, "unlearned": 0, "retrain": 0, "twin": 0},
        "seconds": {"bank": 110.0, "unlearn": 19.5, "outputs": 4.25, "metrics": 12.0, "null": 31.0},
        "seconds_each": {"original": 1.3, "twin": 1.1}.get(role, 0.2 + amount),
        "values": values(amount),
        "null": null(BANK),
        "p": {
            "forget/energy": p,
            "forget/mean_shift": p,
            "retain/energy": 0.62,
            "test/energy": 0.57,
        },
        "p_holm": {"forget/energy": min(1.0, 6 * p), "forget/mean_shift": min(1.0, 6 * p)},
        "detectable": SEEN,
        "interval": {"forget/mean_shift": [0.37 * amount - 0.1, 0.37 * amount + 0.1]},
        "verdict": {"forget": verdict, "retain": useful, "test": useful},
        "remarks": ["audit: klom below 32 networks a side is weak"],
        "examples_file": f"audit/{method}.npz",
    } | changes


def random_row(method="finetune", amount=0.4, **changes):
    """A line of `audit.jsonl`, design "random"."""
    found = {
        "lira/auc": 0.71,
        "lira/accuracy": 0.653,
        "lira/tpr@0.01": 0.06,
        "ulira/accuracy": 0.5 + 0.08 * amount,
        "ulira/auc": 0.5 + 0.1 * amount,
        "ulira/tpr@0.01": 0.01 + 0.03 * amount,
        "ulira/flagged": 7,
        "retain_exposure": 0.004,
        "rmia/auc": 0.61,
        "epsilon_one_run": 0.25,
    }
    return (
        row(method, "unlearn", amount)
        | {
            "design": "random",
            "models": {"run": 64, "unlearned": 128},
            "values": found,
            "null": null(COINS, "coins", 999),
            "p": {"ulira/accuracy": 0.001},
            "p_holm": {},
            "detectable": {},
            "interval": {},
            "rho": {"forget": 0.027},
            "verdict": {"forget": "distinguishable (p = 0.001, ulira/accuracy)"},
        }
        | changes
    )


def bank(*methods):
    """The original networks, the twin, and methods that are ever less perfect."""
    return [
        *(row(name, amount=0.1 * number) for number, name in enumerate(methods, start=1)),
        row("original", "original", 1.0),
        row("twin", "twin", 0.0),
    ]


def arrays(amount=0.4, n=100, networks=32, side=8, channels=1, **changes):
    """What the file of a row's examples holds; an argument that is None takes its key out."""
    rng = np.random.default_rng([7, n, networks])
    found = {
        "id": np.arange(1000, 1000 + n),
        "label": rng.integers(0, 10, n),
        "epsilon": rng.gamma(4, 0.4, n) + amount * 0.3,
        "klom": rng.gamma(8, 0.2, n) + amount * 0.2,
        "accuracy": np.clip(rng.normal(0.5 + 0.05 * amount, 0.1, n), 0, 1),
        "shift": rng.normal(0.4 * amount, 0.3, n),
        "ks_p": rng.uniform(size=n),
    }
    for name, (low, high) in SCALES.items():
        edges = np.linspace(low, high, 21)
        base = np.histogram(found[name], edges)[0]
        mean = np.convolve(base, np.ones(3) / 3, "same")
        spread = 2 * np.sqrt(mean)
        found |= {f"hist_{name}_edges": edges, f"hist_{name}": base}
        found[f"hist_{name}_null"] = np.stack([np.maximum(mean - spread, 0), mean, mean + spread])
    fpr = np.geomspace(1 / 3200, 1, 80)
    quantiles = np.quantile(found["klom"], np.arange(1, 100) / 100)
    even = np.quantile(found["klom"] - amount * 0.2, np.arange(1, 100) / 100)
    margins = {
        f"phi_{name}": rng.normal(2 + place, 0.8, (networks, 6))
        for name, place in (
            ("unlearned", 1.5 * amount),
            ("original", 1.5),
            ("retrain", 0),
            ("twin", 0),
        )
    }
    found |= margins | {
        "roc_fpr": fpr,
        "roc_tpr": fpr ** (1 - 0.25 * amount),
        "roc_low": np.maximum(fpr - 1.2 * np.sqrt(fpr / 1000), 0),
        "roc_high": np.minimum(fpr + 1.2 * np.sqrt(fpr / 1000), 1),
        "klom_quantiles": quantiles,
        "klom_quantiles_null": np.stack([0.9 * even, even, 1.1 * even]),
        "exposed": np.argsort(-found["epsilon"])[:6],
        "images": rng.integers(0, 255, (6, side, side, channels), dtype=np.uint8),
        "sample_images": rng.integers(0, 255, (12, side, side, channels), dtype=np.uint8),
        "sample_labels": rng.integers(0, 10, 12),
    }
    return {name: value for name, value in (found | changes).items() if value is not None}


def examples(rows, **changes):
    """The arrays of all rows, by their labels."""
    shares = {"original": 1.0, "twin": 0.0}
    return {
        row["method"]: arrays(shares.get(row["role"], 0.1 * (i + 1)), **changes)
        for i, row in enumerate(rows)
    }
