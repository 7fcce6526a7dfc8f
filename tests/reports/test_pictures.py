"""Pictures of records: what each shows, that many and odd names stay legible, and that files are the same again."""

import xml.etree.ElementTree as ElementTree

import matplotlib.colors
import numpy as np
import pytest

from junlearn.reports import style
from junlearn.reports.pictures import draw
from junlearn.reports.pictures.curves import curves, panels
from junlearn.reports.pictures.gaps import gaps
from junlearn.reports.pictures.method_runs import settings
from junlearn.reports.pictures.relearn_curves import relearning
from junlearn.reports.pictures.time_quality import time_quality
from junlearn.reports.pictures.trade_off import trade_off
from tests.reports.drawn import flaws, labels, words
from tests.reports.run_records import record, records

NASTY = "a$b_{x}^2\nc</svg>\u202e"
MANY = [f"a_method_of_number_{i}" for i in range(25)] + [NASTY + "and a long tail of words " * 3]


def runs(names, seeds=(0,), **changes):
    """Records of the networks of several seeds; the second network is the retrained one."""
    found = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        for place, name in enumerate(["original", "retrain", *names]):
            amount = (1.0, 0.0, *rng.uniform(size=len(names)))[place]
            one = record(name, amount, seed=seed, **changes)
            one["config"] = one["config"] | {"seed": seed}
            one["seconds"] = one["seconds"] | {"run": 10.0 ** rng.uniform(-2, 3)}
            found.append(one)
    return found


def without(one, *names):
    return one | {"metrics": {k: v for k, v in one["metrics"].items() if k not in names}}


def panel(figure, title):
    return next(axis for axis in figure.axes if axis.get_title().startswith(title))


def marks(axis):
    """Height -> place of every mark of a panel."""
    lines = [line for line in axis.lines if line.get_marker() not in ("None", "|", "_")]
    return {float(line.get_ydata()[0]): float(line.get_xdata()[0]) for line in lines}


def test_gaps_are_in_points_from_the_retrained_network():
    figure = gaps(records())
    axis = panel(figure, "forget train")
    assert axis.get_title() == "forget train\nretrained 30.0"
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert names == ["original", "ssd", "langevin"]
    assert marks(axis) == pytest.approx({0: -30, 1: 30, 2: 60})
    line = next(line for line in axis.lines if len(line.get_xdata()) == 2)
    assert list(line.get_xdata()) == [0, 0]
    assert gaps([record()]) is None


def test_a_direction_stands_under_every_panel():
    figure = gaps(records())
    shown = {a.get_title().split("\n")[0]: a.get_xlabel() for a in figure.axes if a.axison}
    assert shown == {
        "retain train": "points   better →",
        "forget train": "points   → better ←",
        "test": "points   better →",
        "attack: members": "points   → better ←",
    }


def test_a_zero_is_a_mark_and_what_is_missing_says_so():
    zero = record("retrain", 0.0)
    rows = [zero, record("ssd", 0.0), without(record("langevin"), "accuracy/forget_train")]
    axis = panel(gaps(rows), "forget train")
    assert marks(axis) == {0: 0}
    ((text, height),) = [(t.get_text(), t.get_position()[1]) for t in axis.texts]
    assert (text, height) == ("n/a", 1)


def test_runs_are_a_mean_with_a_bar_each_beside_its_own_retrained_network():
    rows = runs(["ssd"], (0, 1, 2))
    for seed in range(3):
        rows[3 * seed + 1]["metrics"]["accuracy/forget_train"] = 0.1 * seed
        rows[3 * seed + 2]["metrics"]["accuracy/forget_train"] = 0.1 * seed + 0.05
    axis = panel(gaps(rows), "forget train")
    # The accuracies of the retrained networks differ, the distance from them does not.
    assert axis.get_title() == "forget train\nretrained 10.0 ± 10.0"
    assert marks(axis)[1] == pytest.approx(5)
    bar = axis.collections[1].get_segments()[0]
    np.testing.assert_allclose(bar[:, 0], 5, atol=1e-9)
    bar = axis.collections[0].get_segments()[0]
    np.testing.assert_allclose(bar[:, 0].mean(), 90)
    np.testing.assert_allclose(np.ptp(bar[:, 0]), 20)


def test_settings_of_one_label_are_told_apart_and_those_alike_are_runs():
    rows = [record("retrain"), record("ssd"), record("ssd", seed=1)]
    assert [s.label for s in settings(rows)] == ["retrain", "ssd"]
    rows[2]["config"] = rows[2]["config"] | {"method": {"ssd": {"name": "ssd", "alpha": 9.0}}}
    found = settings(rows)
    assert [s.label for s in found] == ["retrain", "ssd (alpha 3.0)", "ssd (alpha 9.0)"]


def test_without_a_retrained_network_the_original_is_the_line():
    figure = gaps([record("original", 1.0), record("ssd", 0.25)])
    assert panel(figure, "forget train").get_title() == "forget train\noriginal 100.0"
    assert "original network (the line)" in figure.get_suptitle()
    assert marks(panel(figure, "forget train")) == {0: -75}


def test_the_retrained_network_is_a_star_where_lines_meet():
    figure = trade_off(records())
    axis = figure.axes[0]
    star = next(line for line in axis.lines if line.get_marker() == "*")
    assert star.get_xdata()[0] == pytest.approx(30) and star.get_ydata()[0] == pytest.approx(88)
    meet = [line for line in axis.lines if len(line.get_xdata()) == 2]
    assert meet[0].get_xdata()[0] == pytest.approx(30)
    assert meet[1].get_ydata()[0] == pytest.approx(88)
    assert labels(figure) == ["original", "retrain", "ssd", "langevin"]
    assert trade_off([without(record(), "accuracy/forget_train")]) is None


def test_what_lies_near_has_a_panel_of_its_own():
    rows = [record("retrain", 0.0), record("a", 0.01), record("b", 0.02), record("ssd", 0.9)]
    whole, near = trade_off(rows).axes
    assert near.get_title() == "within 5 points of the retrained network"
    assert near.get_xlim()[1] <= 5 < whole.get_xlim()[1]


def test_time_is_logarithmic_and_quality_a_mean_distance():
    figure = time_quality(records())
    (axis,) = figure.axes
    assert axis.get_xscale() == "log"
    points = {
        line.get_label(): (float(line.get_xdata()[0]), float(line.get_ydata()[0]))
        for line in axis.lines
        if len(line.get_xdata()) == 1
    }
    assert points["retrain"] == (1.5, 0)
    # retain train 3 points, forget train and the attack 30 each, test the same.
    assert points["ssd"] == pytest.approx((1.5, (3 + 30 + 0 + 30) / 4))
    assert "retain train, forget train, test, attack: members" in axis.get_title().replace(
        "\n", " "
    )
    alone = time_quality([record("original", 1.0), record("ssd", 0.25)])
    assert alone.axes[0].get_ylabel() == "AUS, %"


def test_no_time_at_all_has_a_place_on_the_axis():
    rows = [one | {"seconds": {"run": 0.0, "total": 0.0}} for one in records()]
    figure = time_quality(rows)
    assert {line.get_xdata()[0] for line in figure.axes[0].lines} == {1e-3}


HISTORY = [
    {"stage": "vae_forget", "epoch": 0, "steps": 5, "retain_loss": 2.0, "forget_loss": 1.0},
    {"stage": "vae_forget", "epoch": 1, "steps": 5, "retain_loss": 1.5, "forget_loss": 0.5},
    {"stage": "importance", "epoch": 0, "steps": 2},
    {"stage": "repair", "epoch": 0, "steps": 5, "loss": 0.3, "accuracy": 0.25},
]


def test_all_networks_are_in_one_grid_of_curves():
    rows = [record("retrain"), record("ssd", history=HISTORY), record("langevin", history=[])]
    shown = panels(rows)
    kinds = [(p.label, p.kind) for p in shown]
    assert kinds == [
        ("retrain", "loss"),
        ("retrain", "accuracy"),
        ("ssd", "loss"),
        ("ssd", "accuracy"),
    ]
    losses = shown[2]
    assert losses.lines == {
        "forget_loss": [(1, 1.0), (2, 0.5)],
        "retain_loss": [(1, 2.0), (2, 1.5)],
        "loss": [(3, 0.3)],
    }
    assert losses.stages == ("vae forget", "repair") and losses.turns == (2.5,)
    assert shown[3].lines == {"accuracy": [(1, 25.0)]}
    figure = curves(shown, titles=("pets",))
    assert "vae forget → repair" in panel(figure, "ssd\n").get_title()
    assert labels(figure) == ["forget loss", "retain loss", "accuracy", "loss"]
    assert [axis.get_xlabel() for axis in figure.axes] == ["epoch"] * 4
    assert flaws(figure) == [] and curves([]) is None


def test_curves_of_several_seeds_are_means_and_turns_of_stages_are_no_borders():
    pair = [{"stage": s, "epoch": e, "steps": 1, "loss": 1.0} for e in range(2) for s in "ab"]
    other = [entry | {"loss": 3.0} for entry in pair]
    (shown,) = panels([record(history=pair), record(history=other, seed=1)])
    assert shown.lines == {"loss": [(epoch, 2.0) for epoch in (1, 2, 3, 4)]}
    assert shown.turns == () and shown.stages == ("a", "b")


def test_many_stages_are_counted_and_few_are_named():
    rows = [[{"stage": f"pass {e}", "epoch": 0, "loss": 1.0} for e in range(n)] for n in (4, 5)]
    shown = panels([record(str(len(row)), history=row) for row in rows])
    few, many = (axis.get_title().replace("\n", " ") for axis in curves(shown).axes)
    assert few == "4 pass 0 → pass 1 → pass 2 → pass 3"
    assert many == "5 5 stages"


def test_a_line_for_every_network_that_was_trained_on():
    curve = {"relearn_retain/gap": 0.3, "relearn_retain/gap/100": 0.25, "relearn_retain/gap/0": 0.5}
    figure = relearning([record("ssd"), record("langevin", metrics=curve)])
    (axis,) = figure.axes
    assert labels(figure) == ["langevin"]
    assert axis.lines[0].get_xydata().tolist() == [[0, 50], [100, 25]]
    assert relearning([record("ssd")]) is None


@pytest.mark.parametrize(
    ("names", "seeds"), [(["ssd", "scrub", NASTY], (0,)), (MANY, (0, 1, 2))], ids=["few", "many"]
)
def test_no_words_lie_on_each_other(names, seeds):
    rows = runs(names, seeds)
    figures = [gaps(rows), trade_off(rows), time_quality(rows)]
    figures += [gaps(rows, width=4.4, titled=False), trade_off(rows, width=4.4, titled=False)]
    for figure in figures:
        assert flaws(figure) == []
        shown = "".join(text for text, _ in words(figure)).replace("\n", "")
        assert all(name in shown for name in names if "\n" not in name)
        assert figure.get_figwidth() in (style.PAGE, 4.4)


def test_networks_are_told_apart_without_colour():
    found = [style.look(number) for number in range(72)]
    assert len({(one.color, one.marker) for one in found}) == 72
    assert len({one.marker for one in found[:12]}) == 12
    assert len({(one.color, one.dashes) for one in found[:24]}) == 24
    assert not {style.ORIGINAL.marker, style.RETRAINED.marker} & {one.marker for one in found}
    grey = [matplotlib.colors.to_rgb(color) for color in style.OKABE_ITO]
    assert len(set(grey)) == len(style.OKABE_ITO)


def test_long_names_are_whole_and_no_dollar_begins_a_formula():
    text = "$" * 60 + " a" * 30
    lines = style.wrapped(text).split("\n")
    assert max(len(line.replace(r"\$", "$")) for line in lines) <= 26
    assert "".join(lines).replace(r"\$", "$").replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("widest", [3, 20, 40, 200])
def test_lines_of_a_note_are_about_equally_long(widest):
    text = "each point is the mean over the examples; 0.5: chance"
    lines = style.balanced(text, widest).split("\n")
    assert len(lines) == len(style.wrapped(text, widest).split("\n"))
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert widest != 40 or min(map(len, lines)) > 20


def test_files_are_written_in_each_format(tmp_path):
    rows = [record("retrain"), record("ssd", 0.3, history=HISTORY)]
    paths = draw.write(rows, None, tmp_path / "p", ("png", "svg", "pdf"))
    names = ("gaps", "trade_off", "time_quality", "curves")
    assert [path.name for path in paths] == [f"{n}.{kind}" for n in names for kind in style.FORMATS]
    begin = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}
    assert all(path.read_bytes().startswith(begin[path.suffix]) for path in paths)


def test_the_same_picture_is_the_same_file_without_a_date():
    rows = runs([NASTY])
    first, again = (style.drawn(gaps(rows), "svg") for _ in range(2))
    assert first == again and b"date" not in first
    root = ElementTree.fromstring(first)
    # 6.8 inches in points: as wide as two columns of a paper.
    assert root.get("width") == "489.6pt"
    assert not [part for part in root.iter() if part.tag.endswith("script")]
    pdf = [style.drawn(gaps(rows), "pdf") for _ in range(2)]
    assert pdf[0] == pdf[1] and b"CreationDate" not in pdf[0]


def test_a_notebook_shows_a_figure():
    assert gaps(records())._repr_png_().startswith(b"\x89PNG")
