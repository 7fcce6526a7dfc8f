"""Pictures of a run: what is in them, and that they are written."""

from junlearn.reports import plots


def record(method="laf", history=(), **metrics):
    return {
        "dataset": "mnist",
        "model": "laf_cnn",
        "scenario": "class",
        "seed": 3,
        "method": method,
        "history": list(history),
        "metrics": {f"accuracy/{name}": value for name, value in metrics.items()},
    }


HISTORY = [
    {"stage": "unlearn", "epoch": 0, "steps": 5, "loss": 2.0, "kl_loss": 1.0, "accuracy": 0.5},
    {"stage": "unlearn", "epoch": 1, "steps": 5, "loss": 1.5, "kl_loss": 0.5, "accuracy": 0.6},
    {"stage": "repair", "epoch": 0, "steps": 5, "loss": 0.3},
]


def test_a_curve_for_every_loss_of_every_stage():
    figure = plots.curves(record(history=HISTORY))
    drawn = {
        (axis.get_title(), axis.get_ylabel()): axis.lines[0].get_xydata().tolist()
        for axis in figure.axes
        if axis.get_visible()
    }
    assert drawn == {
        ("unlearn", "loss"): [[1, 2.0], [2, 1.5]],
        ("unlearn", "kl_loss"): [[1, 1.0], [2, 0.5]],
        ("repair", "loss"): [[1, 0.3]],
    }


def test_a_method_without_losses_has_no_curves():
    assert plots.curves(record(history=[{"stage": "importance", "epoch": 0, "steps": 2}])) is None


def test_a_bar_for_every_split_of_every_network():
    figure = plots.accuracies(
        [record("retrain", test=0.5, forget_train=0.0), record("laf", test=0.25, forget_train=0.1)]
    )
    (axis,) = figure.axes
    assert [text.get_text() for text in axis.get_xticklabels()] == ["retrain", "laf"]
    assert [round(bar.get_height()) for bar in axis.patches] == [0, 10, 50, 25]
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["forget train", "test"]


def test_a_missing_value_is_a_gap_and_a_zero_is_marked():
    figure = plots.accuracies(
        [record("retrain", test=0.5, forget_train=0.0), record("laf", test=0.0), record("ssd")]
    )
    (axis,) = figure.axes
    places = {(round(text.get_position()[0]), text.get_text()) for text in axis.texts}
    assert places == {(0, "0"), (1, "n/a"), (1, "0"), (2, "n/a")}
    assert len(axis.texts) == 5
    heights = [bar.get_height() for bar in axis.patches]
    assert [height == height for height in heights] == [True, False, False, True, True, False]
    assert plots.accuracies([record("ssd")]) is None


def test_a_line_for_every_network_that_was_trained_on():
    curve = {"relearn_retain/gap": 0.3, "relearn_retain/gap/100": 0.25, "relearn_retain/gap/0": 0.5}
    other = record("ssd", test=0.5)
    with_curve = record("laf") | {"metrics": curve}
    (axis,) = plots.relearning([other, with_curve]).axes
    assert [line.get_label() for line in axis.lines] == ["laf"]
    assert axis.lines[0].get_xydata().tolist() == [[0, 50], [100, 25]]
    assert plots.relearning([other]) is None


def test_files_are_written(tmp_path):
    paths = plots.write(
        [record(history=HISTORY, test=0.9), record("ssd", test=0.8)], tmp_path / "p"
    )
    assert [path.name for path in paths] == ["curves_laf.png", "accuracies.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
