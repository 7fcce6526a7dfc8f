"""Surrogate images beside a dataset, and class statistics in the place of the retain set."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn import cli
from junlearn.datasets.surrogate import SURROGATES, attach
from junlearn.engine.augment import make_views
from junlearn.engine.batches import view_of
from junlearn.errors import ConfigError
from junlearn.experiment import schema
from junlearn.main import main
from junlearn.types import Data, Dataset


def made_up(channels, side, count=6, mean=0.0, std=1.0):
    rng = np.random.default_rng(side)
    x = rng.integers(0, 256, (count, side, side, channels)).astype(np.uint8)
    sources = {name: Data(x, np.arange(count, dtype=np.int32)) for name in ("train", "test")}
    views = make_views((mean,), (std,), None, "crop_flip")
    return Dataset("made_up", "1", str(side), sources, views, ("a", "b"))


def shown(dataset, name):
    rows = jax.tree.map(jnp.asarray, dataset.sources["surrogate"])
    keys = jax.random.split(jax.random.key(0), len(rows.y))
    return np.asarray(view_of(dataset.views, "surrogate", name)(rows, keys))


def test_surrogates_are_seen_by_constants_of_their_own():
    both = attach(made_up(3, 8), made_up(3, 8, mean=0.5, std=0.25))
    stored = both.sources["surrogate"]
    np.testing.assert_allclose(shown(both, "eval"), (stored.x / 255 - 0.5) / 0.25, atol=1e-6)
    assert not np.array_equal(shown(both, "augment"), shown(both, "eval"))
    assert not stored.y.any()
    # The dataset's own views and images stay as they are.
    assert view_of(both.views, "train", "eval") is both.views["eval"]
    assert set(both.sources) == {"train", "test", "surrogate"}


@pytest.mark.parametrize(
    ("ours", "theirs"), [((3, 8), (3, 12)), ((1, 8), (3, 8)), ((3, 8), (1, 8))]
)
def test_surrogates_get_the_size_and_the_channels_of_the_network(ours, theirs):
    both = attach(made_up(*ours), made_up(*theirs))
    x = shown(both, "eval")
    assert x.shape == (6, ours[1], ours[1], ours[0])
    stored = both.sources["surrogate"].x / 255
    if theirs == (3, 8):
        np.testing.assert_allclose(x[..., 0], stored @ [0.299, 0.587, 0.114], rtol=1e-5)
    if theirs == (1, 8):
        np.testing.assert_allclose(x, np.repeat(stored, 3, axis=-1), rtol=1e-5)
    if theirs == (3, 12):
        np.testing.assert_allclose(x.mean(), stored.mean(), atol=0.02)


def test_channels_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="2 channels, the dataset 3"):
        shown(attach(made_up(3, 8), made_up(2, 8)), "eval")


def test_noise_is_normal_and_passes_as_it_is():
    noise = SURROGATES["gaussian_noise"]
    made = noise.make(noise.Config(count=500, seed=3), input_shape=(4, 4, 1))
    x = shown(attach(made_up(1, 4), made), "augment")
    np.testing.assert_array_equal(x, made.sources["train"].x)
    assert abs(x.mean()) < 0.05 and abs(x.std() - 1) < 0.05
    again = noise.make(noise.Config(count=500, seed=4), input_shape=(4, 4, 1))
    assert again.fingerprint != made.fingerprint


SMALL = """
methods = ["scar"]
[dataset]
name = "digits"
[model]
name = "mlp"
hidden = [16]
[scenario]
name = "class"
classes = [3]
[surrogate]
name = "gaussian_noise"
count = 200
[train]
epochs = 3
[method.scar]
epochs = 3
batch_size = 64
surrogate_batch_size = 64
min_epochs = 0
"""


def test_statistics_are_shipped_in_the_place_of_the_retain_set(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUNLEARN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(cli, "keep_compilations", lambda cache_dir: None)
    (tmp_path / "small.toml").write_text(SMALL)
    run = ["--config", "small.toml", "--workdir"]
    assert main([*run, "with"]) == 0
    assert main(["statistics", "s.npz", "--config", "small.toml"]) == 0
    assert "statistics of 10 classes" in capsys.readouterr().out
    assert main([*run, "without", "--method.statistics", "s.npz"]) == 0
    own, shipped = (
        json.loads((tmp_path / name / "records.jsonl").read_text().splitlines()[-1])
        for name in ("with", "without")
    )
    stages = [entry["stage"] for entry in own["history"]]
    assert [entry["stage"] for entry in shipped["history"]] == stages[1:]
    # The same statistics, and surrogate images in another order.
    for split in ("retain_test", "forget_test", "forget_train"):
        name = f"accuracy/{split}"
        assert shipped["metrics"][name] == pytest.approx(own["metrics"][name], abs=0.08)
    # A file is known by its content.
    (tmp_path / "s.npz").rename(tmp_path / "t.npz")
    capsys.readouterr()
    assert main([*run, "without", "--method.statistics", "t.npz"]) == 0
    assert "scar: " not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["statistics", "s.txt", "--config", "small.toml"], "must end in .npz"),
        (["--config", "small.toml", "--method.statistics", "none.npz"], "none.npz"),
        (["--config", "small.toml", "--surrogate.count", "0"], "count"),
    ],
)
def test_bad_input(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JUNLEARN_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "small.toml").write_text(SMALL)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_surrogate_that_does_not_exist():
    table = {"methods": ["scar"], "dataset": {"name": "digits"}, "model": {"name": "mlp"}}
    table |= {"scenario": {"name": "class"}, "surrogate": {"name": "gausian_noise"}}
    with pytest.raises(ConfigError, match=r"surrogate 'gausian_noise'.*gaussian_noise"):
        schema.parse(table)
