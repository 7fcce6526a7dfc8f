import dataclasses
import json
from pathlib import Path

import jax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from junlearn import cli
from junlearn.datasets import DATASETS
from junlearn.errors import ConfigError
from junlearn.experiment import schema
from junlearn.experiment.conversion import convert
from junlearn.methods import METHODS
from junlearn.models import MODELS
from junlearn.scenarios import SCENARIOS
from tests.conftest import ROOT

BASE = {
    "methods": ["finetune"],
    "dataset": {"name": "digits"},
    "model": {"name": "mlp"},
    "scenario": {"name": "class"},
}


@st.composite
def tables(draw):
    """Tables of real names with some fields set."""
    labels = draw(st.lists(st.sampled_from(sorted(METHODS)), min_size=1, unique=True))
    method = {}
    for label in labels:
        fields = {f.name for f in dataclasses.fields(METHODS[label].Config)}
        section = {}
        if "batch_size" in fields:
            section["batch_size"] = draw(st.integers(1, 4096))
        if "learning_rate" in fields:
            section["learning_rate"] = draw(st.floats(1e-8, 10))
        if draw(st.booleans()):
            method[label] = section
    return {
        "methods": labels,
        "method": method,
        "dataset": {"name": draw(st.sampled_from(sorted(DATASETS)))},
        "model": {"name": draw(st.sampled_from(sorted(MODELS)))},
        "scenario": {"name": draw(st.sampled_from(sorted(SCENARIOS)))},
        "seed": draw(st.integers(0, 2**31)),
        "seeds": {"method": draw(st.none() | st.integers(0, 99))},
        "train": {"epochs": draw(st.integers(1, 500)), "milestones": [3, 5]},
    }


@settings(deadline=None)
@given(tables())
def test_round_trip(table):
    experiment = schema.parse(table)
    text = json.dumps(schema.plain(experiment))
    again = schema.parse(json.loads(text))
    assert schema.plain(again) == schema.plain(experiment)
    assert schema.digest(again) == schema.digest(experiment)
    for label, section in table["method"].items():
        for name, value in section.items():
            assert getattr(getattr(again.method, label), name) == value


@settings(deadline=None)
@given(tables())
def test_digest_ignores_order_and_sees_every_value(table):
    plain = schema.plain(schema.parse(table))
    backwards = dict(reversed(plain.items()))
    assert schema.digest(plain) == schema.digest(backwards)
    assert schema.digest(plain | {"seed": plain["seed"] + 1}) != schema.digest(plain)


def test_defaults_are_filled_in():
    experiment = schema.parse(BASE)
    assert experiment.method.finetune.learning_rate == 0.02
    assert experiment.scenario.classes == (0,)
    assert experiment.train.epochs == 10
    with pytest.raises(dataclasses.FrozenInstanceError):
        experiment.seed = 3


def test_two_variants_of_one_method():
    table = BASE | {
        "methods": ["ssd", "ssd_batch"],
        "method": {"ssd_batch": {"name": "ssd", "importance": "batch"}},
    }
    experiment = schema.parse(table)
    assert experiment.method.ssd.importance == "example"
    assert experiment.method.ssd_batch.importance == "batch"
    assert experiment.method.ssd_batch.name == "ssd"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sed": 1}, "unknown configuration key 'sed'; did you mean 'seed'?"),
        ({"train": {"epoch": 3}}, "'train.epoch'; did you mean 'train.epochs'?"),
        (
            {"method": {"finetune": {"learnin_rate": 1.0}}},
            "did you mean 'method.finetune.learning_rate'?",
        ),
        ({"methods": ["finetun"]}, "unknown method 'finetun'; did you mean 'finetune'?"),
        ({"dataset": {"name": "mnits"}}, "unknown dataset 'mnits'; did you mean 'mnist'?"),
        ({"model": {"name": "resnet81"}}, "unknown model 'resnet81'; did you mean 'resnet18'?"),
        ({"scenario": {"name": "clas"}}, "unknown scenario 'clas'; did you mean 'class'?"),
        ({"metrics": ["acuracy"]}, "unknown metric 'acuracy'; did you mean 'accuracy'?"),
        ({"dataset": {}}, "dataset.name is missing"),
        ({"dataset": "mnist"}, "dataset: expected a table, got 'mnist'"),
        ({"methods": []}, "methods: a list of at least one"),
        ({"methods": ["ssd", "ssd"]}, "a label stands twice"),
        ({"method": {"ssd": {}}}, "method.ssd is configured but not in methods"),
        ({"seed": "one"}, "seed: Expected `int`, got `str`"),
        ({"seed": -1}, "seed: Expected `int` >= 0"),
        ({"train": {"epochs": 0}}, "train.epochs: Expected `int` >= 1"),
        ({"train": {"epochs": 1.5}}, "train.epochs: Expected `int`, got `float`"),
        ({"train": {"optimizer": "sdg"}}, "train.optimizer: Invalid enum value 'sdg'"),
        ({"train": {"learning_rate": 0}}, "train.learning_rate: Expected `float` > 0"),
        ({"train": {"momentum": 1.0}}, "train.momentum: Expected `float` < 1"),
        (
            {"scenario": {"name": "random", "fraction": 1.2}},
            "scenario.fraction: Expected `float` <= 1",
        ),
        ({"dataset": {"name": "digits", "image_size": 0}}, "dataset.image_size"),
        ({"loop": {"kind": "while"}}, "loop.kind: Invalid enum value"),
    ],
)
def test_mistakes_are_named(change, message):
    with pytest.raises(ConfigError) as caught:
        schema.parse(BASE | change)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_build_checks_a_single_section():
    with pytest.raises(ConfigError, match=r"ssd\.alpha: Expected `float` >= 0"):
        convert(METHODS["ssd"].Config, {"alpha": -1.0}, "ssd")


def parsed(*arguments):
    return cli.experiment(*cli.split_arguments(list(arguments)))


def test_the_command_line_changes_a_file(tmp_path):
    file = tmp_path / "a.toml"
    file.write_text(
        'methods = ["ssd"]\nseed = 3\n[dataset]\nname = "digits"\n[model]\nname = "mlp"\n'
        '[scenario]\nname = "class"\nclasses = [1]\n[method]\nalpha = 2.0\n'
    )
    plain = parsed("--config", str(file))
    assert plain.method.ssd.alpha == 2.0
    changed = parsed(
        *(
            "--config",
            str(file),
            "--seed",
            "1",
            "--method.alpha",
            "5",
            "--scenario.classes",
            "2",
            "3",
        ),
        *("--train.batch-size", "7", "--train.augment", "False", "--seeds.method=4"),
        *("--model.hidden", "8"),
    )
    assert changed.seed == 1 and changed.method.ssd.alpha == 5.0
    assert changed.scenario.classes == (2, 3)
    assert changed.train.batch_size == 7 and changed.train.augment is False
    assert changed.seeds.method == 4 and changed.model.hidden == (8,)


def test_names_on_the_command_line_choose_the_schema():
    changed = parsed(
        *("--dataset.name", "mnist", "--model.name", "laf_cnn", "--scenario.name", "random"),
        *(
            "--scenario.fraction",
            "0.2",
            "--methods",
            "ssd",
            "fisher",
            "--method.fisher.alpha",
            "2e-6",
        ),
    )
    assert changed.dataset.name == "mnist" and changed.scenario.fraction == 0.2
    assert changed.methods == ("ssd", "fisher") and changed.method.fisher.alpha == 2e-6


def test_surrogate_images_are_chosen_on_the_command_line(tmp_path):
    """Also where the file has no such section, or one of another name, whose fields are then not read."""
    noise = ("--surrogate.name", "gaussian_noise", "--surrogate.count", "5")
    assert parsed(*noise).surrogate.count == 5
    table = schema.plain(parsed()) | {"surrogate": {"name": "tfds_directory", "path": "photos"}}
    (tmp_path / "a.json").write_text(json.dumps(table))
    file = ("--config", str(tmp_path / "a.json"))
    assert parsed(*file, *noise).surrogate.count == 5
    assert parsed(*file, "--surrogate.name", "tfds_directory").surrogate.path == "photos"


def test_json_of_a_run_is_a_configuration(tmp_path):
    file = tmp_path / "config.json"
    file.write_text(json.dumps(schema.plain(parsed())))
    assert schema.plain(parsed("--config", str(file))) == schema.plain(parsed())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--sed", "1"), "unknown option '--sed'; did you mean '--seed'?"),
        (("--train.epoch=1",), "did you mean '--train.epochs'?"),
        (("--methods", "ssd", "--method.alpa", "1"), "did you mean '--method.ssd.alpha'?"),
        (("--train.epochs", "many"), "--train.epochs"),
        (("--train.epochs", "0"), "train.epochs: Expected `int` >= 1"),
        (("--train.optimizer", "sdg"), "--train.optimizer"),
        (("--config",), "--config"),
        (("--config", "missing.toml"), "cannot read configuration missing.toml: No such file"),
        (("--methods", "sdd"), "unknown method 'sdd'; did you mean 'ssd'?"),
    ],
)
def test_mistakes_on_the_command_line(arguments, message):
    with pytest.raises(ConfigError) as caught:
        parsed(*arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "box",
    [
        "╭─ Value error ───╮\n│ no int: 'x' │\n│ ──────────── │\n│ Argument │\n╰────╯\n",
        "╭─ Value error ───╮\n│ no int: 'x' │\n╰────╯\n",
        " Value error  \n ---------- \n  no int: 'x' \n  ------- \n Argument \n \n",
        " Value error  \n ---------- \n  no int: \n 'x' \n \n",
    ],
)
def test_one_line_of_a_box(box):
    assert cli._one_line(box) == "no int: 'x'"


def test_every_file_has_a_workdir_of_its_own(monkeypatch):
    """However its path is written; those of sweeps share none with them either."""
    monkeypatch.chdir(ROOT)
    start = parsed()
    assert cli.default_workdir(None, start) == Path("runs/digits_class")
    files = [file.relative_to(ROOT) for file in (ROOT / "configs").rglob("*.toml")]
    names = [cli.default_workdir(file, start) for file in files]
    assert len(set(names)) == len(files)
    assert not set(names) & {Path("runs", file.stem) for file in files}
    for file in ("configs/laf/mnist_class.toml", "./configs/camu/../laf/mnist_class.toml"):
        assert cli.default_workdir(Path(file), start) == Path("runs/laf_mnist_class")
    monkeypatch.chdir(ROOT / "configs" / "laf")
    assert cli.default_workdir(Path("mnist_class.toml"), start) == Path("runs/laf_mnist_class")


def test_a_broken_file(tmp_path):
    (tmp_path / "a.toml").write_text("methods = [")
    (tmp_path / "a.json").write_text("{")
    for name in ("a.toml", "a.json"):
        with pytest.raises(ConfigError, match=f"{name} is not valid"):
            schema.read(tmp_path / name)


def test_compilations_are_kept(tmp_path, monkeypatch):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    before = jax.config.jax_compilation_cache_dir
    try:
        cli.keep_compilations(str(tmp_path))
        kept = jax.config.jax_compilation_cache_dir
        assert kept == f"junlearn-sealed://{tmp_path / 'compiled'}"
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


def test_plain_has_what_was_left_at_its_default():
    """Read from a file or made by the command line, an experiment is one and the same."""
    plain = schema.plain(schema.parse(BASE))
    assert plain["method"]["finetune"]["learning_rate"] == 0.02
    assert plain["train"]["momentum"] == 0.9
    assert schema.digest(plain) == schema.digest(schema.parse(plain))
