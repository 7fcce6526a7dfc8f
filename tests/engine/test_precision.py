"""Mixed precision: what is rounded to bfloat16, and what is not; and how float32 is multiplied."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from junlearn.engine import memory
from junlearn.engine.precision import in_precision, matmul_precision, matmuls
from junlearn.engine.run import run
from junlearn.errors import ConfigError
from junlearn.experiment import schema
from junlearn.experiment.execute import execute
from junlearn.experiment.identity import identities
from junlearn.experiment.preparing import prepare
from junlearn.experiment.progress import Reporter
from junlearn.methods import finetune
from junlearn.parts import descent
from junlearn.parts.descent import descend, supervised
from junlearn.parts.optimizers import Optimizer, transformation
from junlearn.types import Batch


@pytest.fixture
def batch(convnet):
    x = jnp.asarray(convnet.sources["train"].x[:12])
    y = jnp.asarray(convnet.sources["train"].y[:12])
    return Batch(x, y, jnp.arange(12), jnp.arange(12) < 11)


def test_float32_is_the_model_itself(convnet):
    assert in_precision(convnet.model, "float32") is convnet.model


def test_outputs_are_near_those_of_float32_and_float32_themselves(convnet, batch):
    low = in_precision(convnet.model, "bfloat16")
    for train in (False, True):
        exact = convnet.model.apply(convnet.variables, batch.x, train=train, mask=batch.mask)
        rounded = low.apply(convnet.variables, batch.x, train=train, mask=batch.mask)
        chex.assert_trees_all_equal_shapes_and_dtypes(exact, rounded)
        chex.assert_trees_all_close(exact[0], rounded[0], atol=0.05)
        assert not np.array_equal(exact[0], rounded[0])
        chex.assert_trees_all_close(exact[2], rounded[2], rtol=0.02, atol=2e-3)


def test_layers_compute_in_bfloat16(convnet, batch):
    low = in_precision(convnet.model, "bfloat16")
    traced = str(jax.make_jaxpr(low.apply)(convnet.variables, batch.x))
    assert "bf16" in traced
    assert "bf16" not in str(jax.make_jaxpr(convnet.model.apply)(convnet.variables, batch.x))


def test_sums_over_a_batch_are_float32_sums():
    """The mean of 4,096 values near 100 is lost in bfloat16, whose steps there are 0.5."""
    from junlearn.models.modules import BatchNorm

    x = jnp.asarray(100 + np.random.default_rng(0).normal(size=(4096, 1)), jnp.bfloat16)
    norm = BatchNorm()
    variables = norm.init(jax.random.key(0), x)
    y, after = norm.apply(variables, x, train=True, mutable=["batch_stats"])
    assert y.dtype == jnp.bfloat16
    exact = np.asarray(x, np.float64)
    np.testing.assert_allclose(after["batch_stats"]["mean"], 0.1 * exact.mean(), rtol=1e-5)
    np.testing.assert_allclose(
        after["batch_stats"]["var"], 0.9 + 0.1 * exact.var(ddof=1), rtol=1e-4
    )


def test_a_step_keeps_float32_weights_that_differ_by_less_than_bfloat16_can_say(convnet, batch):
    low = in_precision(convnet.model, "bfloat16")
    tx = transformation(Optimizer(learning_rate=1e-4))
    state = descent.init(jax.random.key(0), convnet.variables, tx)
    after, metrics = jax.jit(descend(supervised(low), tx))(state, batch)
    chex.assert_trees_all_equal_shapes_and_dtypes(after, state)
    assert np.isfinite(metrics["loss"])
    before, now = (jax.tree.leaves(s.variables.params) for s in (state, after))
    assert any(
        not np.array_equal(a, b) and np.array_equal(a.astype(jnp.bfloat16), b.astype(jnp.bfloat16))
        for a, b in zip(before, now, strict=True)
    )


def experiment(**fields):
    table = {
        "methods": ["naive"],
        "dataset": {"name": "digits"},
        "model": {"name": "mlp"},
        "scenario": {"name": "class", "classes": [3]},
    }
    return schema.parse(table | fields)


@pytest.mark.parametrize(
    ("given", "before", "within"),
    [
        ("highest", None, "highest"),
        ("default", None, "default"),
        ("highest", "tensorfloat32", "highest"),
        ("default", "tensorfloat32", "tensorfloat32"),
        ("default", "highest", "highest"),
        ("highest", "bfloat16", "highest"),
    ],
)
def test_how_float32_is_multiplied(given, before, within):
    """What a program is compiled with, what is said of it, and that it ends with the block."""

    def asked():
        lowered = jax.jit(lambda x: x @ x).lower(jnp.ones((2, 2)))
        return "precision = [HIGHEST, HIGHEST]" in lowered.as_text()

    with jax.default_matmul_precision(before):
        with matmuls(given):
            assert matmul_precision() == within
            assert asked() == (within == "highest")
        assert matmul_precision() == (before or "default")


def test_an_experiment_multiplies_exactly_unless_it_says_otherwise():
    assert experiment().matmul_precision == "highest"
    assert experiment(matmul_precision="default").matmul_precision == "default"
    for wrong in ("high", "tf32", "", None, 1, ["highest"]):
        with pytest.raises(ConfigError, match="matmul_precision"):
            experiment(matmul_precision=wrong)


def test_networks_of_before_are_found_again_and_others_are_not():
    """The setting is a part of what names a network only where it is not the usual one."""
    usual, other = (
        identities(prepare(experiment(**fields), None, Reporter(Console(quiet=True))))
        for fields in ({}, {"matmul_precision": "default"})
    )
    for role in ("original", "retrain", "methods"):
        ours, theirs = getattr(usual, role), getattr(other, role)
        assert "matmul_precision" not in ours
        assert ours | {"matmul_precision": "default"} == theirs


def test_a_program_belongs_to_the_precision_it_was_compiled_in(mlp):
    """Two experiments of one process: the second must not get the program of the first."""
    method = finetune.make(finetune.Config(epochs=1, batch_size=16), mlp.model)
    done = (method, mlp.model, mlp.variables, mlp.sources, mlp.split)
    seconds = []
    for how in ("default", "highest", "highest", "default"):
        with matmuls(how):
            seconds.append(run(*done, key=jax.random.key(0)).seconds["compile"])
    assert seconds[0] > 0 < seconds[1] and seconds[2] == 0 == seconds[3]
    function = jax.jit(lambda x: x @ x)
    with matmuls("highest"):
        exact = memory.compiled(function, jnp.ones((3, 3)))
    assert memory.compiled(function, jnp.ones((3, 3))) is not exact


def test_a_record_says_how_float32_was_multiplied(tmp_path):
    for name, fields in (("highest", {}), ("default", {"matmul_precision": "default"})):
        fields |= {"train": {"epochs": 1}, "reference": False, "metrics": ["accuracy"]}
        outcome = execute(
            experiment(**fields), tmp_path / name, str(tmp_path), Reporter(Console(quiet=True))
        )
        assert not outcome.failures
        assert [record["matmul_precision"] for record in outcome.records] == [name] * 2
