"""A network comes from a file, forgets in a ledger, and goes out again."""

import json
import pickle

import numpy as np
import pytest

from junlearn.main import main
from junlearn.reports import run_page
from tests.ledger.small import forget, ids, init, lines, networks, one_line, opened, refused
from tests.reports.parsed_page import check

safetensors = pytest.importorskip("safetensors.numpy")


@pytest.fixture(scope="module")
def out(begun):
    """The file of a ledger's original network."""
    path = begun.place / "original.safetensors"
    assert main(["ledger", "export", str(begun.place / "ledger"), "--to", str(path)]) == 0
    return path


def test_what_went_out_comes_in_and_nothing_is_trained(out, begun, tmp_path, capsys):
    assert init(tmp_path, "--weights", str(out)) == 0
    assert "nothing is trained" in capsys.readouterr().out
    assert networks(tmp_path) == networks(begun.place)
    (line,) = lines(tmp_path)
    assert line["original"]["file"] and line["seconds"]["steps"] == 0
    # The file is not needed any more, and retraining does not begin from it.
    assert forget(tmp_path, ids(0)) == 0
    assert lines(begun.place)[0]["original"]["file"] is None


def test_the_file_says_where_it_comes_from(place, capsys):
    assert forget(place, ids(0)) == 0
    path = place / "now.safetensors"
    assert main(["ledger", "export", str(place / "ledger"), "--to", str(path)]) == 0
    arrays = safetensors.load_file(path)
    current = opened(place).current().variables.params
    assert np.array_equal(arrays["head.weight"], np.asarray(current["head"]["kernel"]).T)
    content = path.read_bytes()
    head = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    about = json.loads(head["__metadata__"]["junlearn"])["ledger"]
    assert about["network"] == networks(place)[-1] and about["deleted"] == 1


def test_a_file_of_another_network_is_refused(out, tmp_path, capsys):
    model = {"name": "mlp", "hidden": [9]}
    refused(capsys, init(tmp_path, "--weights", str(out), model=model), "original.safetensors")
    arrays = safetensors.load_file(out)
    arrays |= {name: arrays[name][:7] for name in arrays if name.startswith("head")}
    safetensors.save_file(arrays, tmp_path / "seven.safetensors")
    status = init(tmp_path, "--weights", str(tmp_path / "seven.safetensors"))
    refused(capsys, status, "an output for each class")
    assert not (tmp_path / "ledger").exists()


class Code:
    """What runs when it is read back by pickle."""

    def __reduce__(self):
        return print, ("it ran",)


def test_a_file_that_holds_code_is_refused(tmp_path, capsys):
    path = tmp_path / "net.pt"
    path.write_bytes(pickle.dumps({"head.weight": Code()}))
    assert init(tmp_path, "--weights", str(path)) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and "net.pt" in captured.err
    assert "it ran" not in captured.out and not (tmp_path / "ledger").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [("net.npz", "the name of a file in"), ("no/net.safetensors", "does not exist")],
)
def test_places_that_no_export_can_be_at(place, capsys, name, said):
    words = ["ledger", "export", str(place / "ledger"), "--to", str(place / name)]
    assert main(words) == 2
    one_line(capsys, said)


def test_the_page_of_a_ledger(place, capsys):
    assert forget(place, ids(900, 901)) == 0
    written, cache = place / "report.html", ["--cache-dir", str(place / "cache")]
    words = ["report", str(place / "ledger"), "--output", str(written), *cache]
    assert main(words) == 0
    text = check(written.read_text(), run_page.LIMIT).text
    assert "The ledger fits" in text and str(ids(900)[0]) in text and networks(place)[-1] in text
    assert main([*words, "--no-images", "--format", "markdown"]) == 0
    card = written.read_text()
    assert "fits" in card and str(ids(900)[0]) not in card
    log = place / "ledger" / "ledger.jsonl"
    log.write_text(log.read_text().replace("finetune", "retrain", 1))
    refused(capsys, main(words), "line 1")
