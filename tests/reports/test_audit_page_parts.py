"""Parts of the page of an audit: the configuration in TOML, the listing of examples, thumbnails."""

import base64
import io
import tomllib

import numpy as np
import pytest
from PIL import Image

from junlearn.reports.audit_page.glossary import glossary
from junlearn.reports.audit_page.per_example import listing
from junlearn.reports.page.configuration import configurations, toml
from junlearn.reports.page.drawings import thumbnail
from tests.reports.audit_rows import arrays, bank, row


def test_toml_is_read_back():
    table = {
        "seed": 0,
        "flag": True,
        "rate": 1e-05,
        "endless": float("inf"),
        "none": None,
        "quoted key.": 'a "quote" \\ \n \x7f \u202e 漢',
        "list": [1, [2.5, "x"], {"inner": False}],
        "empty": [],
        "outer": {"a": 1, "in ner": {"b": ["c"]}, "nothing": {"x": None}},
    }
    read = tomllib.loads(toml(table))
    del table["none"], table["outer"]["nothing"]
    assert read == table


def test_one_configuration_with_all_methods():
    (text,) = configurations(bank("finetune", "scrub"))
    read = tomllib.loads(text)
    assert read["methods"] == ["finetune", "scrub"]
    assert read["method"]["scrub"] == {"name": "scrub", "epochs": 2}
    assert read["audit"]["delta"] == 1e-5 and read["model"]["widths"] == [16, 32]


def test_rows_with_other_settings_have_a_configuration_of_their_own():
    other = row("scrub")
    other["config"] = other["config"] | {"seed": 1}
    first, second = map(tomllib.loads, configurations([row(), other]))
    assert (first["seed"], second["seed"]) == (0, 1) and second["methods"] == ["scrub"]


@pytest.mark.parametrize(
    ("absent", "first"),
    [([], "epsilon (F)"), (["epsilon"], "KLoM"), (["epsilon", "klom", "accuracy"], "shift, sd")],
)
def test_the_examples_are_the_most_extreme(absent, first):
    example = arrays(n=3000, **dict.fromkeys(absent))
    found = listing(example)
    assert found.first == first and found.of == 3000 and len(found.lines) == 50
    place = found.headings.index(first)
    sizes = [abs(float(line[place][1])) for line in found.lines]
    name = {"epsilon (F)": "epsilon", "KLoM": "klom", "shift, sd": "shift"}[first]
    assert sizes == sorted(np.abs(example[name]), reverse=True)[:50]


def test_small_p_values_come_first_and_no_numbers_last():
    only = {"ks_p": np.array([0.5, np.nan, 0.01])}
    found = listing(only)
    assert [line[0][0] for line in found.lines] == ["2", "0", "1"]
    assert found.lines[2][1] == ("-", "")
    assert listing({"id": np.arange(3)}) is None


def test_classes_have_their_names_where_there_are_names():
    example = arrays(n=2, label=np.array([1, 9]), class_names=np.array(["cat", "dog"]))
    assert {line[1] for line in listing(example).lines} == {("dog", "1"), ("9", "9")}


@pytest.mark.parametrize(("side", "channels", "shown"), [(8, 1, 8), (32, 3, 32), (224, 3, 64)])
def test_thumbnails_are_small(side, channels, shown):
    image = np.arange(side * side * channels, dtype=np.uint8).reshape(side, side, channels)
    kind, _, content = thumbnail(image).partition(",")
    assert kind == "data:image/png;base64"
    read = Image.open(io.BytesIO(base64.b64decode(content)))
    assert read.size == (shown, shown)
    if side == shown:
        assert np.array_equal(np.asarray(read).reshape(image.shape), image)


def test_the_glossary_explains_what_is_there_once():
    found = glossary(["forget/tpr@0.01", "retain/tpr@0.001", "lira/auc", "strange/thing", "tow"])
    assert list(found) == ["tpr", "lira", "tow"]
