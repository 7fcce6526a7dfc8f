"""The pages do as they say: their Python runs, their commands parse, their links lead somewhere."""

import ast
import dataclasses
import re
import subprocess
import tomllib
from types import ModuleType

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.commands import catalogue
from junlearn.engine.run import run
from junlearn.experiment import schema, sweep
from junlearn.experiment.sections import anchored
from junlearn.methods import METHODS
from tests import pages
from tests.conftest import ROOT
from tests.page_commands import check
from tests.plugins import sources

FLATTEN = '"""Flatten:'
"""How the block begins that is the whole file of a method."""


def read(page):
    return (ROOT / page).read_text(encoding="utf-8")


def many_models(names, printed):
    assert names["outputs"].shape == (8, 200, 2)
    chex.assert_tree_all_finite(names["first"])
    assert names["shadows"].how in printed and "'loss'" in printed


def judges(names, printed):
    assert [row["role"] for row in names["found"].rows] == ["twin", "unlearn"]
    assert names["found"].rows[-1]["verdict"]["forget"] in printed


def prints_metrics(names, printed):
    assert "accuracy" in printed and "forget_train" in printed


def compares(names, printed):
    assert not names["found"].failures and {"naive", "gentle"} <= set(names["found"].results)
    assert "Result: " in printed and "gentle" in printed and "retrain" in printed


def passes(names, printed):
    assert "resume True" in printed and " False" not in printed


def sees_the_shift(names, printed):
    low, high = np.quantile(names["null"], [0.025, 0.975])
    assert low < 0 < high < names["value"] and names["p"] <= 0.01
    assert printed.startswith("energy ")


WITHOUT_A_NUMBER = {"amun", "retrain", "uam"}
"""Methods of no paper, or of one whose number on arXiv is not known."""

SHOWN = {
    "logits_many(": many_models,
    "junlearn.compare_methods(": compares,
    "junlearn.evaluate(": prints_metrics,
    "testing.check(": passes,
    "audit.compare(": judges,
    "ensemble.permutations(": sees_the_shift,
}
"""What has to come of a block that calls this."""


@pytest.mark.parametrize("block", pages.of("python"), ids=lambda block: block.id)
def test_python_runs(block, tmp_path, monkeypatch, capsys, own_names):
    """Each block by itself, in a folder without anything."""
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "page"}
    exec(compile(block.text, block.id, "exec"), names)
    printed = capsys.readouterr().out
    for call, judge in SHOWN.items():
        if call in block.text:
            judge(names, printed)


def test_the_blocks_are_there():
    calls = "\n".join(block.text for block in pages.of("python"))
    assert all(call in calls for call in (*SHOWN, "from_linen(", "from_nnx(", FLATTEN))


def markers(config):
    """Those that the suite has."""
    return {line.partition(":")[0] for line in config.getini("markers")}


@pytest.fixture
def place(tmp_path, monkeypatch, own_names):
    """The current directory: the repository, with code of somebody else beside it, as the pages call it."""
    for path in ROOT.iterdir():
        (tmp_path / path.name).symlink_to(path)
    sources.write(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("block", pages.of(*pages.SHELLS), ids=lambda block: block.id)
def test_commands_parse(block, place, pytestconfig, capsys):
    subprocess.run(["bash", "-n"], input=block.text, text=True, check=True)
    for words in pages.commands(block):
        check(words, markers(pytestconfig))


@pytest.mark.parametrize("path", pages.PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_in_sentences_parse(path, place, pytestconfig, capsys):
    for block in pages.inline(path.read_text(encoding="utf-8")):
        for words in pages.commands(block):
            check(words, markers(pytestconfig))


def test_the_first_two_commands_are_those_that_ci_runs():
    lines = read("README.md").splitlines()
    first, second = (
        next(line for line in lines if re.search(wanted, line))
        for wanted in (r"python -m junlearn.main$", "python -m pytest")
    )
    assert first == "python -m pip install -e . && python -m junlearn.main"
    assert second.startswith("python -m pip install -e '.[dev]' && python -m pytest")


@pytest.mark.parametrize("block", pages.of("toml"), ids=lambda block: block.id)
def test_configurations_parse(block, place):
    """A whole one by itself, a part of one on top of the first run's."""
    table = anchored(tomllib.loads(block.text), place)
    start = schema.read(ROOT / "junlearn" / "first_run.toml")
    labels = table.get("methods", start["methods"])
    method = {label: s for label, s in start["method"].items() if label in labels}
    table = start | table | {"method": method | table.get("method", {})}
    experiments = [p.experiment for p in sweep.expand(table)] if "sweep" in table else [table]
    for experiment in experiments:
        if isinstance(experiment, dict):
            schema.parse(experiment)


@pytest.mark.parametrize("path", pages.PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    for target in pages.links(path.read_text(encoding="utf-8")):
        if re.match(r"https?://", target):
            assert not re.search(r"arxiv\.org/(?!abs/\d{4}\.\d{5}$)", target), target
            continue
        name, _, anchor = target.partition("#")
        other = path if not name else (path.parent / name).resolve()
        assert other.is_relative_to(ROOT) and other.exists(), target
        if anchor:
            assert anchor in pages.anchors(other.read_text(encoding="utf-8")), target


def test_blocks_have_a_language_that_is_looked_at():
    known = {"", "python", "py", "toml", "bibtex", *pages.SHELLS}
    assert {block.language for block in pages.BLOCKS} <= known


def test_the_readme_is_short():
    assert len(read("README.md").splitlines()) <= 200


@pytest.mark.parametrize("kind", catalogue.KINDS)
def test_everything_has_a_row(kind):
    assert set(catalogue.names_of(kind)) <= set(pages.rows(f"junlearn/{kind}/README.md"))


def test_every_method_is_in_the_readme():
    text = read("README.md")
    assert all(f"`{name}`" in text for name in METHODS)


def test_papers_are_those_of_the_heads():
    """Whatever a row of the table of methods links to is named at the head of that method's file."""
    linked = {
        name: re.findall(r"arxiv\.org/abs/([\d.]+)", row)
        for name, row in pages.rows("junlearn/methods/README.md").items()
        if name in METHODS
    }
    assert {name for name, numbers in linked.items() if not numbers} == WITHOUT_A_NUMBER
    for name, numbers in linked.items():
        assert all(number in METHODS[name].__doc__ for number in numbers), name


def test_the_file_of_a_method_is_one(mlp):
    """It needs nothing but itself, has what the conformance suite asks for, and does what it says."""
    text = next(b.text for b in pages.of("python") if b.text.startswith(FLATTEN))
    file = ModuleType("flatten")
    exec(compile(text, "flatten.py", "exec"), vars(file))
    assert set(file.__all__) == {"NEEDS", "SPACE", "Config", "State", "make"}
    assert issubclass(file.State, tuple)
    assert len([line for line in text.splitlines() if line.strip()]) <= 70
    table = re.findall(r"^ {4}(\w+) {2,}(.+)$", file.__doc__.split("Defaults", 1)[1], re.MULTILINE)
    stated = {field: ast.literal_eval(value) for field, value in table}
    assert stated == dataclasses.asdict(file.Config())
    blind = mlp.sources["train"].x.copy()
    blind[mlp.split.retain] = np.nan
    unlabelled = mlp.sources["train"]._replace(x=blind, y=np.full(len(blind), -(10**6), np.int32))
    assert list(file.NEEDS) == ["forget.x"]
    method = file.make(file.Config(learning_rate=0.5), mlp.model)
    problem = mlp._replace(sources=mlp.sources | {"train": unlabelled})
    done = run(method, *problem, key=jax.random.key(0))
    chex.assert_tree_all_finite(done.variables)

    def confidence(variables):
        x = jnp.asarray(mlp.sources["train"].x[mlp.split.forget])
        return float(jax.nn.softmax(mlp.model.apply(variables, x)[0]).max(-1).mean())

    assert confidence(done.variables) < confidence(mlp.variables)


def test_the_first_example_is_short():
    text = pages.of("python")[0].text
    assert len([line for line in text.splitlines() if line.strip()]) <= 20
    assert max(map(len, text.splitlines())) <= 120
