import os
import subprocess
import sys
import textwrap

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from orbax.checkpoint import v1 as ocp

import junlearn
from junlearn.engine import checkpoint
from junlearn.engine.checkpoint import Store
from junlearn.errors import CheckpointError, ConfigError
from junlearn.models import MODELS
from junlearn.parts import descent
from junlearn.types import Variables


@pytest.fixture
def state():
    params = {"a": {"kernel": jnp.arange(6.0).reshape(2, 3)}, "b": jnp.ones(3)}
    return descent.init(
        jax.random.key(5), Variables(params, {}), optax.adam(1e-3), extra=jnp.int32(7)
    )


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "run", "owner")


def snapshots(store):
    return sorted(p.name for p in store.directory.iterdir())


def test_round_trip_is_exact_and_typed(store, state):
    checkpoint.save(store, state, {"stage": 1, "history": [{"loss": 0.1}]})
    back, position = checkpoint.restore(store, state)
    assert type(back) is type(state) and type(back.optimizer) is type(state.optimizer)
    chex.assert_trees_all_equal(back._replace(key=0), state._replace(key=0))
    np.testing.assert_array_equal(*(jax.random.key_data(s.key) for s in (back, state)))
    assert position == {"stage": 1, "history": [{"loss": 0.1}]}


def test_nothing_there(store, state):
    assert checkpoint.restore(store, state) is None
    assert not store.directory.exists()


def test_the_newest_two_are_kept(store, state):
    for step in range(4):
        checkpoint.save(store, state._replace(step=jnp.int32(step)), {"step": step})
    assert snapshots(store) == ["00000002", "00000003"]
    assert checkpoint.restore(store, state)[1] == {"step": 3}


def test_another_configuration_is_refused_and_not_overwritten(store, state):
    checkpoint.save(store, state, {})
    foreign = store._replace(owner="somebody else")
    with pytest.raises(CheckpointError, match="belongs to another configuration"):
        checkpoint.restore(foreign, state)
    with pytest.raises(CheckpointError, match="belongs to another configuration"):
        checkpoint.save(foreign, state, {})
    assert snapshots(store) == ["00000000"]


@pytest.mark.parametrize(
    "damage", [lambda c: c[: len(c) // 2], lambda c: c[:-1] + bytes([c[-1] ^ 1])]
)
def test_damage_to_any_file_is_noticed(store, state, damage):
    checkpoint.save(store, state, {})
    found = [p for p in store.directory.rglob("*") if p.is_file() and p.stat().st_size]
    assert len(found) > 4
    for path in found:
        content = path.read_bytes()
        path.write_bytes(damage(content))
        with pytest.raises(CheckpointError, match=r"is damaged.*delete this folder") as caught:
            checkpoint.restore(store, state)
        assert "\n" not in str(caught.value)
        path.write_bytes(content)
    (store.directory / "00000000" / "state" / "_METADATA").unlink()
    with pytest.raises(CheckpointError, match="is damaged"):
        checkpoint.restore(store, state)


def test_a_foreign_structure_is_refused(store, state):
    checkpoint.save(store, {"x": jnp.ones(3)}, {})
    with pytest.raises(CheckpointError, match="cannot be read"):
        checkpoint.restore(store, state)


def test_remains_of_a_killed_save_are_removed(store, state):
    checkpoint.save(store, state, {"n": 0})
    (store.directory / "00000001.orbax-checkpoint-tmp-12").mkdir()
    (store.directory / "00000001").mkdir()
    assert checkpoint.restore(store, state)[1] == {"n": 0}
    checkpoint.save(store, state, {"n": 1})
    assert snapshots(store) == ["00000000", "00000001"]


FULL = """
import resource, sys
import jax, jax.numpy as jnp
from pathlib import Path
import junlearn
from junlearn.engine import checkpoint
from junlearn.errors import CheckpointError, ConfigError
from junlearn.models import MODELS
jax.config.update("jax_platforms", "cpu")
store = checkpoint.Store(Path(sys.argv[1]), "owner")
state = jax.random.normal(jax.random.key(0), (1000, 1000))
checkpoint.save(store, state, {"n": 0})
# No file may grow beyond 100 kB from here on: what a full disk is to the writer.
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    checkpoint.save(store, state + 1, {"n": 1})
except CheckpointError as error:
    print(error)
back, position = checkpoint.restore(store, state)
assert position == {"n": 0} and (back == state).all()
"""


def test_a_full_disk_leaves_the_previous_checkpoint(tmp_path):
    script = textwrap.dedent(FULL)
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "run")],
        capture_output=True,
        text=True,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.strip().splitlines()
    assert len(lines) == 1
    assert "cannot save checkpoint" in lines[0] and "is intact" in lines[0]
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["00000000"]


def test_no_space_at_all(store, state, monkeypatch):
    checkpoint.save(store, state, {"n": 0})

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ocp, "save", full)
    with pytest.raises(CheckpointError, match=r"No space left on device.*00000000 is intact"):
        checkpoint.save(store, state, {"n": 1})
    assert checkpoint.restore(store, state)[1] == {"n": 0}


def test_finished_networks_are_those_of_one_model(mlp, store):
    model = mlp.model
    checkpoint.save(store, mlp.variables, {})
    for given in ((model,), (model._replace(input_shape=None), mlp.sources)):
        found = junlearn.load_variables(store.directory, *given)
        chex.assert_trees_all_equal(found, mlp.variables)
    other = MODELS["mlp"].make(MODELS["mlp"].Config(hidden=(3,)), 4, (4, 4, 1))
    with pytest.raises(CheckpointError, match=r"other shapes.*give the model that the weights"):
        junlearn.load_variables(store.directory, other)
    with pytest.raises(CheckpointError, match="there are no weights in"):
        junlearn.load_variables(store.directory.parent, model)
    with pytest.raises(ConfigError, match="pass data"):
        junlearn.load_variables(store.directory, model._replace(input_shape=None))


@pytest.mark.parametrize(
    "name",
    ["a[1]", "[!a]", "a]", "a[", "a*", "**", "a?", "a\\b", "a{b}", "gs:", "a\nb", "~", "%2e", " ü"],
)
def test_every_name_of_a_directory_is_a_place(state, tmp_path, name, caplog):
    store = Store(tmp_path / name / "run", "owner")
    checkpoint.save(store, state, {"n": 1})
    back, position = checkpoint.restore(store, state)
    chex.assert_trees_all_equal(back._replace(key=0), state._replace(key=0))
    assert position == {"n": 1} and not caplog.records
