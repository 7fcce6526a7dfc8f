"""CFW: where the noise goes and when, its loss by hand, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.errors import ConfigError
from junlearn.methods import build, cfw
from tests import linear_net
from tests.golden_nets import drive


def test_noise_reaches_kernels_of_the_named_layers_alone():
    params = {
        "stem": {"conv": {"kernel": jnp.ones((2, 2, 1, 3)), "bias": jnp.ones(3)}},
        "norm": {"scale": jnp.ones(3), "bias": jnp.ones(3)},
        "head": {"kernel": jnp.ones((3, 2)), "bias": jnp.ones(2)},
    }
    unit = jax.tree.map(jnp.ones_like, params)
    after = cfw.noised(params, unit, ("stem", "norm"), 0.5)
    assert (after["stem"]["conv"]["kernel"] == 1.5).all()
    after["stem"]["conv"]["kernel"] = params["stem"]["conv"]["kernel"]
    jax.tree.map(np.testing.assert_array_equal, after, params)


def test_the_first_layer_gets_noise_at_the_start_and_before_the_last_epoch(mlp):
    method = build("cfw", cfw.Config(epochs=3, sigma=0.7, final_sigma=0.2), mlp.model)
    stages = method.plan(mlp.split)
    assert [(stage.name, stage.epochs) for stage in stages] == [
        ("repair", 2),
        ("noise", 1),
        ("last epoch", 1),
    ]
    state = method.init(jax.random.key(0), *mlp[1:])
    after, _ = drive(stages[1], state, mlp.sources)
    draws = []
    for old, new, sigma in (
        (mlp.variables, state.variables, 0.7),
        (state.variables, after.variables, 0.2),
    ):
        moved = jax.tree.map(jnp.subtract, new.params, old.params)
        first = moved.pop(mlp.model.layers[0])
        assert not first["bias"].any() and not any(leaf.any() for leaf in jax.tree.leaves(moved))
        draws.append(first["kernel"] / sigma)
        np.testing.assert_allclose(draws[-1].std(), 1, rtol=0.1)
    assert abs(np.corrcoef(*(draw.ravel() for draw in draws))[0, 1]) < 0.15


def test_one_epoch_has_no_noise_before_it(mlp):
    (stage,) = build("cfw", cfw.Config(epochs=1), mlp.model).plan(mlp.split)
    assert stage.name == "last epoch"


@pytest.mark.parametrize("weighing", ["example", "batch"])
def test_a_step_by_hand(weighing, float64):
    variables, sources, split = linear_net.problem(3, 9)
    config = cfw.Config(
        learning_rate=0.5, weight_decay=0.0, sigma=0.0, weighing=weighing, batch_size=9, epochs=2
    )
    method = cfw.make(config, linear_net.MODEL)
    state = method.init(jax.random.key(0), variables, sources, split)
    x, y = (np.asarray(a)[split.retain] for a in sources["train"][:2])
    counts = np.bincount(y, minlength=linear_net.CLASSES)
    w = (len(y) / ((counts > 0).sum() * counts[y]))[:, None]
    gap = linear_net.softmax(linear_net.logits(variables, x)) - linear_net.one_hot(y)
    gap = (w if weighing == "example" else w.mean()) * gap / len(y)
    after, _ = drive(method.plan(split)[0], state, sources)
    kernel, bias = linear_net.arrays(variables)
    expected = kernel - 0.5 * linear_net.flat(x).T @ gap, bias - 0.5 * gap.sum(0)
    for found, by_hand in zip(linear_net.arrays(after.variables), expected, strict=True):
        np.testing.assert_allclose(found, by_hand, rtol=1e-12)


def test_unknown_layers_are_refused(mlp):
    method = build("cfw", cfw.Config(noise_layers=("stem",)), mlp.model)
    with pytest.raises(ConfigError, match="noise_layers names stem; the layers are dense1"):
        method.init(jax.random.key(0), *mlp[1:])
    with pytest.raises(ConfigError, match="cfw must know the stem"):
        cfw.make(cfw.Config(), mlp.model._replace(layers=()))
