"""Networks out of the library: every array, the same bits when they come back, the same logits in PyTorch."""

import json
import sys

import chex
import jax
import ml_dtypes
import numpy as np
import pytest

import junlearn
from junlearn.errors import CheckpointError, ConfigError
from junlearn.models import MODELS, Row, Table
from junlearn.models.weight_export import named_arrays, write
from junlearn.models.weight_files import Entry
from junlearn.models.weights import fit, load_weights
from junlearn.types import Variables
from tests import torch_nets, torch_own_nets
from tests.weight_cases import CASES, CLASSES, Case, build, images

# Maps that are not square before a linear layer, so that a wrong order shows.
OWN = {
    "mlp": Case("mlp", {"hidden": (7, 6)}, (4, 3, 2)),
    "small_cnn": Case("small_cnn", {"channels": (3, 4), "embedding": 6}, (12, 8, 3)),
    "laf_cnn": Case("laf_cnn", {"channels": (3, 4), "embedding": 6, "hidden": 5}, (12, 8, 1)),
    "allcnn": Case("allcnn", {"width": 3, "hidden": 6}, (64, 32, 3)),
    "resnet9": Case("resnet9", {"widths": (3, 4, 5, 6)}, (12, 12, 3)),
    "resnet20": Case("resnet20", {"widths": (3, 4, 5)}, (8, 8, 3)),
    "wide_resnet": Case("wide_resnet", {"depth": 10, "widen": 1}, (8, 8, 3)),
    "corrective": Case("wide_resnet_corrective", {"depth": 10, "widen": 1}, (8, 8, 3)),
}
ALL = CASES | OWN


def made(name):
    """The network of a case, with numbers at random."""
    case = ALL[name]
    model = build(case) if name in CASES else _own(case)
    shapes = jax.eval_shape(model.init, jax.random.key(0), model.example({}))
    rng = np.random.default_rng(0)
    flat, tree = jax.tree.flatten_with_path(shapes)
    leaves = []
    for path, leaf in flat:
        last = path[-1].key
        low, high = (0.5, 2.0) if last in ("var", "scale") else (-1.0, 1.0)
        fan = np.prod(leaf.shape[:-1]) ** 0.5 if last == "kernel" else 1
        leaves.append((rng.uniform(low, high, leaf.shape) / fan).astype(np.float32))
    return model, jax.tree.unflatten(tree, leaves)


def _own(case):
    component = MODELS[case.name]
    return component.make(component.Config(**case.settings), CLASSES, case.shape)


def entries(arrays):
    return {
        n: Entry(a.shape, str(a.dtype), a if a.dtype == np.float32 else None)
        for n, a in arrays.items()
    }


@pytest.mark.parametrize("name", MODELS)
def test_every_registered_model_has_a_table(name):
    component = MODELS[name]
    model = component.make(component.Config(), 10, (224, 224, 3))
    assert all(isinstance(row, Row) for table in model.tables for row in table.rows)
    assert model.tables and hash(model.tables)


@pytest.mark.parametrize("name", ALL)
def test_out_and_in_again_bit_for_bit(name):
    model, variables = made(name)
    leaves = jax.tree.leaves(variables)
    counted = len(jax.tree.leaves(variables.stats)) // 2
    for table in model.tables:
        arrays = named_arrays(model, variables, names=table.library)
        joined = sum(row.part is not None and row.part[0] > 0 for row in table.rows) * 2
        assert len(arrays) == len(leaves) + counted - joined
        tracked = {n for n, a in arrays.items() if a.dtype == np.int64}
        assert len(tracked) == counted
        assert all(name.endswith(".num_batches_tracked") for name in tracked)
        total = sum(a.size for a in arrays.values() if a.dtype == np.float32)
        assert total == sum(leaf.size for leaf in leaves)
        blank = jax.tree.map(np.zeros_like, variables)
        again = fit(entries(arrays), model.tables, blank, "the file does not fit")
        chex.assert_trees_all_equal(again, variables)
        chex.assert_trees_all_equal_dtypes(again, variables)


def test_the_names_of_timm_put_three_layers_into_one():
    model, variables = made("vit")
    there = named_arrays(model, variables, names="timm")
    here = named_arrays(model, variables)
    layer = "vit.encoder.layer.1.attention.attention"
    for kind in ("weight", "bias"):
        parts = [here[f"{layer}.{part}.{kind}"] for part in ("query", "key", "value")]
        np.testing.assert_array_equal(there[f"blocks.1.attn.qkv.{kind}"], np.concatenate(parts))
    np.testing.assert_array_equal(
        there["patch_embed.proj.weight"],
        here["vit.embeddings.patch_embeddings.projection.weight"],
    )
    del there["blocks.1.attn.qkv.weight"]
    there["blocks.0.attn.qkv.bias"] = there["blocks.0.attn.qkv.bias"][:8]
    with pytest.raises(
        CheckpointError,
        match=r"the file; missing: 'blocks\.1\.attn\.qkv\.weight'; of another shape: "
        r"'blocks\.0\.attn\.qkv\.bias' is \[8\] and must be \[24\]$",
    ):
        fit(entries(there), model.tables, variables, "the file")


@pytest.mark.parametrize("names", [None, "timm"])
def test_a_file_comes_back_and_says_what_it_is(names, tmp_path):
    safetensors = pytest.importorskip("safetensors")
    model, variables = made("vit")
    path = tmp_path / "net.safetensors"
    write(path, named_arrays(model, variables, names=names), {"model": {"name": "vit_small"}})
    with safetensors.safe_open(path, "np") as file:
        about = file.metadata()
    assert about["format"] == "pt"
    assert json.loads(about["junlearn"]) == {"model": {"name": "vit_small"}}
    chex.assert_trees_all_equal(load_weights(path, model.tables, variables), variables)
    bytes_of = set()
    for _ in range(8):
        write(path, named_arrays(model, variables), {"né": [1], "a": "\n"})
        bytes_of.add(path.read_bytes())
    assert len(bytes_of) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["net.safetensors"]


def test_half_the_bytes(tmp_path):
    pytest.importorskip("safetensors")
    model, variables = made("small_cnn")
    arrays = named_arrays(model, variables, dtype="bfloat16")
    kinds = {array.dtype for array in arrays.values()}
    assert kinds == {np.dtype(ml_dtypes.bfloat16), np.dtype(np.int64)}
    write(tmp_path / "net.safetensors", arrays, {})
    again = load_weights(tmp_path / "net.safetensors", model.tables, variables)
    expected = jax.tree.map(lambda a: a.astype(ml_dtypes.bfloat16).astype(np.float32), variables)
    chex.assert_trees_all_equal(again, expected)


def test_what_cannot_go_out(tmp_path):
    model, variables = made("mlp")
    with pytest.raises(ConfigError, match="no names in PyTorch are known of this network"):
        named_arrays(model._replace(tables=()), variables)
    with pytest.raises(ConfigError, match="unknown names 'keras'; known: junlearn"):
        named_arrays(model, variables, names="keras")
    with pytest.raises(ConfigError, match="unknown dtype 'float8'"):
        named_arrays(model, variables, dtype="float8")
    more = Variables({**variables.params, "aux": {"kernel": np.zeros((2, 2))}}, {})
    with pytest.raises(ConfigError, match="it does not name params/aux/kernel"):
        named_arrays(model, more)
    shards = jax.tree.map(lambda leaf: np.stack([leaf] * 3), variables)
    with pytest.raises(
        ConfigError, match=r"dense1\.\w+: an array of \(3, .* is of another network"
    ):
        named_arrays(model, shards)
    with pytest.raises(ConfigError, match=r"net\.h5: the name of a file in \.safetensors, \.pt"):
        write(tmp_path / "net.h5", {}, {})


def test_a_table_of_ones_own():
    model, variables = made("mlp")
    rows = tuple(Row((name,), (f"net.{name}",)) for name in model.layers)
    own = model._replace(tables=(Table("mine", rows),))
    assert "net.dense1.weight" in named_arrays(own, variables)


def torch_network(torch, name):
    case = ALL[name]
    if name in OWN:
        return torch_own_nets.network(torch, case.name, case.settings, case.shape, CLASSES)
    if name.startswith("vgg"):
        counts = (1, 1, 2, 2, 2) if name == "vgg11" else (2, 2, 3, 3, 3)
        return torch_nets.vgg(torch, counts, case.settings, name == "vgg16", CLASSES)
    if name == "vit":
        return torch_nets.vit(torch, case.settings, case.shape, CLASSES, pooler=False)
    return torch_nets.resnet(torch, "imagenet" in name, CLASSES, "bottleneck" in name)


@pytest.mark.parametrize("name", ALL)
def test_the_same_network_in_pytorch(name):
    """Loaded strictly, it gives the same logits; and it comes back."""
    torch = pytest.importorskip("torch")
    model, variables = made(name)
    network = torch_network(torch, name)
    network.load_state_dict(junlearn.to_torch(model, variables), strict=True)
    network.eval()
    x = images(100, ALL[name].shape)
    with torch.no_grad():
        expected = network(torch.tensor(x.transpose(0, 3, 1, 2))).numpy()
    actual = jax.jit(model.apply)(variables, x)[0]
    assert expected.std() > 0.01
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    chex.assert_trees_all_equal(junlearn.from_torch(model, network), variables)


def test_what_comes_from_pytorch(tmp_path):
    torch = pytest.importorskip("torch")
    model, variables = made("small_cnn")
    state = junlearn.to_torch(model, variables)
    again = junlearn.from_torch(model, state)
    for tensor in state.values():
        tensor.zero_()
    chex.assert_trees_all_equal(again, variables)
    with pytest.raises(CheckpointError, match=r"state_dict does not fit the model; .*every weight"):
        junlearn.from_torch(model, state)
    with pytest.raises(
        ConfigError, match=r"a state_dict or a torch\.nn.Module is needed, not list"
    ):
        junlearn.from_torch(model, [state])
    for dtype in ("float32", "bfloat16"):
        path = tmp_path / f"{dtype}.pt"
        write(path, named_arrays(model, variables, dtype=dtype), {})
        kept = torch.load(path, weights_only=True)
        assert {str(t.dtype) for t in kept.values()} == {f"torch.{dtype}", "torch.int64"}
        tensors = junlearn.to_torch(model, variables, dtype=dtype)
        assert all(torch.equal(kept[name], tensors[name]) for name in tensors)


def test_without_pytorch(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    model, variables = made("mlp")
    with pytest.raises(ConfigError, match="need torch"):
        junlearn.to_torch(model, variables)
    with pytest.raises(ConfigError, match=r"install torch to write it .* or name a \.safetensors"):
        write(tmp_path / "net.pt", {}, {})
    assert not list(tmp_path.iterdir())
