"""Divergence is found in every metric and every network; one failing method stops no other."""

import itertools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

from junlearn import cli
from junlearn.engine.finite import check_networks, first_infinite
from junlearn.engine.run import run
from junlearn.errors import ConfigError, DivergedError
from junlearn.main import main
from junlearn.methods import METHODS, naive
from junlearn.parts import feeds
from junlearn.types import Method, Stage, Variables


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["objective", "kl", "loss", "accuracy", "forget_loss", "x"])
def test_a_metric_of_any_name_is_found(name, bad):
    values = {name: np.array([1.0, 2.0, bad, bad]), "fine": np.arange(4), "good": np.ones(4, bool)}
    (place, found, value) = first_infinite(values)
    assert (place, found) == ((2,), name)
    np.testing.assert_equal(value, bad)
    assert first_infinite(values, np.array([True, True, False, False])) is None


def test_the_first_step_counts_and_of_one_step_the_loss():
    nan = np.nan
    early = {"a": np.array([0, nan]), "loss": np.array([0, nan]), "b": np.array([0, nan])}
    assert first_infinite(early)[:2] == ((1,), "loss")
    assert first_infinite(early | {"b": np.array([nan, 0])})[:2] == ((0,), "b")
    assert first_infinite({}) is None


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_networks_are_looked_through(dtype, bad):
    good = Variables({"a": {"kernel": np.ones((2, 2), dtype)}}, {"n": np.ones(1, np.int32)})
    worse = jax.tree.map(np.copy, good)
    worse.params["a"]["kernel"][1, 0] = bad
    check_networks({"first": good, "best": np.full(1, np.inf)}, "here")
    with pytest.raises(DivergedError, match=r"^here: 1 of 4 numbers of params\.a\.kernel are not"):
        check_networks([good, (worse, 1)], "here")


def method(step=None, finish=None):
    """A method of one stage, whose state is the network."""

    def feed(rng, state):
        return feeds.sequential(np.arange(6), 2)

    stages = [] if step is None else [Stage("only", step, feed)]
    return Method(
        lambda key, variables, sources, split: variables,
        lambda split: stages,
        finish or (lambda state: state),
    )


def spoilt(variables, factor=jnp.nan):
    return variables._replace(params=jax.tree.map(lambda leaf: leaf * factor, variables.params))


@pytest.mark.parametrize("loop", ["python", "scan"])
@pytest.mark.parametrize(
    ("made", "message"),
    [
        (method(lambda s, b: (s, {"objective": jnp.log(-1.0)})), "step 0: objective is nan"),
        (method(lambda s, b: (s, {"ratio": 1 / jnp.zeros(())})), "step 0: ratio is inf"),
        (
            method(lambda s, b: (spoilt(s), {"rows": b.mask.sum()})),
            "end of stage 'only': .* params",
        ),
        (method(lambda s, b: (spoilt(s, jnp.inf), {})), "end of stage 'only'"),
        (method(finish=spoilt), "the finished network: .* params"),
        (method(finish=lambda s: (None, spoilt(s))), "the finished network"),
    ],
)
def test_a_run_says_where_it_diverged(mlp, loop, made, message):
    with pytest.raises(DivergedError, match=message):
        run(made, *mlp, key=jax.random.key(0), loop=loop)


CONFIG = """
methods = ["bad", "naive"]
metrics = ["accuracy"]
reference = false
[dataset]
name = "digits"
[model]
name = "mlp"
hidden = [4]
[scenario]
name = "class"
classes = [3]
[train]
epochs = 1
batch_size = 512
"""


NUMBERS = itertools.count()


def fails(error):
    def finish(state):
        raise error

    return method(finish=finish)


@pytest.mark.parametrize(
    ("made", "status", "message"),
    [
        (
            method(lambda s, b: (s, {"objective": jnp.log(-1.0)})),
            1,
            "the run diverged: stage 'only'",
        ),
        (method(finish=spoilt), 1, "the run diverged: the finished network"),
        (fails(ValueError("no two\nlines")), 1, "ValueError: no two lines"),
        (fails(KeyError("x")), 1, "KeyError: 'x'"),
        (fails(MemoryError()), 1, "MemoryError:"),
        (fails(ZeroDivisionError("division by zero")), 1, "ZeroDivisionError: division by zero"),
        (fails(ConfigError("not for this request")), 2, "not for this request"),
        (fails(OSError(28, "No space left on device", "x")), 2, "No space left on device"),
    ],
)
def test_one_failing_method_stops_no_other(tmp_path, monkeypatch, capsys, made, status, message):
    """But a full disk does: it meets them all."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "keep_compilations", lambda cache_dir: None)
    # A name of its own: a method is made once for equal names and settings.
    name = f"bad{next(NUMBERS)}"
    bad = SimpleNamespace(
        __name__=name, __doc__="Bad.", Config=naive.Config, make=lambda config, model: made
    )
    monkeypatch.setitem(METHODS, name, bad)
    (tmp_path / "c.toml").write_text(CONFIG.replace("bad", name))
    assert main(["--config", "c.toml", "--workdir", "w", "--cache-dir", "c"]) == status
    out, err = capsys.readouterr()
    assert err.startswith("junlearn: ") and message in err and err.count("\n") == 1
    machine = "No space" in message
    assert (f"{name}: failed" in out) != machine
    assert (len((tmp_path / "w" / "records.jsonl").read_text().splitlines()) == 2) != machine
    traceback = tmp_path / "w" / "failures" / f"{name}.txt"
    assert traceback.exists() == ("Error: " in message or message == "MemoryError:")
