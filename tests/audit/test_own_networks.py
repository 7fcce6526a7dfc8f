"""The ways in which an audit of one's own networks can be made, and networks that diverge."""

import shutil

import numpy as np
import pytest

from junlearn.engine import network_file
from junlearn.engine.network_file import NetworkFile
from junlearn.errors import ConfigError
from junlearn.experiment import provenance
from junlearn.types import Split
from tests.audit.small import METHODS, MODEL, SPLIT, audited, numbers

EVERYTHING = ("energy", "moments", "tow", "churn")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    place = tmp_path_factory.mktemp("bank")
    return place, audited(place, metrics=EVERYTHING)[0]


@pytest.fixture
def bank(whole, tmp_path):
    return shutil.copytree(whole[0], tmp_path / "bank")


def test_margins_give_the_values_of_logits(whole, tmp_path):
    found, _ = audited(tmp_path, metrics=EVERYTHING, keep="margins")
    assert numbers(found) == numbers(whole[1])
    for path in tmp_path.glob("*/retrain-*.npz"):
        assert set(np.load(path)) == {"meta", "phi", "predicted"}


def test_weights_are_kept_where_they_are_asked_for(whole, tmp_path):
    audited(tmp_path, save_weights=True)
    for path in tmp_path.rglob("*.npz"):
        kept = "w00003" in np.load(path)
        plain = "w00003" in np.load(whole[0] / path.relative_to(tmp_path))
        assert kept and plain == path.name.startswith("original")


def test_without_twins_there_is_no_row_of_them(bank):
    found, _ = audited(bank, metrics=EVERYTHING, twins=0)
    assert [row["role"] for row in found.rows] == ["original", "unlearn"]
    sources = {band["source"] for row in found.rows for band in row["null"].values()}
    assert sources == {"pooled"} and found.rows[1]["detectable"] == {}


def test_one_original_is_said_wherever_it_is_told(bank, capsys, tmp_path):
    found, _ = audited(bank, originals="one", compat=("one_original",))
    original, twin, gentle = found.rows
    assert gentle["verdict"]["forget"].endswith("conditional on one original")
    assert not any("one original" in row["verdict"]["forget"] for row in (original, twin))
    found.table()
    assert "conditional on one original" in " ".join(capsys.readouterr().out.split())
    page = found.page(tmp_path / "page.html").read_text()
    assert "conditional on one original" in page
    (made,) = (p.parent for p in bank.glob("*/bank.json") if '"originals": "one"' in p.read_text())
    for path in made.glob("unlearned/*/*.npz"):
        place = str(path.relative_to(bank).with_suffix(""))
        assert network_file.read(path, place).about["start"] == 0


def test_paired_scalars_alone_can_be_asked_of_pairs(tmp_path):
    found, _ = audited(tmp_path, pairing="matched", metrics=None, retain_rows=10)
    names = {name.split("/")[-1] for name in found.rows[-1]["values"]}
    assert {"tow", "tow_mia"} <= names and "energy" not in names


def test_a_method_that_changes_the_network(tmp_path):
    methods = {"shards": {"method": "sisa", "shards": 2, "slices": 1, "epochs": 1}}
    found, _ = audited(tmp_path, methods=methods)
    assert found.rows[-1]["method"] == "shards" and found.rows[-1]["models"]["compared"] == 8
    again, said = audited(tmp_path, methods=methods)
    assert numbers(again) == numbers(found) and said == ""


def test_a_whole_class_can_be_forgotten(tmp_path):
    y = np.arange(48) % 4
    split = Split(np.flatnonzero(y == 0), np.flatnonzero(y != 0), *SPLIT[2:])
    found, _ = audited(tmp_path, split=split, metrics=EVERYTHING)
    row = found.rows[-1]
    assert row["examples"]["forget"] == 12 and "forget/energy" in row["values"]


def diverged(path, bank):
    """A network's file as it is written of one that diverged."""
    belongs = str(path.relative_to(bank).with_suffix(""))
    about = network_file.read(path, belongs).about
    network_file.write(path, NetworkFile(about | {"diverged": "NaN"}, {}), belongs)


@pytest.fixture(scope="module")
def twenty(whole, tmp_path_factory):
    place = shutil.copytree(whole[0], tmp_path_factory.mktemp("twenty") / "bank")
    return place, audited(place, models=20, metrics=EVERYTHING)[0]


def test_one_of_twenty_is_left_out_and_counted(twenty, tmp_path, capsys):
    bank = shutil.copytree(twenty[0], tmp_path / "bank")
    diverged(next(bank.glob("*/unlearned/*/00004.npz")), bank)
    found, _ = audited(bank, models=20, metrics=EVERYTHING)
    row, before = found.rows[-1], twenty[1].rows[-1]
    assert (row["models"]["unlearned"], row["models"]["compared"]) == (19, 19)
    assert row["diverged"] == {"unlearned": 1}
    values, worst = row["values"], row["worst"]["values"]
    assert worst.keys() == values.keys() and row["worst"]["p"].keys() == row["p"].keys()
    assert worst["forget/mean_shift"] < values["forget/mean_shift"]
    assert worst["tow"] < values["tow"] and "forget/churn_excess" in worst
    assert "worst" not in before and before["diverged"] == {}
    found.table()
    out = " ".join(capsys.readouterr().out.split())
    assert "gentle: diverged and left out: 1 of 20 unlearned; counting them as worst: " in out


def test_two_of_twenty_are_too_many_for_a_verdict(twenty, tmp_path, capsys):
    bank = shutil.copytree(twenty[0], tmp_path / "bank")
    for number in (4, 9):
        diverged(next(bank.glob(f"*/unlearned/*/0000{number}.npz")), bank)
    found, said = audited(bank, models=20, metrics=EVERYTHING)
    line = "2 of 20 networks of gentle diverged; nothing to judge"
    assert f"audit: {line}" in said and found.rows[-1]["values"] == {}
    assert found.rows[-1]["verdict"] == {"forget": line}
    found.table()
    assert "nothing to judge" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("kind", ["retrain", "twin"])
def test_a_reference_that_diverges_is_no_reference(bank, kind):
    diverged(next(bank.glob(f"*/{kind}-00003.npz")), bank)
    with pytest.raises(
        ConfigError, match=f"audit: 1 of 8 networks of {kind} diverged; nothing to judge"
    ):
        audited(bank)


def test_from_an_original_that_diverged_nothing_starts(twenty, tmp_path):
    bank = shutil.copytree(twenty[0], tmp_path / "bank")
    shutil.rmtree(next(bank.glob("*/unlearned")))
    diverged(next(bank.glob("*/original-00002.npz")), bank)
    found, _ = audited(bank, models=20, metrics=EVERYTHING)
    assert found.rows[0]["models"]["original"] == 19
    assert [row["models"]["unlearned"] for row in found.rows] == [19, 20, 19]
    assert not list(bank.glob("*/unlearned/*/00002.npz"))


def test_too_few_that_start_are_one_line(bank):
    """Their own line has no verdict, and of what was made of the others seven are too few."""
    diverged(next(bank.glob("*/original-00002.npz")), bank)
    with pytest.raises(ConfigError, match="audit: 7 networks of gentle; the tests need at least 8"):
        audited(bank)


def test_where_all_diverge_it_is_said(tmp_path):
    with pytest.raises(ConfigError, match="8 of 8 networks of retrain diverged"):
        audited(tmp_path, learning_rate=1e30)


def test_methods_that_blow_up_have_a_line_of_that(bank):
    blown = {"blown": {"method": "neggrad", "epochs": 2, "batch_size": 24, "learning_rate": 1e30}}
    found, said = audited(bank, methods=blown | METHODS)
    assert "8 of 8 networks of blown diverged; nothing to judge" in said
    assert found.rows[2]["verdict"]["forget"].startswith("8 of 8")
    assert found.rows[3]["method"] == "gentle" and found.rows[3]["values"]


def test_of_one_original_that_diverged_too(bank):
    diverged(next(bank.glob("*/original-00000.npz")), bank)
    with pytest.raises(
        ConfigError, match=r"original-00000 diverged \(NaN\): nothing starts from it"
    ):
        audited(bank, originals="one", compat=("one_original",))


def test_networks_of_another_version_are_used_and_said_but_not_mixed(bank, monkeypatch):
    monkeypatch.setattr(provenance, "version", lambda name: "0.0.9", raising=False)
    _, said = audited(bank)
    assert "retrain networks kept, not trained again, of" in said and "0.0.9" in said
    next(bank.glob("*/retrain-00002.npz")).unlink()
    with pytest.raises(
        ConfigError, match=r"retrain networks of bank \w{4} are of .*audit\.mixed = true grows it"
    ):
        audited(bank)
    found, said = audited(bank, mixed=True)
    assert found.rows[-1]["models"]["compared"] == 8


def test_a_head_of_half_precision_is_refused(tmp_path):
    def half(variables, *arguments, **options):
        logits, *rest = MODEL.apply(variables, *arguments, **options)
        return (logits.astype("bfloat16").astype("float32"), *rest)

    with pytest.raises(
        ConfigError, match="audit: the network's logits have the steps of bfloat16"
    ) as e:
        audited(tmp_path, model=MODEL._replace(apply=half), epochs=1)
    assert 'precision = "float32"' in str(e.value) and "\n" not in str(e.value)
