"""ResNet-9 against reference numbers in float64, and the choice of its last layers."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.errors import ConfigError
from junlearn.models import MODELS
from junlearn.models.resnet9 import celu
from junlearn.parts.layers import last_layers
from junlearn.types import Model, Variables
from tests.conftest import optimised

pytestmark = pytest.mark.usefixtures("float64")

UNITS = {
    "conv1": ("conv1",),
    "conv2": ("conv2",),
    "res1a": ("res1", "unit1"),
    "res1b": ("res1", "unit2"),
    "conv3": ("conv3",),
    "res2a": ("res2", "unit1"),
    "res2b": ("res2", "unit2"),
    "conv4": ("conv4",),
}
"""Where the units of the reference are in our trees, in their order."""

PARAMS = {
    "kernel": ("conv", "kernel"),
    "bias": ("conv", "bias"),
    "scale": ("norm", "scale"),
    "shift": ("norm", "bias"),
}
STATS = {"mean": ("norm", "mean"), "var": ("norm", "var")}


def put(tree, path, value):
    for name in path[:-1]:
        tree = tree.setdefault(name, {})
    tree[path[-1]] = jnp.asarray(value, jnp.float64)


def at(tree, path):
    for name in path:
        tree = tree[name]
    return tree


def variables_of(arrays):
    """Variables from arrays named `<unit>_<leaf>` and `fc_kernel`."""
    params, stats = {"fc": {"kernel": jnp.asarray(arrays["fc_kernel"], jnp.float64)}}, {}
    for unit, place in UNITS.items():
        for leaf, end in PARAMS.items():
            put(params, (*place, *end), arrays[f"{unit}_{leaf}"])
        for leaf, end in STATS.items():
            put(stats, (*place, *end), arrays[f"{unit}_{leaf}"])
    return Variables(params, {"batch_stats": stats})


def build(widths=(64, 128, 256, 128), num_classes=10, shape=(32, 32, 3)):
    component = MODELS["resnet9"]
    return component.make(component.Config(widths=widths), num_classes, shape)


def sines(case, p, shape):
    """Entry i is sin(a (i + 1) + b p)."""
    i = np.arange(math.prod(shape), dtype=np.float64)
    return np.sin(float(case["a"]) * (i + 1) + float(case["b"]) * p).reshape(shape)


def weights_by_formula(case, shapes):
    """The arrays of the reference at full width; `shapes` are the variables in shape alone."""
    made, names = {}, []
    for unit, place in UNITS.items():
        for leaf, end in {**PARAMS, **STATS}.items():
            tree = shapes.params if leaf in PARAMS else shapes.stats["batch_stats"]
            names.append((f"{unit}_{leaf}", leaf, at(tree, (*place, *end)).shape))
    names.append(("fc_kernel", "kernel", shapes.params["fc"]["kernel"].shape))
    centre = {"kernel": 0, "bias": 0, "scale": 1, "shift": 0, "mean": 0, "var": 1}
    spread = {"bias": 0.05, "scale": 0.1, "shift": 0.1, "mean": 0.1, "var": 0.2}
    for p, (name, leaf, shape) in enumerate(names):
        factor = math.sqrt(2 / math.prod(shape[:-1])) if leaf == "kernel" else spread[leaf]
        made[name] = centre[leaf] + factor * sines(case, p, shape)
    assert len(names) == case["n_tensors"]
    return made


def check(model, variables, x, case):
    """Logits of both modes and the running statistics after a pass in train mode."""
    logits = optimised(model.apply)(variables, x)[0]
    np.testing.assert_allclose(logits, case["logits_eval"], rtol=1e-9, atol=1e-9)
    logits, _, stats = optimised(lambda x: model.apply(variables, x, train=True))(x)
    np.testing.assert_allclose(logits, case["logits_train"], rtol=1e-9, atol=1e-9)
    compared = 0
    for unit, place in UNITS.items():
        for leaf, end in STATS.items():
            if (name := f"{unit}_{leaf}_after") in case:
                actual = at(stats["batch_stats"], (*place, *end))
                np.testing.assert_allclose(actual, case[name], rtol=1e-9, atol=1e-9)
                compared += 1
    return compared


@pytest.mark.parity
def test_parity_with_the_narrow_network(golden):
    case = golden("scar_corrective/16_resnet9_narrow")
    widths = tuple(width // int(case["width_divisor"]) for width in (64, 128, 256, 128))
    model = build(widths, int(case["num_classes"]), case["x"].shape[1:])
    variables = variables_of(case)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables.params)) == case["param_count"]
    assert check(model, variables, jnp.asarray(case["x"], jnp.float64), case) == len(STATS) * len(
        UNITS
    )


@pytest.mark.parity
def test_parity_at_full_width(golden):
    case = golden("scar_corrective/16_resnet9_full")
    model = build(num_classes=int(case["num_classes"]))
    shape = (int(case["batch"]), 32, 32, 3)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros(shape))
    variables = variables_of(weights_by_formula(case, shapes))
    x = jnp.asarray(1.5 * sines(case, 1000, shape))
    assert check(model, variables, x, case) == sum(name.endswith("_after") for name in case)


def test_initial_values():
    variables = jax.jit(build((4, 8, 8, 8)).init)(jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    for unit, place in UNITS.items():
        conv, norm = at(variables.params, place)["conv"], at(variables.params, place)["norm"]
        bound = math.prod(conv["kernel"].shape[:-1]) ** -0.5
        assert 0.9 * bound < abs(conv["kernel"]).max() <= bound, unit
        assert not conv["bias"].any() and not norm["bias"].any() and (norm["scale"] == 1).all()
    assert variables.params["fc"].keys() == {"kernel"}
    assert 0.9 * 8**-0.5 < abs(variables.params["fc"]["kernel"]).max() <= 8**-0.5


def test_celu_of_the_published_slope():
    values = celu(jnp.asarray([-0.1, -0.02, 0.0, 0.5]))
    np.testing.assert_allclose(values, [-0.0552302, -0.0175554, 0, 0.5], atol=5e-8)


@pytest.mark.parametrize(
    ("k", "first"),
    [(1, "fc"), (2, "conv4"), (4, "res2"), (5, "conv3"), (7, "res1"), (8, "conv2"), (9, "conv1")],
)
def test_the_last_k_layers(k, first):
    model = build()
    layers = last_layers(model, k)
    assert layers[0] == first and layers == model.layers[-len(layers) :]


def test_all_layers_and_numbers_that_do_not_exist():
    model = build()
    assert last_layers(model, -1) is None
    for k in (0, 3, 6, 10, -2):
        with pytest.raises(ConfigError, match=f"exactly {k} .*one of 1, 2, 4, 5, 7, 8, 9, or -1"):
            last_layers(model, k)
    plain = Model(model.init, model.apply, ("stem", "body", "head"))
    assert last_layers(plain, 2) == ("body", "head")
    with pytest.raises(ConfigError, match="give the model its layers"):
        last_layers(Model(model.init, model.apply), 1)
