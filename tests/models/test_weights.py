"""Weights from files: the same outputs as the network that wrote them, and files that do not fit."""

import pickle
import sys

import chex
import jax
import numpy as np
import pytest

from junlearn.errors import CheckpointError, ConfigError
from junlearn.experiment import schema
from junlearn.experiment.identity import model_identity
from junlearn.models import MODELS
from junlearn.models.resnet import (
    ResNetConfig,
    weight_names,
)
from junlearn.models.weights import file_digest, pretrained
from tests import torch_nets
from tests.weight_cases import (
    CASES,
    CLASSES,
    RESNET,
    SMALL_RESNET,
    build,
    fresh,
    images,
    resnet_arrays,
)


def torch_network(torch, name):
    """The network of a case in PyTorch, in eval mode, with random BatchNorm statistics."""
    torch.manual_seed(0)
    case = CASES[name]
    if name == "vgg11":
        network = torch_nets.vgg(torch, (1, 1, 2, 2, 2), case.settings, False, CLASSES)
    elif name == "vgg16":
        network = torch_nets.vgg(torch, (2, 2, 3, 3, 3), case.settings, True, CLASSES)
    elif name == "vit":
        network = torch_nets.vit(torch, case.settings, case.shape, CLASSES)
    else:
        network = torch_nets.resnet(torch, "imagenet" in name, CLASSES, "bottleneck" in name)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.LayerNorm):
            torch.nn.init.uniform_(module.weight, 0.5, 2.0)
            torch.nn.init.normal_(module.bias)
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
    return network.eval()


@pytest.mark.parametrize("name", CASES)
def test_same_outputs_as_the_network_that_wrote_them(name, tmp_path):
    torch = pytest.importorskip("torch")
    network, case = torch_network(torch, name), CASES[name]
    path = tmp_path / "weights.pt"
    torch.save(network.state_dict(), path)
    model = build(case, path)
    x = images(3, case.shape)
    variables = jax.jit(model.init)(jax.random.key(0), x[:1])
    with torch.no_grad():
        expected = network(torch.tensor(x.transpose(0, 3, 1, 2))).numpy()
    actual = jax.jit(model.apply)(variables, x)[0]
    assert expected.std() > 0.01
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.fixture(scope="module")
def save_file():
    return pytest.importorskip("safetensors.numpy").save_file


@pytest.fixture
def arrays():
    return resnet_arrays()


def test_every_fresh_network_starts_from_the_file(arrays, save_file, tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file(arrays, path)
    model = build(RESNET, path)
    variables = fresh(model)
    chex.assert_trees_all_equal(variables, fresh(model, seed=1))
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(variables))
    chex.assert_trees_all_equal_structs(variables, fresh(build(RESNET)))
    block, stats = variables.params["stage2_block1"], variables.stats["batch_stats"]
    np.testing.assert_array_equal(
        block["conv1"]["kernel"], arrays["layer2.0.conv1.weight"].transpose(2, 3, 1, 0)
    )
    np.testing.assert_array_equal(
        stats["stage2_block1"]["shortcut_norm"]["var"], arrays["layer2.0.downsample.1.running_var"]
    )
    np.testing.assert_array_equal(variables.params["head"]["kernel"], arrays["fc.weight"].T)
    seeds = jax.jit(jax.vmap(lambda key: model.init(key, images(1, RESNET.shape))))(
        jax.random.split(jax.random.key(0))
    )
    chex.assert_trees_all_equal(jax.tree.map(lambda leaf: leaf[1], seeds), variables)


@pytest.mark.parametrize("present", [True, False])
def test_a_fresh_head_of_another_width(present, arrays, save_file, tmp_path):
    path = tmp_path / "weights.safetensors"
    if not present:
        arrays = {name: array for name, array in arrays.items() if not name.startswith("fc.")}
    save_file(arrays, path)
    model = build(RESNET, path, num_classes=3, head="fresh")
    first, second = fresh(model), fresh(model, seed=1)
    heads = [variables.params.pop("head")["kernel"] for variables in (first, second)]
    assert heads[0].shape == (8, 3) and (heads[0] != heads[1]).any()
    chex.assert_trees_all_equal(first, second)
    with pytest.raises(CheckpointError, match=r"fc\.weight"):
        build(RESNET, path, num_classes=3)


def test_a_fresh_convolution_in_the_stem(arrays, save_file, tmp_path):
    """ImageNet's 7×7 one is passed over, the BatchNorm behind it is kept."""
    path = tmp_path / "weights.safetensors"
    arrays["conv1.weight"] = np.zeros((4, 3, 7, 7), np.float32)
    save_file(arrays, path)
    config = ResNetConfig(weights=str(path))
    model = pretrained(build(RESNET), config, weight_names(SMALL_RESNET), fresh=("stem.conv",))
    first, second = (fresh(model, seed).params for seed in (0, 1))
    kernels = [variables["stem"].pop("conv")["kernel"] for variables in (first, second)]
    assert kernels[0].shape == (3, 3, 3, 4) and (kernels[0] != kernels[1]).any()
    chex.assert_trees_all_equal(first, second)
    np.testing.assert_array_equal(first["stem"]["norm"]["scale"], arrays["bn1.weight"])
    save_file({"other.weight": np.zeros(3)}, path)
    component = MODELS["resnet18"]
    for stem, missing in (("keep", r"conv1\.weight"), ("fresh", r"bn1\.\w+")):
        settings = component.Config(weights=str(path), weights_stem=stem)
        with pytest.raises(CheckpointError, match=f"missing: '{missing}'"):
            component.make(settings, CLASSES, (8, 8, 3))


def test_names_in_use(arrays, save_file, tmp_path):
    """DataParallel's prefix, other names for shortcut and head, half precision."""
    path = tmp_path / "weights.safetensors"
    save_file(arrays, path)
    expected = fresh(build(RESNET, path))
    renamed = {
        "module." + name.replace("downsample", "shortcut").replace("fc.", "linear."): array
        for name, array in arrays.items()
    }
    save_file(renamed, path)
    chex.assert_trees_all_equal(fresh(build(RESNET, path)), expected)
    save_file({name: array.astype(np.float16) for name, array in arrays.items()}, path)
    halved = fresh(build(RESNET, path))
    chex.assert_trees_all_equal_shapes_and_dtypes(halved, expected)
    chex.assert_trees_all_close(halved, expected, rtol=1e-3)


def without(arrays):
    del arrays["layer2.0.bn1.weight"]


def renamed(arrays):
    arrays["layer1.0.bn3.weight"] = arrays.pop("layer1.0.bn2.weight")


def added(arrays):
    arrays["aux.weight"] = np.zeros(3)


def misshapen(arrays):
    arrays["conv1.weight"] = np.zeros((4, 3, 7, 7), np.float32)


def with_another_head(arrays):
    arrays["fc.weight"] = np.zeros((1000, 8), np.float32)


def emptied(arrays):
    arrays.clear()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without, r"; missing: 'layer2\.0\.bn1\.weight'$"),
        (
            renamed,
            r"missing: 'layer1\.0\.bn2\.weight' \(nearest: 'layer1\.0\.bn3\.weight'\); "
            r"unexpected: 'layer1\.0\.bn3\.weight' \(nearest: 'layer1\.0\.bn2\.weight'\)$",
        ),
        (added, r"; unexpected: 'aux\.weight'$"),
        (
            misshapen,
            r"another shape: 'conv1\.weight' is \[4, 3, 7, 7\] and must be \[4, 3, 3, 3\]$",
        ),
        (with_another_head, r"\[1000, 8\] and must be \[5, 8\]; weights_head=fresh draws"),
        (emptied, r"missing: 'conv1\.weight', 'bn1\.\w+', 'bn1\.\w+' and \d\d more; "),
    ],
)
def test_a_file_that_does_not_fit_names_what_does_not(change, message, arrays, save_file, tmp_path):
    path = tmp_path / "weights.safetensors"
    change(arrays)
    save_file(arrays, path)
    with pytest.raises(CheckpointError, match=message):
        build(RESNET, path)


def test_files_that_cannot_be_read(tmp_path):
    def refused(name, content, error, message):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(error, match=message):
            build(RESNET, path)

    refused("none.pt", None, CheckpointError, "no such file")
    refused("weights.h5", b"x", ConfigError, r"\.safetensors, \.pt, \.pth, \.bin")
    with pytest.raises(CheckpointError, match=r"none\.pt: No such file"):
        file_digest(tmp_path / "none.pt")
    pytest.importorskip("safetensors")
    refused("weights.safetensors", b"\x10" * 40, CheckpointError, "not a safetensors file")


class Malicious:
    """Unpickling it calls `record`."""

    calls: list[int] = []

    @staticmethod
    def record(number):
        Malicious.calls.append(number)

    def __reduce__(self):
        return Malicious.record, (1,)


def test_nothing_in_a_file_is_run(tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "model.pth"
    for save in (torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))):
        save({"weight": Malicious()}, path)
        with pytest.raises(CheckpointError, match="code in a file is never run"):
            build(RESNET, path)
    assert Malicious.calls == []


def test_state_dicts_of_pytorch(arrays, save_file, tmp_path):
    torch = pytest.importorskip("torch")
    path, other = tmp_path / "weights.pth", tmp_path / "weights.safetensors"
    save_file(arrays, other)
    tensors = {name: torch.tensor(array) for name, array in arrays.items()}
    torch.save({"state_dict": tensors, "epoch": 3}, path)
    chex.assert_trees_all_equal(fresh(build(RESNET, path)), fresh(build(RESNET, other)))
    torch.save({"epoch": 3}, path)
    with pytest.raises(CheckpointError, match="not a state_dict"):
        build(RESNET, path)
    path.write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"weights\.pth"):
        build(RESNET, path)


@pytest.mark.parametrize(
    ("name", "content", "library", "message"),
    [
        ("weights.pt", b"\x80\x02}.", "torch", "install torch to read it"),
        (
            "weights.safetensors",
            b"\x02" + bytes(7) + b"{}",
            "safetensors",
            "install safetensors to read it",
        ),
    ],
)
def test_a_library_that_is_missing(name, content, library, message, tmp_path, monkeypatch):
    (tmp_path / name).write_bytes(content)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(ConfigError, match=message):
        build(RESNET, tmp_path / name)


def test_an_embedding_before_the_head_must_be_fresh():
    component = MODELS["resnet18"]
    settings = component.Config(embedding=16, weights="weights.pt")
    with pytest.raises(ConfigError, match='weights_head = "fresh"'):
        component.make(settings, CLASSES, (8, 8, 3))


TABLE = {"methods": ["finetune"], "dataset": {"name": "digits"}, "scenario": {"name": "class"}}


def test_a_run_is_known_by_the_content_of_its_weights(tmp_path):
    """Networks that are kept from one run to the next are looked up by it."""

    def identity(name, content):
        path = tmp_path / name
        path.write_bytes(content)
        section = {"name": "resnet18", "weights": str(path), "weights_head": "fresh"}
        return model_identity(schema.parse(TABLE | {"model": section}).model)

    first = identity("a.pt", b"one")
    assert first == identity("b.pt", b"one") != identity("a.pt", b"two")
    assert first["weights_head"] == "fresh" and first["name"] == "resnet18"
    plain = schema.parse(TABLE | {"model": {"name": "resnet18"}}).model
    assert model_identity(plain) == schema.plain(plain)
