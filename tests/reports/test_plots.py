"""`junlearn.plots`: figures from records and from networks in memory, and one line for what cannot be drawn."""

import json

import jax
import numpy as np
import pytest

import junlearn
from junlearn import plots
from junlearn.experiment import records as records_file
from junlearn.experiment.asking import CONFIDENT, asking
from junlearn.reports.pictures.class_accuracy import accuracies
from tests.reports.drawn import flaws, labels
from tests.reports.run_records import record, records


@pytest.fixture(scope="module")
def mine():
    """A tiny network, its data, a request for class 2, and three networks."""
    rng = np.random.default_rng(0)
    y = (np.arange(90) % 3).astype(np.int32)
    x = (rng.normal(size=(90, 4, 4, 1)) + y[:, None, None, None]).astype(np.float32)
    sources = {"train": junlearn.Data(x[:60], y[:60]), "test": junlearn.Data(x[60:], y[60:])}
    mlp = junlearn.MODELS["mlp"]
    model = mlp.make(mlp.Config(hidden=(5,)), num_classes=3, input_shape=(4, 4, 1))
    split = junlearn.split_off(sources, classes=[2])
    start = [junlearn.initial(model, sources, key=jax.random.key(i)) for i in range(3)]
    networks = dict(zip(("original", "ssd", "retrain"), start, strict=True))
    return model, sources, split, networks


def test_pictures_of_networks_in_memory(mine):
    model, sources, _, networks = mine
    names = ["cat", "dog", "owl"]
    figures = [
        draw(*mine, classes=names)
        for draw in (plots.class_accuracy, plots.confusion, plots.embedding, plots.confidences)
    ]
    assert all(figure._repr_png_().startswith(b"\x89PNG") for figure in figures)
    assert [flaws(figure) for figure in figures] == [[]] * 4
    (axis, _) = figures[0].axes
    assert [text.get_text() for text in axis.get_yticklabels()] == ["original", "retrain", "ssd"]
    logits = junlearn.logits_many(
        model,
        jax.tree.map(lambda leaf: leaf[None], networks["ssd"]),
        sources["test"],
        view=junlearn.PLAIN_VIEWS["eval"],
    )[0]
    expected = accuracies(np.asarray(sources["test"].y), logits.argmax(-1), np.arange(3))
    assert axis.images[0].get_array()[2].tolist() == expected
    assert "to be forgotten, training" in labels(figures[3])


def test_what_is_kept_of_large_sets_is_bounded():
    rng = np.random.default_rng(0)
    many = junlearn.Data(rng.normal(size=(6000, 1, 1, 1)), rng.integers(0, 2, 6000))
    sources = {"train": many, "test": many}
    asked = asking(sources, junlearn.split_off(sources, classes=[1]), junlearn.PLAIN_VIEWS)
    assert {kind: len(rows) for kind, (_, rows) in asked.confident.items()} == dict.fromkeys(
        ("retain", "forget", "unseen", "unseen_forgotten"), CONFIDENT
    )
    assert len(asked.sample) == 1200
    rows = asking(sources, junlearn.split_off(sources, [0, 1, 2]), junlearn.PLAIN_VIEWS)
    assert {kind: name for kind, (name, _) in rows.confident.items()} == {
        "retain": "retain_train",
        "forget": "forget_train",
        "unseen": "test",
    }


def test_pictures_of_records_and_of_a_directory(tmp_path):
    for one in records():
        records_file.append(tmp_path / "records.jsonl", json.loads(json.dumps(one)))
    for draw in (plots.gaps, plots.trade_off, plots.time_quality, plots.curves):
        first, second = (draw(source) for source in (records(), tmp_path))
        titles = [[axis.get_title() for axis in figure.axes] for figure in (first, second)]
        assert titles[0] == titles[1]
    path = plots.save(first, tmp_path / "curves.svg")
    assert path.read_bytes().startswith(b"<?xml")


def test_what_cannot_be_drawn_is_one_line(mine, tmp_path):
    model, sources, split, networks = mine
    for call, said in (
        (lambda: plots.gaps([]), "plots.gaps: there is nothing to draw"),
        (lambda: plots.gaps([record()]), "plots.gaps: there is nothing to draw"),
        (lambda: plots.over_requests(records()), "plots.over_requests: there is nothing"),
        (lambda: plots.relearning(tmp_path), "there are no records"),
        (lambda: plots.confusion(model, sources, split, []), "dict of label and network"),
        (lambda: plots.confusion(*mine, classes=["a"]), "classes has 1 names, and the network 3"),
        (
            lambda: plots.confusion(model, sources["train"], split, networks),
            "without test examples",
        ),
        (
            lambda: plots.gaps(None),
            "plots: records are wanted, or a path to them, and this is None",
        ),
        (lambda: plots.curves([{}]), "plots: {} is no record"),
        (lambda: plots.trade_off([3]), "plots: 3 is no record"),
        (lambda: plots.embedding(model, sources, split, {"a": 3}), "a"),
        (lambda: plots.save(plots.gaps(records()), tmp_path / "x.gif"), "ends in .png, .svg"),
    ):
        with pytest.raises(junlearn.ConfigError, match=said):
            call()


def test_the_directory_of_a_sweep_is_drawn_where_it_is_of_one_problem(tmp_path):
    for seed in (0, 1):
        for each in records(seed=seed):
            file = tmp_path / "points" / f"seed-{seed}" / "records.jsonl"
            file.parent.mkdir(parents=True, exist_ok=True)
            records_file.append(file, {**each, "config": {**each["config"], "seed": seed}})
    assert plots.gaps(tmp_path).axes
    other = tmp_path / "points" / "other" / "records.jsonl"
    other.parent.mkdir()
    for each in records(dataset="cars"):
        records_file.append(other, each)
    with pytest.raises(junlearn.ConfigError, match="its records are of 2 problems"):
        plots.gaps(tmp_path)
