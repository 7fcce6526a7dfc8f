"""Weight files in the forms that tools write: names, dictionaries around the state, numbers, shapes."""

import chex
import jax
import ml_dtypes
import numpy as np
import pytest

from junlearn.errors import CheckpointError
from junlearn.models.resnet import weight_names
from junlearn.models.weight_files import _state
from junlearn.models.weights import load_weights
from tests.weight_cases import RESNET, SMALL_RESNET, build, images, resnet_arrays


@pytest.fixture(scope="module")
def save_file():
    return pytest.importorskip("safetensors.numpy").save_file


@pytest.fixture(scope="module")
def load(save_file, tmp_path_factory):
    """The small ResNet's variables from a file of these arrays; nothing is compiled."""
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    drawn = jax.eval_shape(build(RESNET).init, jax.random.key(0), images(1, RESNET.shape))

    def variables(arrays, **options):
        save_file({name: np.ascontiguousarray(a) for name, a in arrays.items()}, path)
        return load_weights(path, weight_names(SMALL_RESNET), drawn, **options)

    return variables


@pytest.fixture(scope="module")
def plain(load):
    return load(resnet_arrays())


def under(prefix, but=()):
    """All names behind `prefix`, but those that begin with one of `but`."""
    return lambda name: name if name.startswith(tuple(but)) else prefix + name


def within(part):
    """`part` behind the first part of every name."""
    return lambda name: name.replace(".", f".{part}.", 1)


FORMS = {
    "DataParallel": under("module."),
    "torch.compile": under("_orig_mod."),
    "FSDP": under("_fsdp_wrapped_module."),
    "compiled, then DDP": under("module._orig_mod."),
    "DDP, then compiled": under("_orig_mod.module."),
    "FSDP in every layer": lambda name: within("_fsdp_wrapped_module")(f"module.{name}"),
    "compiled layers": within("_orig_mod"),
    "activation checkpoints": within("_checkpoint_wrapped_module"),
    "Lightning": under("model."),
    "Lightning, compiled": under("model._orig_mod."),
    "net": under("net."),
    "a name of one's own": under("classifier_net."),
    "several levels": under("learner.model.backbone."),
    "the first of a Sequential": under("0."),
    "a backbone beside its head": under("backbone.", but=["fc."]),
    "a backbone deeper down": lambda name: "model." + under("backbone.", but=["fc."])(name),
    "head and backbone": lambda name: ("head." if name.startswith("fc.") else "body.") + name,
    "encoder": under("encoder.", but=["fc."]),
}


@pytest.mark.parametrize("form", FORMS)
def test_prefixes(form, load, plain):
    arrays = {FORMS[form](name): array for name, array in resnet_arrays().items()}
    if form == "a backbone beside its head":
        arrays["n_averaged"] = np.array(3)
    chex.assert_trees_all_equal(load(arrays), plain)
    headless = {name: array for name, array in arrays.items() if "fc." not in name}
    found = load(headless, fresh=("head",))
    chex.assert_trees_all_equal(found.params["stem"], plain.params["stem"])


def twin(arrays, first, second):
    return {f"{prefix}.{name}": a for prefix in (first, second) for name, a in arrays.items()}


def normalised(prefix, names, shape=(1, 3, 1, 1)):
    def change(arrays):
        changed = {prefix + name: array for name, array in arrays.items()}
        for name, value in zip(names, (0.5, 0.25), strict=True):
            changed[name] = np.full(shape, value, np.float32)
        return changed

    return change


SET = r"set dataset\.mean = \[0\.5, 0\.5, 0\.5\] and dataset\.std = \[0\.25, 0\.25, 0\.25\]"
REFUSED = {
    "student and teacher": (lambda a: twin(a, "student", "teacher"), "several networks"),
    "MoCo": (lambda a: twin(a, "module.encoder_q", "module.encoder_k"), "several networks"),
    "online and target": (lambda a: twin(a, "online", "target"), "'online.', 'target.'"),
    "one beside the plain one": (lambda a: a | {f"ema.{n}": x for n, x in a.items()}, "unexpected"),
    "the same name twice": (lambda a: a | {f"module.{n}": a[n] for n in a}, "the same array"),
    "a projector": (
        lambda a: a | {"projector.0.weight": np.ones((3, 3)), "projector.0.bias": np.ones(3)},
        "the network has no 'projector': leave these out",
    ),
    "Sequential of two": (normalised("1.", ("0.mean", "0.std")), r"layer 1 .* the same mean and"),
    "Sequential without buffers": (
        lambda a: {f"1.{name}": array for name, array in a.items()},
        r"layer 1 of a Sequential.*model\[1\]\.state_dict\(\)",
    ),
    "Sequential in DDP": (
        lambda a: {f"module.1.{name}": array for name, array in a.items()},
        "layer 1 of a Sequential",
    ),
    "normalize": (normalised("model.", ("normalize.mean", "normalize.std")), SET),
    "normalizer": (normalised("", ("normalizer.mean", "normalizer.std"), (3,)), SET),
    "buffers of the network": (normalised("", ("mean", "std"), (3, 1, 1)), SET),
    "pixel statistics": (normalised("backbone.", ("pixel_mean", "pixel_std"), (3, 1, 1)), SET),
    "mu and sigma": (normalised("net.", ("norm.mu", "norm.sigma")), SET),
    "weight normalisation": (
        lambda a: a | {"fc.weight_g": np.ones(5), "fc.weight_v": a.pop("fc.weight")},
        "remove_weight_norm",
    ),
    "pruned": (
        lambda a: a | {"fc.weight_mask": np.ones(5), "fc.weight_orig": a.pop("fc.weight")},
        r"prune\.remove",
    ),
    "parametrised": (
        lambda a: a | {"fc.parametrizations.weight.original": a.pop("fc.weight")},
        "remove_parametrizations",
    ),
    "LoRA": (lambda a: a | {"fc.lora_A.weight": np.ones((1, 8))}, "merge_and_unload"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_give_other_outputs_is_refused(name, load):
    change, message = REFUSED[name]
    with pytest.raises(CheckpointError, match=message) as caught:
        load(change(resnet_arrays()))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "tolerance"),
    [(np.float16, 1e-3), (np.float64, 0), (ml_dtypes.bfloat16, 1e-2), (np.float32, 0)],
)
def test_kinds_of_numbers(kind, tolerance, load, plain):
    found = load({n: a.astype(kind) if a.ndim else a for n, a in resnet_arrays().items()})
    chex.assert_trees_all_equal_shapes_and_dtypes(found, plain)
    chex.assert_trees_all_close(found, plain, rtol=tolerance)


def put(name, change):
    def into(arrays):
        arrays[name] = change(arrays[name])
        return arrays

    return into


def everywhere(change):
    return lambda arrays: {name: change(array) for name, array in arrays.items()}


def holding(value):
    def change(array):
        array = array.copy()
        array.flat[0] = value
        return array

    return change


VALUES = {
    "NaN": (put("conv1.weight", holding(np.nan)), r"no training gives: 'conv1\.weight' has NaN$"),
    "infinite": (put("fc.bias", holding(-np.inf)), r"'fc\.bias' has infinite"),
    "NaN in statistics": (put("bn1.running_mean", holding(np.nan)), r"'bn1\.running_mean' has NaN"),
    "negative variance": (
        put("layer1.0.bn2.running_var", holding(-0.5)),
        r"'layer1\.0\.bn2\.running_var' has negative variances$",
    ),
    "too large for float32": (
        put("fc.weight", lambda a: holding(1e300)(a.astype(np.float64))),
        r"'fc\.weight' has infinite",
    ),
    "NaN everywhere": (everywhere(lambda a: a * np.float32(np.nan)), r"has NaN.* and \d\d more"),
    "zeros": (everywhere(np.zeros_like), "every weight is zero"),
    "int8": (put("fc.weight", lambda a: a.astype(np.int8)), r"'fc\.weight' is int8.*quantised"),
    "int64": (put("bn1.weight", lambda a: a.astype(np.int64)), r"'bn1\.weight' is int64"),
    "bool": (put("fc.bias", lambda a: a > 0), r"'fc\.bias' is bool"),
    "uint8 everywhere": (everywhere(lambda a: a.astype(np.uint8)), r"is uint8.* more; quantised"),
    "complex": (put("fc.weight", lambda a: a.astype(np.complex64)), "is complex64.*real numbers"),
}


@pytest.mark.parametrize("name", VALUES)
def test_numbers_that_no_training_gives(name, load):
    change, message = VALUES[name]
    with pytest.raises(CheckpointError, match=message) as caught:
        load(change(resnet_arrays()))
    assert "\n" not in str(caught.value)


def test_what_a_dead_channel_leaves_is_taken(load):
    arrays = put("bn1.running_var", holding(0.0))(resnet_arrays())
    arrays["fc.weight"] = np.zeros_like(arrays["fc.weight"])
    assert load(arrays).stats["batch_stats"]["stem"]["norm"]["var"][0] == 0


SHAPES = {
    "transposed": ("fc.weight", lambda a: a.T, r"\[8, 5\] .* \[5, 8\] \(it is transposed"),
    "of Flax": ("conv1.weight", lambda a: a.transpose(2, 3, 1, 0), r"permute\(3, 2, 0, 1\)"),
    "channels last": (
        "layer1.0.conv1.weight",
        lambda a: a.transpose(0, 2, 3, 1),
        r"permute\(0, 3, 1, 2\)",
    ),
    "inputs first": (
        "layer2.0.conv1.weight",
        lambda a: a.transpose(1, 0, 2, 3),
        r"permute\(1, 0, 2, 3\)",
    ),
    "flat": ("conv1.weight", lambda a: a.ravel(), r"as many numbers: .*reshape\(4, 3, 3, 3\)"),
    "a 1×1 convolution for a head": (
        "fc.weight",
        lambda a: a[:, :, None, None],
        r"reshape\(5, 8\)",
    ),
    "grey": ("conv1.weight", lambda a: a[:, :1], r"\[4, 1, 3, 3\] and must be \[4, 3, 3, 3\]$"),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_that_are_only_turned(name, load):
    array, change, message = SHAPES[name]
    with pytest.raises(CheckpointError, match=message):
        load(put(array, change)(resnet_arrays()))


STATE = {"conv1.weight": np.ones(1), "conv1.bias": np.ones(1)}
OTHER = {"conv1.weight": np.zeros(1)}
MOMENTS = {"state": {0: {"exp_avg": np.ones(1)}}, "param_groups": [{"lr": 0.1}]}
AROUND = {
    "itself": STATE,
    "state_dict": {"state_dict": STATE, "epoch": 3},
    "model": {"model": STATE, "optimizer": MOMENTS, "lr_scheduler": {"last": np.ones(1)}},
    "model_state_dict": {"epoch": 1, "model_state_dict": STATE, "optimizer_state_dict": MOMENTS},
    "net": {"net": STATE, "acc": 93.1, "epoch": 200},
    "network": {"network": STATE, "args": {"lr": np.ones(1)}},
    "weights": {"weights": STATE, "meta": {"x": np.ones(1)}},
    "params": {"params": STATE, "params_ema": OTHER},
    "ema alone": {"ema": STATE, "step": np.ones(1)},
    "ema beside": {"model": STATE, "model_ema": OTHER},
    "timm": {"state_dict": STATE, "state_dict_ema": OTHER, "arch": "resnet18", "metric": 0.7},
    "Lightning": {
        "state_dict": STATE,
        "hyper_parameters": {"lr": 0.1},
        "optimizer_states": [MOMENTS],
        "callbacks": {"best": {"best_k_models": {"a": np.ones(1)}}},
        "loops": {"fit_loop": {"x": np.ones(1)}},
    },
    "DeepSpeed": {"module": STATE, "optimizer": MOMENTS},
    "twice": {"state_dict": {"model": STATE, "epoch": 3}},
    "a name of one's own": {"classifier": STATE, "epoch": 3, "loss": 0.1},
    "numbers between": {**STATE, "epoch": 3, "note": "best", "_extra_state": None},
}


@pytest.mark.parametrize("name", AROUND)
def test_dictionaries_around_the_state(name):
    found = _state("weights.pt", AROUND[name], lambda value: isinstance(value, np.ndarray))
    assert found.keys() == STATE.keys()
    assert all(found[each] is STATE[each] for each in STATE)


NO_STATES = {
    "an array": (np.ones(3), "not a state_dict"),
    "a list": ([STATE], "not a state_dict"),
    "nothing": ({}, "not a state_dict"),
    "numbers": ({"epoch": 3}, "not a state_dict"),
    "an optimiser": ({"optimizer": MOMENTS}, "not a state_dict"),
    "empty state": ({"state_dict": {}, "epoch": 1}, "not a state_dict"),
    "names that are numbers": ({0: np.ones(1), 1: np.ones(1)}, "a tensor has the name 0"),
    "names that are tuples": ({"model": {("a", 1): np.ones(1)}}, r"has the name \('a', 1\)"),
    "names that are bytes": ({b"conv1.weight": np.ones(1)}, "has the name b'conv1.weight'"),
    "two networks": ({"generator": STATE, "discriminator": OTHER}, "'generator', 'discriminator'"),
    "two of a name in use": ({"model": STATE, "net": OTHER}, "several dicts of tensors"),
    "dicts in dicts": ({"encoder": {"conv1": STATE}, "head": {"fc": OTHER}}, "'encoder', 'head'"),
    "too deep": ({"model": {"model": {"model": {"model": {"model": STATE}}}}}, "not a state_dict"),
}


@pytest.mark.parametrize("name", NO_STATES)
def test_what_is_no_state(name):
    content, message = NO_STATES[name]
    with pytest.raises(CheckpointError, match=message) as caught:
        _state("weights.pt", content, lambda value: isinstance(value, np.ndarray))
    assert "\n" not in str(caught.value)
