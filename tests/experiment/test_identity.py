"""The names of networks and records: what was made before is found again, so none of them may ever change."""

import json

import pytest
from rich.console import Console

from junlearn.experiment import schema
from junlearn.experiment.identity import identities, method_identity, original_settings
from junlearn.experiment.preparing import prepare
from junlearn.experiment.progress import Reporter
from junlearn.main import main
from junlearn.methods import METHODS
from junlearn.models import MODELS

BASE = {
    "methods": ["finetune", "ssd", "gentle"],
    "metrics": ["accuracy"],
    "dataset": {"name": "digits"},
    "model": {"name": "mlp", "hidden": [8]},
    "train": {"epochs": 1, "batch_size": 512},
    "method": {
        "finetune": {"batch_size": 512},
        "ssd": {"batch_size": 512},
        "gentle": {"name": "ssd", "batch_size": 512, "alpha": 50.0},
    },
    "loop": {"save_weights": True},
}
CASES = {
    "class": {"scenario": {"name": "class", "classes": [3]}},
    "random": {
        "scenario": {"name": "random", "fraction": 0.1},
        "surrogate": {"name": "gaussian_noise", "count": 9},
        "seeds": {"scenario": 5, "method": 6},
        "sample": 7,
        "matmul_precision": "default",
    },
    "noise": {
        "scenario": {"name": "noise", "classes": [1], "fraction": 0.5},
        "held_out": 0.2,
        "retrain_init": "same",
    },
}


NAMES = {
    "class": {
        "networks": ["001252a7a7a9769a", "005ea194d8224ed3"],
        "stages": ["finetune-b183e3084f0181b9", "ssd-2e2f02e5806e076f"],
        "weights": ["finetune-b183e3084f0181b9", "gentle-2dc55372d1f34a78", "ssd-c1f4f0c890dbf0e7"],
        "records": {
            "original": "602b58a62239e8d1",
            "retrain": "729b37f3b4dc905d",
            "finetune": "22edf735c6f1cb20",
            "ssd": "da1a80c2a8829f20",
            "gentle": "a5aac71626ea59fa",
        },
    },
    "random": {
        "networks": ["9a89c7d62014fc7e", "d7033a141b5ef90a"],
        "stages": ["finetune-5f7addfd990817a3", "ssd-005a1b9291947547"],
        "weights": ["finetune-5f7addfd990817a3", "gentle-996f44d0894850fb", "ssd-07a5bc1f1e550fd2"],
        "records": {
            "original": "a470a1ce69870281",
            "retrain": "0218fcf51d597d44",
            "finetune": "135678069d460a36",
            "ssd": "944419d2b9a59625",
            "gentle": "99dabfa5d51c1009",
        },
    },
    "noise": {
        "networks": ["320ac7d663f0e334", "3d22fdb7c035241b"],
        "stages": ["finetune-55839bc52eb5654b", "ssd-ba7a017ac35f9bac"],
        "weights": ["finetune-55839bc52eb5654b", "gentle-dde2cb7a1f453303", "ssd-e07139df3f1d9853"],
        "records": {
            "original": "0dcdaa7a03d0ed9a",
            "retrain": "4f106146706a486e",
            "finetune": "361af0d98bb51e94",
            "ssd": "0dd55efbc2fbeecb",
            "gentle": "a9619cc092a02935",
        },
    },
}
"""As they were when this was written down."""


@pytest.mark.parametrize("name", CASES)
def test_names_on_disk(name, tmp_path):
    (tmp_path / "c.json").write_text(json.dumps(BASE | CASES[name]))
    places = ["--workdir", str(tmp_path / "run"), "--cache-dir", str(tmp_path / "cache")]
    assert main(["--config", str(tmp_path / "c.json"), *places]) == 0
    lines = [json.loads(x) for x in (tmp_path / "run" / "records.jsonl").read_text().splitlines()]
    found = {
        "networks": sorted(path.name for path in (tmp_path / "cache" / "models").iterdir()),
        "stages": sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir()),
        "weights": sorted(path.name for path in (tmp_path / "run" / "weights").iterdir()),
        "records": {line["method"]: line["config_hash"] for line in lines},
    }
    assert found == NAMES[name]


NOISE = BASE | {"scenario": {"name": "noise", "classes": [1]}, "seed": 1}
CHANGES = [
    ({"seeds": {"method": 3}}, True),
    ({"seeds": {"order": 1, "initialisation": 1}}, True),
    ({"seeds": {"order": 2}}, False),
    ({"seeds": {"scenario": 2}}, False),
    ({"scenario": {"name": "noise", "classes": [2]}}, False),
    ({"scenario": {"name": "class", "classes": [1]}}, False),
    ({"held_out": 0.1}, False),
    ({"validation": 0.1}, False),
    ({"train": {"epochs": 2, "batch_size": 512}}, False),
    ({"model": {"name": "mlp", "hidden": [9]}}, False),
    ({"precision": "bfloat16"}, False),
    ({"matmul_precision": "default"}, False),
    ({"metrics": ["mia"], "reference": False, "retrain_init": "same"}, True),
]


@pytest.mark.parametrize(("change", "same"), CHANGES, ids=[str(c) for c, _ in CHANGES])
def test_the_configuration_alone_tells_which_originals_are_the_same(change, same):
    """A sweep counts its networks by it before it reads data."""
    one, other = (schema.parse(NOISE | own) for own in ({}, change))
    settings = [original_settings(experiment) for experiment in (one, other)]
    assert (settings[0] == settings[1]) == same
    reporter = Reporter(Console(quiet=True))
    real = [identities(prepare(e, None, reporter)).original for e in (one, other)]
    assert (real[0] == real[1]) == same


def test_what_finish_alone_reads_names_no_stages():
    experiment = schema.parse(BASE | CASES["class"])
    found = identities(prepare(experiment, None, Reporter(Console(quiet=True))))
    ssd, gentle = experiment.method.ssd, experiment.method.gentle
    assert found.unlearned(ssd) != found.unlearned(gentle)
    assert "alpha" in found.unlearned(ssd)["method"]
    late = METHODS["ssd"].make(ssd, MODELS["mlp"].make(MODELS["mlp"].Config(), 10, (8, 8, 1)))
    assert found.stages(ssd, late.read_at_finish) == found.stages(gentle, late.read_at_finish)
    assert found.stages(ssd, ()) == found.unlearned(ssd)


@pytest.mark.parametrize(
    ("method", "field", "text"),
    [
        ("scar", "statistics", "{}"),
        ("dmm", "file", "{}"),
        ("rum", "scores", "{}"),
        ("rum", "parts", "scar statistics={}"),
    ],
)
def test_a_file_that_a_method_reads_counts_by_its_content(method, field, text, tmp_path):
    def named(place, content):
        place.write_bytes(content)
        value = text.format(place)
        fields = {field: [value] if field == "parts" else value}
        table = BASE | CASES["class"] | {"methods": [method], "method": {method: fields}}
        return method_identity(getattr(schema.parse(table).method, method))

    here, there = tmp_path / "here.npz", tmp_path / "there.npz"
    first = named(here, b"1")
    assert named(there, b"1") == first
    assert named(here, b"2") != first
    assert str(tmp_path) not in json.dumps(first)
