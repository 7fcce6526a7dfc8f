"""The smallest audit of the command line: eight networks a side, of one layer, on digits."""

import json

CONFIG = {
    "methods": ["finetune"],
    "metrics": ["accuracy"],
    "reference": False,
    "dataset": {"name": "digits"},
    "model": {"name": "mlp", "hidden": [8]},
    "scenario": {"name": "class", "classes": [0]},
    "train": {"epochs": 1, "batch_size": 512},
    "method": {"finetune": {"epochs": 1, "batch_size": 512}},
    "audit": {
        "models": 8,
        "metrics": ["energy", "moments"],
        "permutations": 99,
        "splits": 20,
        "retain_rows": 20,
    },
}


def arguments(directory, *options, run="run", **changes):
    """Arguments of an audit in `directory / run`, whose bank lies in `directory / cache`."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "tiny.json").write_text(json.dumps(CONFIG | changes))
    places = ["--workdir", str(directory / run), "--cache-dir", str(directory / "cache")]
    return ["audit", "--config", str(directory / "tiny.json"), *places, *options]


def results(directory, run="run"):
    """What an audit found, without times."""
    lines = (directory / run / "audit.jsonl").read_text().splitlines()
    fields = ("role", "method", "values", "p", "verdict", "config_hash")
    return [{name: json.loads(line)[name] for name in fields} for line in lines]
