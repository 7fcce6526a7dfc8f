"""The smallest run of the command line: two networks of one layer on digits."""

import json

CONFIG = {
    "methods": ["finetune"],
    "reference": False,
    "metrics": ["accuracy"],
    "dataset": {"name": "digits"},
    "model": {"name": "mlp", "hidden": [8]},
    "scenario": {"name": "class", "classes": [3]},
    "train": {"epochs": 2, "batch_size": 256},
    "method": {"finetune": {"epochs": 3, "batch_size": 256}},
    "loop": {"save_seconds": 0},
}


def arguments(directory, **changes):
    """Arguments of a run in `directory`, whose networks lie in `directory/cache`."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "tiny.json").write_text(json.dumps(CONFIG | changes))
    places = ["--workdir", str(directory / "run"), "--cache-dir", str(directory / "cache")]
    return ["--config", str(directory / "tiny.json"), *places]


def results(directory):
    """What a run found, without times."""
    lines = (directory / "run" / "records.jsonl").read_text().splitlines()
    fields = ("role", "method", "metrics", "history", "config_hash")
    return [{name: json.loads(line)[name] for name in fields} for line in lines]
