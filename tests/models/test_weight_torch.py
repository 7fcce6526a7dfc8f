"""Files that PyTorch wrote: tensors that hold no weights, what training programs save, damage."""

import argparse
import random

import chex
import jax
import numpy as np
import pytest

from junlearn.errors import CheckpointError, JunlearnError
from junlearn.models.resnet import weight_names
from junlearn.models.weights import load_weights
from tests.weight_cases import RESNET, SMALL_RESNET, build, images, resnet_arrays

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """The small ResNet's variables from a file of what is given, or of these bytes."""
    path = tmp_path_factory.mktemp("weights") / "weights.pt"
    drawn = jax.eval_shape(build(RESNET).init, jax.random.key(0), images(1, RESNET.shape))

    def variables(content, **options):
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            torch.save(content, path, **options)
        return load_weights(path, weight_names(SMALL_RESNET), drawn)

    variables.path = path
    return variables


def tensors():
    return {name: torch.tensor(array) for name, array in resnet_arrays().items()}


@pytest.fixture(scope="module")
def plain(load):
    return load(tensors())


FORMS = {
    "before 1.6": (lambda t: t, {"_use_new_zipfile_serialization": False}),
    "parameters": (
        lambda t: {n: torch.nn.Parameter(a) if a.is_floating_point() else a for n, a in t.items()},
        {},
    ),
    "doubles": (lambda t: {n: a.double() if a.ndim else a for n, a in t.items()}, {}),
    "not contiguous": (
        lambda t: {
            n: a.to(memory_format=torch.channels_last) if a.ndim == 4 else a for n, a in t.items()
        },
        {},
    ),
    "Lightning": (
        lambda t: {
            "state_dict": {f"model._orig_mod.{n}": a for n, a in t.items()},
            "hyper_parameters": {"lr": 0.1, "name": "resnet"},
            "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(3)}}}],
            "epoch": 3,
        },
        {},
    ),
    "timm": (lambda t: {"state_dict": t, "state_dict_ema": {}, "arch": "a", "epoch": 1}, {}),
    "an average": (
        lambda t: {"n_averaged": torch.tensor(3), **{f"module.{n}": a for n, a in t.items()}},
        {},
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_forms_that_are_read(name, load, plain):
    change, options = FORMS[name]
    chex.assert_trees_all_equal(load(change(tensors()), **options), plain)


@pytest.mark.parametrize(("kind", "tolerance"), [("float16", 1e-3), ("bfloat16", 1e-2)])
def test_half_precision(kind, tolerance, load, plain):
    kind = getattr(torch, kind)
    found = load({n: a.to(kind) if a.is_floating_point() else a for n, a in tensors().items()})
    chex.assert_trees_all_equal_shapes_and_dtypes(found, plain)
    chex.assert_trees_all_close(found, plain, rtol=tolerance)


def scaled(tensor):
    return torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8)


NO_NUMBERS = {
    "sparse": (lambda t: t.to_sparse(), r"sparse float32; save tensor\.to_dense"),
    "sparse rows": (lambda t: t.to_sparse_csr(), "sparse float32"),
    "quantised": (scaled, "quantised qint8; quantised or whole"),
    "meta": (lambda t: t.to("meta"), "meta float32; the file has no numbers"),
    "complex": (lambda t: t.to(torch.complex64), "complex64; the network computes with real"),
    "float8": (lambda t: t.to(torch.float8_e4m3fn), r"float8_e4m3fn; save tensor\.float\(\)"),
    "float8 (2)": (lambda t: t.to(torch.float8_e5m2), "float8_e5m2; save"),
    "int8": (lambda t: t.to(torch.int8), "int8; quantised or whole"),
    "int4 in bytes": (lambda t: t.to(torch.uint8), "uint8; quantised or whole"),
    "bool": (lambda t: t > 0, "bool; quantised or whole"),
    "int64": (lambda t: t.long(), "int64; quantised or whole"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NO_NUMBERS)
def test_tensors_that_are_no_weights(name, load):
    change, message = NO_NUMBERS[name]
    content = tensors()
    content["fc.weight"] = change(content["fc.weight"])
    with pytest.raises(CheckpointError, match=rf"'fc\.weight' is {message}") as caught:
        load(content)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore")
def test_nested_tensors(load):
    for layout in (torch.strided, torch.jagged):
        content = tensors()
        content["fc.weight"] = torch.nested.nested_tensor(
            [torch.ones(2), torch.ones(3)], layout=layout
        )
        with pytest.raises(
            CheckpointError, match=r"nested|cannot read|more than tensors"
        ) as caught:
            load(content)
        assert "\n" not in str(caught.value)


class Weight(torch.Tensor):
    """A kind of tensor of somebody's own."""


NOT_READ = {
    "a module": (lambda t: torch.nn.Linear(2, 2), "more than tensors .*never run"),
    "a module in a dict": (lambda t: {"model": torch.nn.Linear(2, 2)}, "more than tensors"),
    "a subclass": (lambda t: {**t, "fc.weight": torch.ones(5, 8).as_subclass(Weight)}, "more than"),
    "arguments": (
        lambda t: {"state_dict": t, "hyper_parameters": argparse.Namespace(lr=1)},
        r"more than tensors \(argparse\.Namespace\).*save the weights alone",
    ),
    "a tensor": (lambda t: t["fc.weight"], "not a state_dict"),
    "a list": (lambda t: list(t.values()), "not a state_dict"),
    "a number": (lambda t: 3, "not a state_dict"),
    "nothing": (lambda t: {}, "not a state_dict"),
    "numbers for names": (lambda t: dict(enumerate(t.values())), "a tensor has the name 0"),
    "two networks": (lambda t: {"generator": t, "critic": t}, "'generator', 'critic'"),
    "NaN": (lambda t: {**t, "fc.bias": t["fc.bias"] * float("nan")}, r"'fc\.bias' has NaN"),
    "a variance": (lambda t: {**t, "bn1.running_var": -t["bn1.running_var"]}, "negative variances"),
}


@pytest.mark.parametrize("name", NOT_READ)
def test_files_that_are_refused(name, load):
    change, message = NOT_READ[name]
    with pytest.raises(CheckpointError, match=message) as caught:
        load(change(tensors()))
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore")
def test_a_program_of_torchscript(load):
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(load.path))
    with pytest.raises(CheckpointError, match="a TorchScript program"):
        load(load.path.read_bytes())


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("seed", range(30))
def test_damaged_files(seed, zipped, load, plain):
    """Cut off or overwritten: refused in one line; else what was hit are numbers, or nothing that counts."""
    rng = random.Random(seed)
    torch.save(tensors(), load.path, _use_new_zipfile_serialization=zipped)
    content = bytearray(load.path.read_bytes())
    if seed % 3 == 0:
        content = content[: rng.randrange(1, len(content) - 1)]
    else:
        start = rng.randrange(min(len(content), 4000))
        content[start : start + 8] = rng.randbytes(8)
    try:
        found = load(bytes(content))
    except JunlearnError as error:
        assert "\n" not in str(error) and str(load.path) in str(error)
    else:
        assert seed % 3
        chex.assert_trees_all_equal_shapes_and_dtypes(found, plain)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))
