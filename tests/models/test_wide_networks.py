"""Wide ResNets, the ResNets of 6n + 2 layers and AllCNN, against reference numbers and against their equations."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.errors import ConfigError
from junlearn.models import MODELS, from_linen
from junlearn.models.allcnn import HiddenHead
from junlearn.models.resnet import STEMS, BasicBlock, Depth, ResNet
from junlearn.parts.layers import last_layers
from junlearn.types import Variables
from tests.conftest import optimised


def build(name, num_classes=4, shape=(8, 8, 3), **settings):
    component = MODELS[name]
    return component.make(component.Config(**settings), num_classes, shape)


def scattered(model, shape, seed=0):
    """Variables of a model with random numbers for everything, variances positive, and random images."""
    rng = np.random.default_rng(seed)
    x = jnp.asarray(rng.normal(size=(2, *shape)))
    shapes = jax.eval_shape(model.init, jax.random.key(0), x)

    def draw(path, leaf):
        name = path[-1].key
        values = rng.normal(size=leaf.shape)
        if name == "kernel":
            return jnp.asarray(values / math.sqrt(math.prod(leaf.shape[:-1])))
        return jnp.asarray(np.abs(values) + 0.5 if name == "var" else values)

    return Variables(*jax.tree.map_with_path(draw, tuple(shapes))), x


def conv(x, layer, stride=1):
    size = layer["kernel"].shape[0]
    padding = ((size // 2, size // 2),) * 2
    y = jax.lax.conv_general_dilated(
        x, layer["kernel"], (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return y + layer["bias"][None, None, None] if "bias" in layer else y


def norm(x, layer, running):
    mean, var, scale, shift = (
        np.asarray(value)[None, None, None]
        for value in (running["mean"], running["var"], layer["scale"], layer["bias"])
    )
    return (x - mean) / np.sqrt(var + 1e-5) * scale + shift


def relu(x):
    return jnp.maximum(x, 0)


def compare(model, variables, x, expected):
    logits, features, _ = jax.jit(model.apply)(variables, x)
    np.testing.assert_allclose(logits, expected, rtol=1e-9, atol=1e-9)
    assert features["embedding"].shape[0] == 2


def head(params, x):
    return x.mean((1, 2)) @ params["head"]["kernel"] + params["head"]["bias"][None]


SHAPES = [(name, stage) for stage in (1, 2, 3) for name in [f"stage{stage}_block1"]]
"""The blocks of the smallest networks, one a stage, and their stages."""


def test_the_wide_resnet_of_corrective_unlearning_follows_its_equations(float64):
    model = build("wide_resnet_corrective", depth=10, widen=2)
    variables, x = scattered(model, (8, 8, 3))
    params, running = variables.params, variables.stats["batch_stats"]
    y = conv(x, params["stem"])
    for name, stage in SHAPES:
        p, r, stride = params[name], running[name], 1 if stage == 1 else 2
        h = conv(relu(norm(y, p["norm1"], r["norm1"])), p["conv1"])
        h = conv(relu(norm(h, p["norm2"], r["norm2"])), p["conv2"], stride)
        y = conv(y, p["shortcut_conv"], stride)
        y = h + norm(y, p["shortcut_norm"], r["shortcut_norm"])
    compare(model, variables, x, head(params, y))


def test_the_standard_wide_resnet_follows_its_equations(float64):
    model = build("wide_resnet", depth=10, widen=1)
    variables, x = scattered(model, (8, 8, 3))
    params, running = variables.params, variables.stats["batch_stats"]
    y = conv(x, params["stem"])
    assert "bias" not in params["stem"] and "shortcut_conv" not in params["stage1_block1"]
    for name, stage in SHAPES:
        p, r, stride = params[name], running[name], 1 if stage == 1 else 2
        active = relu(norm(y, p["norm1"], r["norm1"]))
        h = relu(norm(conv(active, p["conv1"], stride), p["norm2"], r["norm2"]))
        y = y if stage == 1 else conv(active, p["shortcut_conv"], stride)
        y = y + conv(h, p["conv2"])
    compare(model, variables, x, head(params, relu(norm(y, params["norm"], running["norm"]))))


def test_resnet20_follows_its_equations(float64):
    model = build("resnet20", widths=(2, 3, 4))
    variables, x = scattered(model, (8, 8, 3))
    params, running = variables.params, variables.stats["batch_stats"]
    y = relu(norm(conv(x, params["stem"]["conv"]), params["stem"]["norm"], running["stem"]["norm"]))
    for name in model.layers[1:-1]:
        p, r, stride = params[name], running[name], 2 if name[5:] in ("2_block1", "3_block1") else 1
        h = relu(conv(norm(y, p["norm1"], r["norm1"]), p["conv1"], stride))
        h = conv(norm(h, p["norm2"], r["norm2"]), p["conv2"])
        assert ("shortcut_conv" in p) == (stride == 2)
        if stride == 2:
            y = norm(conv(y, p["shortcut_conv"], 2), p["shortcut_norm"], r["shortcut_norm"])
        y = relu(h + y)
    compare(model, variables, x, head(params, y))


@pytest.mark.parametrize(("height", "width"), [(64, 32), (37, 29)])
def test_allcnn_follows_its_equations(height, width, float64):
    model = build("allcnn", shape=(height, width, 3), width=2, hidden=5)
    variables, x = scattered(model, (height, width, 3))
    params, running = variables.params, variables.stats["batch_stats"]
    y = x
    for number in range(1, 9):
        layer = params[f"conv{number}"]
        y = conv(y, layer["conv"], 2 if number in (3, 6) else 1)
        y = relu(norm(y, layer["norm"], running[f"conv{number}"]["norm"]))
    rows, columns = y.shape[1] // 8, y.shape[2] // 8
    means = [
        y[:, 8 * i : 8 * i + 8, 8 * j : 8 * j + 8].mean((1, 2))
        for i in range(rows)
        for j in range(columns)
    ]
    embedding = jnp.concatenate(means, 1)
    assert embedding.shape == (2, 4 * (2 if height == 64 else 1))
    first, second = params["head"]["dense1"], params["head"]["dense2"]
    hidden = relu(embedding @ first["kernel"] + first["bias"][None])
    compare(model, variables, x, hidden @ second["kernel"] + second["bias"][None])


def test_allcnn_at_the_published_size(key):
    model = build("allcnn", 200, (64, 64, 3))
    x = jnp.zeros((1, 64, 64, 3))
    variables = jax.eval_shape(model.init, key, x)
    assert variables.params["head"]["dense1"]["kernel"].shape == (768, 384)
    assert "bias" not in variables.params["conv1"]["conv"]
    features = jax.eval_shape(model.apply, variables, x)[1]
    assert features["conv8"].shape == (1, 16, 16, 192) and features["embedding"].shape == (1, 768)


def test_dropout_before_both_layers_of_the_head_of_allcnn(key):
    module = HiddenHead(5, 4, dropout=1.0)
    x = jnp.ones((2, 3))
    params = module.init(key, x, False)
    bias = jnp.broadcast_to(params["params"]["dense2"]["bias"][None], (2, 4))
    np.testing.assert_array_equal(module.apply(params, x, True), bias)
    assert (module.apply(params, x, False) != bias).any()
    half = HiddenHead(5, 4, dropout=0.5)
    first, second = (half.apply(params, x, True, rngs={"params": k}) for k in jax.random.split(key))
    assert (first != second).any()


def test_dropout_before_the_head_of_a_resnet(key):
    module = ResNet(4, STEMS["cifar"], Depth(BasicBlock, (1,), (8,)), dropout=0.5)
    model = from_linen(module, input_shape=(8, 8, 3))
    x = jnp.ones((2, 8, 8, 3)) * jnp.asarray([1.0, 2.0])[:, None, None, None]
    variables = jax.jit(model.init)(key, x[:1])
    train = jax.jit(lambda key: model.apply(variables, x, train=True, key=key)[:2])
    (first, features), (second, same) = map(train, jax.random.split(key))
    assert (first != second).any()
    np.testing.assert_array_equal(features["embedding"], same["embedding"])
    with pytest.raises(ConfigError, match="dropout"):
        model.apply(variables, x, train=True)


def test_initial_values(key):
    """He-normal in fan-out in the standard network, uniform on ±1/√fan_in with biases zero in the others."""
    for name in ("wide_resnet", "wide_resnet_corrective"):
        model = build(name, depth=10, widen=1)
        params = jax.jit(model.init)(key, jnp.zeros((1, 8, 8, 3))).params
        kernel = params["stage3_block1"]["conv2"]["kernel"]
        if name == "wide_resnet":
            np.testing.assert_allclose(kernel.std(), math.sqrt(2 / (9 * 64)), rtol=0.02)
        else:
            assert 0.99 / 24 < jnp.abs(kernel).max() <= 1 / 24
            assert not params["stage3_block1"]["conv2"]["bias"].any()
        assert not params["head"]["bias"].any()


@pytest.mark.parity
def test_parity_of_the_wide_resnet_at_full_size(golden, float64):
    """Weights and image by formula: tensor p holds sin(a (i + 1) + b p) at i, scaled."""
    case = golden("scar_corrective/16_wide_resnet")
    size = {name: int(case[name]) for name in ("depth", "widen")}
    model = build("wide_resnet_corrective", int(case["num_classes"]), (32, 32, 3), **size)
    shape = (int(case["batch"]), 32, 32, 3)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros(shape))
    flat = {
        (*(entry.key for entry in path),): leaf
        for tree in (shapes.params, shapes.stats["batch_stats"])
        for path, leaf in jax.tree.leaves_with_path(tree)
    }
    params: dict = {}
    running: dict = {}
    count = 0

    def sines(p, shape):
        i = np.arange(math.prod(shape), dtype=np.float64)
        return np.sin(float(case["a"]) * (i + 1) + float(case["b"]) * p).reshape(shape)

    def put(*path):
        nonlocal count
        shape, leaf = flat.pop(path).shape, path[-1]
        values = sines(count, shape)
        count += 1
        if leaf == "kernel":
            values *= math.sqrt(2 / math.prod(shape[:-1]))
        else:
            is_shift = leaf == "bias" and "norm" in path[-2]
            values *= {"scale": 0.1, "mean": 0.1, "var": 0.2}.get(leaf, 0.1 if is_shift else 0.05)
            values += 1 if leaf in ("scale", "var") else 0
        tree = running if leaf in ("mean", "var") else params
        for name in path[:-1]:
            tree = tree.setdefault(name, {})
        tree[leaf] = jnp.asarray(values)

    def put_all(path, leaves):
        for leaf in leaves:
            put(*path, leaf)

    conv, norm = ("kernel", "bias"), ("scale", "bias", "mean", "var")
    put_all(("stem",), conv)
    for block in model.layers[1:-1]:
        for number in (1, 2):
            put_all((block, f"norm{number}"), norm)
            put_all((block, f"conv{number}"), conv)
        if (block, "shortcut_conv", "kernel") in flat:
            put_all((block, "shortcut_conv"), conv)
            put_all((block, "shortcut_norm"), norm)
    put_all(("head",), conv)
    assert not flat and count == case["n_tensors"]
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == case["param_count"]
    x = jnp.asarray(1.5 * sines(1000, shape))
    logits = optimised(model.apply)(Variables(params, {"batch_stats": running}), x)[0]
    np.testing.assert_allclose(logits, case["logits_eval"], rtol=1e-9, atol=1e-9)


def test_the_last_layers_of_the_wide_resnets():
    for name in ("wide_resnet", "wide_resnet_corrective"):
        model = build(name)
        blocks = [layer for layer in model.layers if "_block" in layer]
        assert last_layers(model, 1) == ("head",)
        for k in (3, 5, 13, 25):
            layers = last_layers(model, k)
            assert [layer for layer in layers if "_block" in layer] == blocks[-(k - 1) // 2 :]
            assert layers == model.layers[-len(layers) :]
        assert last_layers(model, 26) == model.layers
        with pytest.raises(ConfigError, match=r"exactly 4 .*: choose one of 1, 3, 5, "):
            last_layers(model, 4)


@pytest.mark.parametrize("depth", [4, 11, 27])
def test_depths_that_do_not_exist(depth):
    with pytest.raises(ConfigError, match=rf"6n \+ 4, not {depth}"):
        build("wide_resnet", depth=depth)


@pytest.mark.parametrize(
    ("name", "side"), [("wide_resnet", 3), ("resnet20", 3), ("allcnn", 28), ("resnet50", 7)]
)
def test_too_small_images_are_refused(name, side):
    with pytest.raises(ConfigError, match=f"images of {side + 1}×{side + 1} or more"):
        build(name, shape=(side, 64, 3))
