"""Pictures of an audit: what is drawn in them, and that they are written."""

import numpy as np
import pytest

from junlearn.reports import audit_plots
from junlearn.reports.audit_curves import quantiles, roc
from junlearn.reports.audit_exposed import exposed
from junlearn.reports.audit_histograms import histograms
from junlearn.reports.audit_landscape import costs, planned
from junlearn.reports.audit_planning import NETWORKS, PLANNED
from junlearn.reports.audit_style import styles
from tests.reports.audit_rows import BANK, arrays, bank, examples, random_row, row

ROWS = bank("finetune", "scrub")
NAMES = ["finetune", "scrub", "Original", "Twin"]


def labels(figure):
    (shown,) = figure.legends
    return [text.get_text() for text in shown.get_texts()]


def test_histograms_hold_the_counts_over_the_null():
    example = arrays()
    figure = histograms(row(), example)
    assert len(figure.axes) == 3
    for axis, name in zip(figure.axes, ("epsilon", "accuracy", "klom"), strict=True):
        null, own = (patch.get_data() for patch in axis.patches)
        assert null.values.tolist() == example[f"hist_{name}_null"][1].tolist()
        assert own.values.tolist() == example[f"hist_{name}"].tolist()
        (lines,) = axis.collections
        ends = [segment[:, 1].tolist() for segment in lines.get_segments()]
        assert ends == example[f"hist_{name}_null"][[0, 2]].T.tolist()
    assert labels(figure) == ["perfect unlearner, mean", "95 % of splits", "this row"]


def test_histograms_of_what_is_there_alone():
    only = histograms(row(), arrays(hist_epsilon=None, hist_klom=None, hist_accuracy_null=None))
    (axis,) = only.axes
    assert len(axis.patches) == 1 and not axis.collections
    assert histograms(row(), {}) is None


def test_roc_curves_of_all_rows_the_band_and_the_diagonal():
    found = examples(ROWS)
    (axis,) = (figure := roc(ROWS, found)).axes
    assert labels(figure) == ["networks permuted, 95 %", "guessing", *NAMES]
    assert axis.get_xscale() == axis.get_yscale() == "log"
    assert axis.get_xlim() == (1e-3, 1) and len(axis.collections) == 1
    for line, one in zip(axis.lines[1:], ROWS, strict=True):
        example = found[one["method"]]
        assert (
            line.get_xydata().tolist()
            == np.stack([example["roc_fpr"], example["roc_tpr"]], axis=1).tolist()
        )


def test_roc_axes_begin_at_the_smallest_rate_and_its_band_is_the_widest():
    rates = np.array([0.0, 0.25, 1.0])
    curve = {"roc_fpr": rates, "roc_tpr": rates, "roc_low": rates / 2, "roc_high": rates}
    wider = curve | {"roc_low": rates / 4, "roc_high": np.array([0.5, 0.5, 1.0])}
    rows = [row("a"), row("b"), row("c")]
    (axis,) = roc(rows, {"a": curve, "b": wider}).axes
    assert axis.get_xlim() == (0.25, 1) and len(axis.lines) == 3
    heights = {y for x, y in axis.collections[0].get_paths()[0].vertices.tolist() if x == 0.25}
    assert heights == {0.0625, 0.5}
    assert roc(rows, {}) is None


def test_klom_over_the_examples():
    found = examples(ROWS)
    (axis,) = (figure := quantiles(ROWS, found)).axes
    assert labels(figure) == ["perfect unlearner, 95 %", "perfect unlearner", *NAMES]
    twin = found["twin"]["klom_quantiles_null"]
    assert axis.lines[0].get_ydata().tolist() == twin[1].tolist()
    assert axis.lines[0].get_xdata().tolist() == pytest.approx(range(1, 100))
    assert quantiles([row()], {}) is None


@pytest.mark.parametrize("channels", [1, 3])
def test_a_dot_for_every_network_of_the_most_exposed(channels):
    example = arrays(networks=9, channels=channels)
    figure = exposed(example)
    drawn = [axis for axis in figure.axes if axis.collections]
    assert len(drawn) == 6 and sum(len(axis.images) for axis in figure.axes) == 6
    for number, axis in enumerate(drawn):
        parts = [part.get_offsets()[:, 0].tolist() for part in axis.collections]
        expected = [
            example[f"phi_{name}"][:, number].tolist()
            for name in ("twin", "retrain", "unlearned", "original")
        ]
        assert parts == expected
        assert axis.get_title().startswith(f"example {example['id'][example['exposed'][number]]}, ")


def test_fewer_exposed_or_none():
    few = arrays(exposed=np.array([3, 5]), images=None, phi_twin=None)
    drawn = [axis for axis in exposed(few).axes if axis.collections]
    assert len(drawn) == 2 and all(len(axis.collections) == 3 for axis in drawn)
    assert exposed(arrays(exposed=np.zeros(0, int))) is None and exposed({}) is None


def test_cost_against_distance():
    (axis,) = (figure := costs(ROWS)).axes
    assert labels(figure) == ["perfect unlearner, 95 %", "retraining", *NAMES[:3]]
    points = [line.get_xydata()[0].tolist() for line in axis.lines]
    own = [[r["seconds_each"], r["values"]["forget/energy"]] for r in ROWS[:3]]
    assert points == [[ROWS[3]["seconds_each"], 0], *own] and axis.get_xscale() == "log"
    assert costs([random_row()]) is None and costs([row(seconds_each=0)]) is None


def test_what_so_many_networks_can_show():
    figure = planned(ROWS)
    shown = [axis for axis in figure.axes if axis.get_title()]
    assert [axis.get_title() for axis in shown] == [plan.title for plan in PLANNED]
    for axis, plan in zip(shown, PLANNED, strict=True):
        simulated = [line for line in axis.lines if len(line.get_xdata()) == len(NETWORKS)]
        assert len(simulated) == len(plan.means)
        median = BANK[plan.metric][0]
        assert [32.0, median] in [line.get_xydata()[0].tolist() for line in axis.lines]
    assert planned([random_row()]) is None


def test_twelve_methods_are_told_apart_in_grey_too():
    found = styles(bank(*(f"m{i}" for i in range(24))))
    assert len({(style.color, style.dashes) for style in found}) == 26
    assert len({style.marker for style in found[:12]}) == 12


def test_legends_lie_beside_the_axes_and_in_the_picture():
    rows = bank(*(f"a_method_with_a_very_long_label_{i}" for i in range(12)))
    for figure in (roc(rows, examples(rows)), costs(rows), planned(rows)):
        figure.draw_without_rendering()
        box = figure.legends[0].get_window_extent()
        assert all(axis.get_window_extent().x1 < box.x0 for axis in figure.axes)
        assert box.x1 <= figure.bbox.x1 + 1 and box.y0 >= -1


def test_files_are_written(tmp_path):
    values = {"forget/energy": 0.1}
    rows = [row(name, values=values) for name in ("a/b", "a?b", "漢$^字")]
    found = {"a/b": arrays(), "a?b": arrays()}
    paths = audit_plots.write_plots(rows, found, tmp_path / "deep" / "plots")
    assert [path.name for path in paths] == [
        "costs.png",
        "roc.png",
        "klom_quantiles.png",
        *(f"{kind}_{name}.png" for kind in ("histograms", "exposed") for name in ("a_b", "a_b_2")),
    ]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_the_random_design_has_the_pictures_of_its_arrays(tmp_path):
    rows = [random_row()]
    example = arrays(hist_epsilon=None, hist_klom=None, klom_quantiles=None, exposed=None)
    names = [
        path.name for path in audit_plots.write_plots(rows, {rows[0]["method"]: example}, tmp_path)
    ]
    assert names == ["roc.png", "histograms_finetune.png"]
