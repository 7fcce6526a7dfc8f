"""The registered models: sizes, order of layers, features, masks."""

import dataclasses
import functools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.errors import ConfigError
from junlearn.models import MODELS, count_parameters, from_linen
from junlearn.models.resnet import STEMS, BasicBlock, Depth, ResNet

SMALL_SHAPES = {
    "mlp": (4, 4, 1),
    "small_cnn": (8, 8, 1),
    "laf_cnn": (8, 8, 1),
    "resnet9": (12, 12, 3),
    **{f"resnet{depth}": (8, 8, 3) for depth in (20, 32, 34, 44, 50, 56, 110)},
    "resnet34_imagenet": (32, 32, 3),
    "resnet50_imagenet": (32, 32, 3),
    "wide_resnet": (8, 8, 3),
    "wide_resnet_corrective": (8, 8, 3),
    "allcnn": (32, 32, 3),
    "resnet18": (8, 8, 3),
    "resnet18_imagenet": (32, 32, 3),
    "vgg11_jit": (32, 32, 3),
    "vgg16_bn": (32, 32, 3),
    "vit_b16": (32, 32, 3),
    "vit_small": (8, 8, 3),
}


# The same network at a size that compiles fast.
TINY = Depth(BasicBlock, (1, 1), (4, 8))


MODELS_TO_RUN = ("mlp", "small_cnn", "laf_cnn", "tiny cifar", "tiny imagenet")


def build_to_run(name):
    """A model and the shape of its images; the ResNets in small."""
    if not name.startswith("tiny"):
        return build(name), SMALL_SHAPES[name]
    stem = name.removeprefix("tiny ")
    layers = ("stem", "stage1_block1", "stage2_block1", "head")
    model = from_linen(ResNet(4, STEMS[stem], TINY), layers=layers, input_shape=(8, 8, 3))
    return model, (8, 8, 3)


CIFAR_COUNTS = [
    (f"resnet{depth}", classes, (32, 32, 3), {}, count)
    for depth, counts in {
        20: (271_858, 272_378, 278_228),
        32: (466_290, 466_810, 472_660),
        44: (660_722, 661_242, 667_092),
        56: (855_154, 855_674, 861_524),
        110: (1_730_098, 1_730_618, 1_736_468),
    }.items()
    for classes, count in zip((2, 10, 100), counts, strict=True)
]


COUNTS = [
    ("laf_cnn", 10, (28, 28, 1), {}, 449_098),
    ("resnet18", 10, (32, 32, 3), {}, 11_173_962),
    ("resnet18", 20, (32, 32, 3), {}, 11_179_092),
    ("resnet18", 100, (32, 32, 3), {}, 11_220_132),
    ("resnet18_imagenet", 10, (224, 224, 3), {}, 11_181_642),
    ("resnet18_imagenet", 100, (224, 224, 3), {}, 11_227_812),
    ("resnet18_imagenet", 10, (224, 224, 3), {"embedding": 256}, 11_310_410),
    ("resnet9", 2, (32, 32, 3), {}, 2_275_200),
    ("resnet9", 10, (32, 32, 3), {}, 2_276_224),
    ("resnet9", 100, (32, 32, 3), {}, 2_287_744),
    ("resnet34_imagenet", 1000, (224, 224, 3), {}, 21_797_672),
    ("resnet50_imagenet", 1000, (224, 224, 3), {}, 25_557_032),
    ("wide_resnet", 10, (32, 32, 3), {}, 36_479_194),
    ("wide_resnet_corrective", 2, (32, 32, 3), {}, 36_485_122),
    ("wide_resnet_corrective", 10, (32, 32, 3), {}, 36_490_250),
    ("wide_resnet_corrective", 100, (32, 32, 3), {}, 36_547_940),
    *CIFAR_COUNTS,
    ("mlp", 10, (8, 8, 1), {}, 64 * 64 + 64 + 64 * 64 + 64 + 64 * 10 + 10),
]


PUBLISHED = {name: shape for name, _, shape, settings, _ in COUNTS if not settings}


def images(count, shape):
    return np.random.default_rng(0).normal(size=(count, *shape)).astype(np.float32)


def build(name, num_classes=4, shape=None, **settings):
    component = MODELS[name]
    return component.make(component.Config(**settings), num_classes, shape or SMALL_SHAPES[name])


@functools.cache
def abstract(name, shape, **settings):
    """A model of ten classes and the shapes of its variables: one trace a network and test process."""
    model = build(name, 10, shape, **settings)
    return model, jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *shape)))


def head_of(params, embedding):
    """Logits of a head of dense layers with nothing between them."""
    for layer in [params] if "kernel" in params else [params[k] for k in sorted(params)]:
        embedding = embedding @ layer["kernel"] + layer.get("bias", jnp.zeros(1))[None]
    return embedding


def test_every_model_has_a_small_shape_here():
    assert SMALL_SHAPES.keys() == MODELS.keys()


@pytest.mark.parametrize(
    ("name", "num_classes", "shape", "settings", "count"),
    COUNTS,
)
def test_parameter_counts_are_the_published_ones(name, num_classes, shape, settings, count):
    model, variables = abstract(name, shape, **settings)
    # A column of the head's kernel and a bias, where there is one, for each class.
    head = jax.tree.leaves(variables.params[model.layers[-1]])
    each = sum(math.prod(leaf.shape[:-1]) for leaf in head if leaf.shape[-1] == 10)
    assert each
    assert count_parameters(variables) + (num_classes - 10) * each == count


@pytest.mark.parametrize("num_classes", [2, 3, 100])
def test_the_head_has_as_many_outputs_as_there_are_classes(num_classes, key):
    """Which alone the counts above depend on."""
    ten, small = abstract("mlp", (4, 4, 1))
    model = build("mlp", num_classes, (4, 4, 1))
    variables = jax.eval_shape(model.init, key, jnp.zeros((1, 4, 4, 1)))
    assert model.layers == ten.layers
    for layer in model.layers[:-1]:
        chex.assert_trees_all_equal_shapes(variables.params[layer], small.params[layer])
    assert variables.params[model.layers[-1]]["kernel"].shape == (64, num_classes)


def is_weight(path):
    """A kernel that is not on a shortcut: what `Model.depths` counts."""
    names = [entry.key for entry in path]
    return names[-1] == "kernel" and "shortcut_conv" not in names


@pytest.mark.parametrize("name", MODELS)
def test_layers_cover_the_parameters(name):
    # The published size, where it was traced for the counts: shapes take as long to find at any size.
    shape = PUBLISHED.get(name, SMALL_SHAPES[name])
    model, variables = abstract(name, shape)
    assert set(model.layers) == set(variables.params)
    assert len(model.depths) in (0, len(model.layers))
    if model.depths:
        kernels = {
            name: [path for path, _ in jax.tree.leaves_with_path(group) if is_weight(path)]
            for name, group in variables.params.items()
        }
        assert model.depths == tuple(len(kernels[name]) for name in model.layers)
    assert model.input_shape == shape


@pytest.mark.parametrize("name", MODELS_TO_RUN)
def test_the_last_layer_reads_the_embedding(name, key):
    model, shape = build_to_run(name)
    x = images(3, shape)
    variables = jax.jit(model.init)(key, x[:1])
    logits, features, stats = jax.jit(model.apply)(variables, x)
    chex.assert_shape(logits, (3, 4))
    chex.assert_trees_all_equal(stats, variables.stats)
    expected = head_of(variables.params[model.layers[-1]], features["embedding"])
    np.testing.assert_allclose(logits, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("mlp", ("dense1", "dense2", "head")),
        ("small_cnn", ("block1", "block2", "fc1", "head")),
        ("laf_cnn", ("conv1", "conv2", "fc1", "head")),
    ],
)
def test_order_of_layers(name, layers):
    assert build(name).layers == layers


def test_resnet_layers_and_features_follow_the_input(key):
    model = build("resnet18", embedding=16)
    assert model.layers[:2] == ("stem", "stage1_block1")
    assert model.layers[-3:] == ("stage4_block2", "fc1", "head")
    x = jnp.zeros((1, 8, 8, 3))
    variables = jax.eval_shape(model.init, key, x)
    features = jax.eval_shape(model.apply, variables, x)[1]
    shapes = {name: value.shape[1:] for name, value in features.items()}
    assert shapes == {
        "stem": (8, 8, 64),
        "stage1": (8, 8, 64),
        "stage2": (4, 4, 128),
        "stage3": (2, 2, 256),
        "stage4": (1, 1, 512),
        "embedding": (16,),
    }


def test_small_cnn_halves_its_images_in_each_block():
    model = build("small_cnn", shape=(8, 8, 1), channels=(2, 3, 4))
    assert model.layers == ("block1", "block2", "block3", "fc1", "head")
    with pytest.raises(ConfigError, match="halves its input 3 times and needs images of 8×8"):
        build("small_cnn", shape=(7, 8, 1), channels=(2, 3, 4))


def test_laf_cnn_has_no_non_linearity_behind_its_embedding_layer(key):
    model = build("laf_cnn")
    x = images(4, (8, 8, 1))
    variables = jax.jit(model.init)(key, x[:1])
    assert (jax.jit(model.apply)(variables, x)[1]["embedding"] < 0).any()


@pytest.mark.parametrize("name", ["mlp", "small_cnn", "tiny cifar"])
def test_masked_rows_change_nothing(name, key):
    model, shape = build_to_run(name)
    x = images(5, shape)
    variables = jax.jit(model.init)(key, x[:1])
    padded = np.concatenate([x, np.full((2, *shape), np.nan, np.float32)])
    mask = np.arange(7) < 5

    @jax.jit
    def step(x, mask):
        def loss(params):
            logits, _, stats = model.apply(
                variables._replace(params=params), x, train=True, mask=mask
            )
            return jnp.where(mask[:, None], jnp.square(logits), 0).sum(), stats

        return jax.value_and_grad(loss, has_aux=True)(variables.params)

    expected, actual = step(x, jnp.ones(5, bool)), step(padded, mask)
    chex.assert_trees_all_close(actual, expected, rtol=1e-3, atol=1e-4)
    chex.assert_trees_all_equal_structs(actual[0][1], variables.stats)


@pytest.mark.parametrize(
    "name", ["laf_cnn", "small_cnn", "resnet9", "resnet18", "resnet18_imagenet"]
)
def test_too_small_images_are_refused(name):
    with pytest.raises(ConfigError, match="images of"):
        build(name, shape=(3, 32, 3))


@pytest.mark.parametrize("name", MODELS)
def test_configs_are_frozen_and_have_defaults(name):
    config = MODELS[name].Config()
    field = dataclasses.fields(config)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(config, field, None)
    assert "\n" not in MODELS[name].summary
