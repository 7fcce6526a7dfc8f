"""Names and the things that they stand for: of the package, of presets, registered, of installed packages."""

import types

import pytest
from rich.console import Console

import junlearn
from junlearn.errors import ConfigError
from junlearn.experiment import schema
from junlearn.experiment.preparing import prepare
from junlearn.experiment.progress import Reporter
from junlearn.methods import METHODS, finetune
from junlearn.plugins import registry
from junlearn.plugins.source import is_own, source_digest
from junlearn.scenarios import SCENARIOS
from junlearn.types import Scoring
from tests.plugins.sources import METHOD, METRIC

BASE = {
    "methods": ["finetune"],
    "dataset": {"name": "digits"},
    "model": {"name": "mlp"},
    "scenario": {"name": "class"},
}


@pytest.mark.parametrize("kind", registry.KINDS)
def test_every_name_of_the_package_is_found(kind):
    for name, thing in registry.KINDS[kind].items():
        assert registry.find(kind, name) is thing and is_own(thing)
        assert registry.listed(kind)[name].origin == "junlearn"


@pytest.mark.parametrize("name", registry.PRESETS)
def test_a_preset_is_its_method_with_other_defaults(name):
    """The same section, and so the same hash, as when the fields are written out."""
    method, preset = registry.PRESETS[name]
    assert registry.find("method", name) is METHODS[method]
    fields = {k: list(v) if isinstance(v, tuple) else v for k, v in preset.fields.items()}
    written = {"methods": [name], "method": {name: {"name": method, **fields}}}
    short, long = schema.parse(BASE | {"methods": [name]}), schema.parse(BASE | written)
    assert schema.plain(short) == schema.plain(long)
    again = schema.parse(schema.plain(short))
    assert schema.digest(again) == schema.digest(short)
    plain = getattr(schema.parse(BASE | {"methods": [method]}).method, method)
    assert preset.fields and any(getattr(plain, k) != v for k, v in preset.fields.items())


def test_a_preset_by_another_label_and_with_a_field_changed():
    table = BASE | {"methods": ["mine"], "method": {"mine": {"name": "potion", "batch_size": 7}}}
    section = schema.parse(table).method.mine
    assert (section.name, section.loss, section.batch_size) == ("ssd", "norm", 7)
    assert junlearn.METHODS["ssd"].Config().loss == "cross_entropy"


def test_an_older_name_is_the_thing_of_today():
    scenario = schema.parse(BASE | {"scenario": {"name": "noise", "fraction": 0.1}}).scenario
    assert scenario.name == "noisy_labels" and scenario.fraction == 0.1
    assert registry.find("scenario", "noise") is SCENARIOS["noisy_labels"]
    assert "noise" not in registry.names("scenario")


def test_a_scenario_of_scores(tmp_path):
    """Its function gets the scores that its SCORING asks for."""

    def make(config, dataset, key, scores):
        assert scores.shape == dataset.sources["train"].y.shape
        own = SCENARIOS["memorised"]
        return own.make(own.Config(size=4, group="low"), dataset, key, scores)

    def scoring(config):
        return Scoring("confidence", {})

    mine = types.SimpleNamespace(Config=SCENARIOS["class"].Config, make=make, SCORING=scoring)
    junlearn.register("scenario", mine, "by_confidence")
    chosen = schema.parse(BASE | {"scenario": {"name": "by_confidence"}})
    setup = prepare(chosen, str(tmp_path), Reporter(Console(quiet=True)))
    assert len(setup.split.forget) == 4 and setup.scores


def test_registered_things_are_used_by_name():
    mine = types.SimpleNamespace(Config=finetune.Config, make=finetune.make, NEEDS=finetune.NEEDS)
    assert junlearn.register("method", mine, "mine") == "mine"
    assert registry.find("method", "mine") is mine
    assert schema.parse(BASE | {"methods": ["mine"]}).method.mine.name == "mine"

    def sure(context):
        return {}

    assert junlearn.register("metric", sure) == "sure"
    assert schema.parse(BASE | {"metrics": ["sure"]}).metrics == ("sure",)
    junlearn.register("method", finetune, "mine")
    assert registry.find("method", "mine") is finetune


def wrong(**parts):
    """A scenario of scores with a mistake."""
    right = {
        "Config": SCENARIOS["class"].Config,
        "make": lambda config, dataset, key, scores: 0,
        "SCORING": lambda config: Scoring("confidence", {}),
    }
    return types.SimpleNamespace(**(right | parts))


@pytest.mark.parametrize(
    ("kind", "thing", "name", "message"),
    [
        ("methods", finetune, "mine", "unknown kind 'methods'; did you mean 'method'"),
        ("surrogate", finetune, "mine", "unknown kind 'surrogate'"),
        ("method", finetune, "ssd", "there is a method 'ssd' already"),
        ("method", finetune, "potion", "there is a method 'potion' already"),
        ("scenario", SCENARIOS["class"], "noise", "there is a scenario 'noise' already"),
        ("method", finetune, "my method", "'my method' is no name"),
        ("method", types.SimpleNamespace(), "mine", "has no Config and no make and no NEEDS"),
        ("model", finetune, "mine", r"its make is not make\(config, num_classes, input_shape\)"),
        ("scenario", wrong(make=lambda a, b, c: 0), "mine", r"key, scores\) -> Split"),
        ("scenario", wrong(SCORING=3), "mine", r"is not SCORING\(config\)"),
        ("scenario", wrong(MANIPULATES=True), "mine", "it cannot manipulate the data"),
        ("metric", 3, "mine", r"is no metric: metric\(context\)"),
        ("metric", dict, "mine", r"is no metric: metric\(context\)"),
    ],
)
def test_what_cannot_be_registered(kind, thing, name, message):
    with pytest.raises(ConfigError, match=message) as caught:
        registry.register(kind, thing, name)
    assert "\n" not in str(caught.value)


WRONG = {
    "@dataclass(frozen=True, kw_only=True)": ("@dataclass", "has to be frozen"),
    "rate: float = 0.05": ("rate: float", "the field 'rate' of its Config has no default"),
    "epochs: int = 1": ("file: int = 1", "the field 'file' of its Config has a name"),
    "NEEDS = finetune.NEEDS": ("NEEDS = 'forget.x'", "NEEDS is a set of names"),
    "def make(config, model):": ("def make(config):", r"its make is not make\(config, model\)"),
    '"""Mine': ("def", r"cannot be imported: SyntaxError: .*line 1"),
    "from junlearn.methods": ("from junlearn.nothing", "ModuleNotFoundError"),
    "class Config:": ("class Settings:", "has no Config"),
}


@pytest.mark.parametrize("old", WRONG)
def test_files_that_are_no_method(old, tmp_path):
    new, message = WRONG[old]
    (tmp_path / "mine.py").write_text(METHOD.replace(old, new))
    section = {"file": str(tmp_path / "mine.py")}
    with pytest.raises(ConfigError, match=message) as caught:
        schema.parse(BASE | {"methods": ["mine"], "method": {"mine": section}})
    assert "\n" not in str(caught.value) and "mine.py" in str(caught.value)


def test_installed_packages(package, caplog):
    points = (
        "[junlearn.methods]\ntheirs = their_method\nbroken = their_broken\nssd = their_method\n"
        "[junlearn.metrics]\nsure = their_metric:metric\n[junlearn.models]\nbare = their_metric\n"
    )
    package(points, their_method=METHOD, their_metric=METRIC, their_broken="import not_there\n")
    parsed = schema.parse(BASE | {"methods": ["theirs", "ssd"], "metrics": ["accuracy", "sure"]})
    assert parsed.method.theirs.rate == 0.05 and parsed.method.ssd.alpha == 10
    assert registry.find("method", "ssd") is METHODS["ssd"]
    listed = registry.listed("method")
    assert listed["theirs"].origin == "my-package 1.2"
    assert listed["theirs"].summary == "Mine: fine-tuning with a rate of its own."
    assert "ModuleNotFoundError: No module named 'not_there'" in listed["broken"].summary
    assert "taken" in listed["ssd (my-package 1.2)"].summary
    with pytest.raises(ConfigError, match=r"method broken of my-package 1\.2 cannot be imported"):
        schema.parse(BASE | {"methods": ["broken"]})
    with pytest.raises(ConfigError, match=r"model bare of my-package 1\.2 is no model"):
        registry.find("model", "bare")
    # Nothing else is kept from working.
    assert schema.parse(BASE).methods == ("finetune",)


def test_the_digest_of_the_source_is_that_of_the_file(tmp_path):
    digests = []
    for text in (METHOD, METHOD + "\nMORE = 1\n"):
        (tmp_path / "mine.py").write_text(text)
        _, thing = registry.load("method", {"file": str(tmp_path / "mine.py")})
        assert not is_own(thing)
        digests.append(source_digest(thing))
    assert digests[0] != digests[1]
    (tmp_path / "other.py").write_text(METHOD)
    assert (
        source_digest(registry.load("method", {"file": str(tmp_path / "other.py")})[1])
        == digests[0]
    )
