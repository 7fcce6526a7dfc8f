"""Networks out of a run's directory, and back on the command line as the original that is to forget."""

import errno
import hashlib
import json
import shutil

import chex
import jax
import numpy as np
import pytest
from rich.console import Console

from junlearn.errors import ConfigError
from junlearn.experiment import kept_network, original_file, schema
from junlearn.experiment.identity import identities, original_settings
from junlearn.experiment.kept_network import read_network
from junlearn.experiment.preparing import prepare
from junlearn.experiment.progress import Reporter
from junlearn.models import MODELS
from junlearn.models.weight_export import named_arrays, write
from junlearn.types import Variables
from tests.kills import sync_by
from tests.small_run import call, records

safetensors = pytest.importorskip("safetensors")


@pytest.fixture
def run(finished, trained_place):
    """`trained_place` with the finished run in `w`."""
    shutil.copytree(finished[0] / "w", trained_place / "w")
    return trained_place


def export(capsys, *arguments):
    return call(capsys, "export", *arguments)


def test_a_network_goes_out_and_comes_back_as_the_original(run, capsys):
    """Nothing is trained for it, and what the methods make of it is the same to the last bit."""
    status, out, err = export(capsys, "w", "--method", "original", "--to", "net.safetensors")
    assert (status, err) == (0, "") and out.startswith("original: 4 arrays, 1,210 numbers, ")
    before = sorted(path.name for path in (run / "cache" / "models").iterdir())
    options = ["--config", "small.toml", "--original", "net.safetensors", "--workdir", "again"]
    status, _, err = call(capsys, *options)
    assert (status, err) == (0, "")
    assert sorted(path.name for path in (run / "cache" / "models").iterdir()) == before
    first, again = ({r["method"]: r for r in records(run / w)} for w in ("w", "again"))
    for method, record in again.items():
        assert record["metrics"] == first[method]["metrics"], method
        assert record["given"] == {
            "file": "net.safetensors",
            "sha256": hashlib.sha256((run / "net.safetensors").read_bytes()).hexdigest(),
        }
        assert record["preprocessing"] == {
            "mean": [0.0],
            "std": [1.0],
            "image_size": None,
            "crop": None,
            "input_shape": [8, 8, 1],
        }
    assert again["original"]["seconds"]["total"] == 0 == len(again["original"]["history"])
    assert again["ssd"]["config"]["original"] == "net.safetensors"
    # What was unlearned is the original of the next request.
    export(capsys, "again", "--method", "finetune", "--to", "next.safetensors")
    status, out, err = call(
        capsys, *options[:2], "--original", "next.safetensors", "--methods", "ssd", "--workdir", "n"
    )
    assert (status, err) == (0, "")
    values = records(run / "n")[0]["metrics"], first["finetune"]["metrics"]
    assert values[0]["accuracy/retain_train"] == values[1]["accuracy/retain_train"]


def test_a_file_says_what_it_holds(run, capsys):
    status, _, err = export(
        capsys, "w", "--method", "ssd", "--to", "ssd.safetensors", "--dtype", "bfloat16"
    )
    assert (status, err) == (0, "")
    with safetensors.safe_open("ssd.safetensors", "flax") as file:
        about = json.loads(file.metadata()["junlearn"])
        assert {str(file.get_tensor(name).dtype) for name in file.keys()} == {"bfloat16"}  # noqa: SIM118
    assert (about["method"], about["model"]["name"], about["classes"][3]) == ("ssd", "mlp", "3")
    assert about["preprocessing"]["mean"] == [0.0] and about["dataset"]["name"] == "digits"


def test_the_written_weights_do_where_the_checkpoints_are_gone(run, capsys):
    options = ["--config", "small.toml", "--methods", "ssd", "--workdir", "w2"]
    call(capsys, *options, "--loop.save-weights", "True")
    assert export(capsys, "w2", "--to", "one.safetensors")[0] == 0
    shutil.rmtree(run / "w2" / "checkpoints")
    shutil.rmtree(run / "cache" / "models")
    assert export(capsys, "w2", "--to", "other.safetensors")[0] == 0
    assert (run / "one.safetensors").read_bytes() == (run / "other.safetensors").read_bytes()
    status, _, err = export(capsys, "w", "--method", "ssd", "--to", "net.safetensors")
    assert status == 2 and "which is gone: python -m junlearn.main --config w/config.json" in err
    assert not (run / "net.safetensors").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["w", "--to", "a.safetensors"],
            "several networks, choose one with --method: finetune, ssd",
        ),
        (["w", "--method", "scrub", "--to", "a.safetensors"], "unknown network 'scrub'"),
        (["w", "--method", "ssd", "--to", "a.h5"], "a.h5: the name of a file in .safetensors, .pt"),
        (["w", "--method", "ssd", "--to", "none/a.safetensors"], "the folder none does not exist"),
        (["cache", "--method", "ssd", "--to", "a.safetensors"], "cache: there is no run in it"),
        (["w", "--method", "ssd"], "the following arguments are required: --to"),
        (
            ["w", "--method", "ssd", "--to", "a.safetensors", "--names", "timm"],
            "unknown names 'timm'; known: junlearn",
        ),
        (["w", "--method", "ssd", "--to", "a.safetensors", "--dtype", "int8"], "invalid choice"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(arguments, message, run, capsys):
    status, _, err = export(capsys, *arguments)
    assert status == 2 and message in err and err.count("\n") == 1, err
    assert not (run / "a.safetensors").exists()


def test_a_run_that_is_not_finished(run, capsys):
    (run / "w" / "records.jsonl").unlink()
    status, _, err = export(capsys, "w", "--method", "ssd", "--to", "a.safetensors")
    assert status == 2 and "the network of ssd is not finished" in err


def test_a_full_disk_leaves_what_was_there(run, capsys, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    (run / "net.safetensors").write_bytes(b"before")
    sync_by(monkeypatch, full)
    status, _, err = export(capsys, "w", "--method", "ssd", "--to", "net.safetensors")
    assert status == 2 and "No space left on device" in err and err.count("\n") == 1
    assert (run / "net.safetensors").read_bytes() == b"before"
    assert not [path for path in run.iterdir() if path.suffix == ".tmp"]


def test_a_method_that_leaves_several_networks(run, capsys, monkeypatch):
    def several(*arguments):
        network = read_network(*arguments)
        return network._replace(model=network.model._replace(tables=()))

    monkeypatch.setattr(kept_network, "read_network", several)
    status, _, err = export(capsys, "w", "--method", "ssd", "--to", "a.safetensors")
    assert status == 2 and "export: ssd leaves several networks in one" in err


def mlp_file(path, hidden=16, classes=10):
    model = MODELS["mlp"].make(MODELS["mlp"].Config(hidden=(hidden,)), classes, (8, 8, 1))
    rng = np.random.default_rng(0)
    params = {
        name: {
            "kernel": rng.normal(size=shape).astype(np.float32),
            "bias": np.zeros(shape[1], np.float32),
        }
        for name, shape in {"dense1": (64, hidden), "head": (hidden, classes)}.items()
    }
    write(path, named_arrays(model, Variables(params, {})), {})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--original", "none.safetensors"], "weights none.safetensors: no such file"),
        (["--original", "text.pt"], "this is text, not weights"),
        (
            ["--original", "more.safetensors"],
            "'head.bias' is [12] and must be [10], 'head.weight' is [12, 16] and must be [10, 16]; "
            "an original network must have an output for each class of the dataset",
        ),
        (["--original", "wide.safetensors"], "'dense1.weight' is [9, 64] and must be [16, 64]"),
        (["--original", "given"], "the network in model.weights, and there is none"),
        (["--original", ""], 'expected "trained", "given" or a file of weights'),
        (
            ["--original", "fits.safetensors", "--methods", "unrolling"],
            "unrolling asks for the weights that the training of the original began from",
        ),
    ],
)
def test_originals_that_cannot_be(options, message, place, capsys):
    mlp_file(place / "more.safetensors", classes=12)
    mlp_file(place / "wide.safetensors", hidden=9)
    mlp_file(place / "fits.safetensors")
    (place / "text.pt").write_text("no weights")
    status, _, err = call(capsys, "--config", "small.toml", "--workdir", "w", *options)
    assert status == 2 and message in err and err.count("\n") == 1, err
    assert not (place / "w").exists()


def test_an_audit_trains_its_originals_itself(place, capsys):
    mlp_file(place / "net.safetensors")
    status, _, err = call(
        capsys, "audit", "--config", "small.toml", "--original", "net.safetensors"
    )
    assert status == 2 and "is a single network, and an audit trains as many as it compares" in err


def test_given_is_the_file_in_the_model_and_the_retrained_network_starts_fresh(tmp_path):
    settings = {"patch": 4, "width": 8, "depth": 1, "heads": 2, "mlp": 8}
    component = MODELS["vit_small"]
    model = component.make(component.Config(**settings), 10, (8, 8, 1))
    shapes = jax.eval_shape(model.init, jax.random.key(0), model.example({}))
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda s: rng.normal(size=s.shape).astype(np.float32), shapes)
    file = tmp_path / "net.safetensors"
    write(file, named_arrays(model, variables, names="timm"), {})
    table = {"methods": ["ssd"], "dataset": {"name": "digits"}, "scenario": {"name": "class"}}

    def setup(original, **fields):
        section = {"name": "vit_small", **settings, **fields}
        experiment = schema.parse(table | {"model": section, "original": original})
        return prepare(experiment, None, Reporter(Console(quiet=True)))

    plain = setup("trained")
    assert plain.given is None
    given, named = setup("given", weights=str(file)), setup(str(file))
    for other in (given, named):
        chex.assert_trees_all_equal(other.given, variables)
        names = identities(other)
        assert names.retrain == identities(plain).retrain
        assert names.original == identities(plain).original | names_of(file)
        assert names.methods == identities(plain).methods | names_of(file)
        assert original_settings(other.experiment)["given"] == str(file)
        fresh = other.model.fresh(jax.random.key(0), other.sources)
        assert (
            np.asarray(fresh.params["head"]["kernel"]) != variables.params["head"]["kernel"]
        ).any()
    # A file that fresh networks start from, and another that is the original.
    both = setup(str(file), weights=str(file))
    fresh = both.model.fresh(jax.random.key(0), both.sources)
    chex.assert_trees_all_equal(fresh, variables)
    assert identities(both).retrain == identities(setup("trained", weights=str(file))).retrain
    with pytest.raises(ConfigError, match="of model 'vit_small' no names in PyTorch are known"):
        original_file.network(named.experiment, model._replace(tables=()), named.sources)
    with pytest.raises(ConfigError, match=r'model\.weights_head = "fresh" would leave a part'):
        setup("given", weights=str(file), weights_head="fresh")


def names_of(file):
    return {"given": hashlib.sha256(file.read_bytes()).hexdigest()}
