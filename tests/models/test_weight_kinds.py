"""Files that are no weights, or damaged: one line that says what they are and what to do."""

import io
import json
import os
import random
import struct
import tarfile
import zipfile

import jax
import numpy as np
import pytest

from junlearn.errors import CheckpointError, ConfigError, JunlearnError
from junlearn.models.resnet import weight_names
from junlearn.models.weight_files import read_entries
from junlearn.models.weight_kinds import kind_of
from junlearn.models.weights import load_weights
from tests.weight_cases import RESNET, SMALL_RESNET, build, images, resnet_arrays


def zipped(**files):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items():
            # Without the time, which stands in the names of tests: all workers must find the same ones.
            archive.writestr(zipfile.ZipInfo(name.replace("__", "/")), data)
    return content.getvalue()


def tarred():
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("tensors"))
    return content.getvalue()


def npz():
    content = io.BytesIO()
    np.savez(content, a=np.ones(3))
    return content.getvalue()


def safetensors(word, shape=(2, 4), names=("a",)):
    """A whole file of zeros whose header names the kind of numbers `word`."""
    bits = int("".join(c for c in word.split("_")[0] if c.isdigit()) or 8)
    size = int(np.prod(shape)) * bits // 8
    header = {
        name: {"dtype": word, "shape": shape, "data_offsets": [size * i, size * (i + 1)]}
        for i, name in enumerate(names)
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + bytes(size * len(names))


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
TORCHSCRIPT = zipped(net__data__pkl=b"", net__constants=b"")
OTHERS = {
    "empty.pt": (b"", "an empty file"),
    "empty.safetensors": (b"", "an empty file"),
    "zeros.pt": (bytes(4096), "a file of zeros"),
    "zeros.safetensors": (bytes(4096), "a file of zeros"),
    "pointer.pt": (LFS, "git lfs pull"),
    "pointer.safetensors": (LFS, "git lfs pull"),
    "page.pt": (b"<!DOCTYPE html>\n<html><body>Sign in</body></html>", "a web page"),
    "page.bin": ("\ufeff  <html>".encode(), "a web page"),
    "denied.safetensors": (
        b"<?xml version='1.0'?><Error>AccessDenied</Error>",
        "a web page or XML",
    ),
    "error.pth": (b'{"error": "Repository not found"}', "JSON"),
    "config.bin": (b'{\n  "hidden_size": 768\n}\n', "JSON"),
    "model.safetensors.index.json": (b'{"weight_map": {}}', "several files.*max_shard_size"),
    "notes.pt": (b"epoch 3, accuracy 91.2 %\n", r"text, not weights \('epoch 3"),
    "umlaut.pt": ("Gewichte für später\n".encode() * 50, "text, not weights"),
    "notes.txt": (b"hello", "text, not weights"),
    "list.pt": (b"[1, 2, 3]", "JSON"),
    "old.pth.tar": (tarred(), "a tar archive"),
    "old.pt": (tarred(), "a tar archive"),
    "packed.pt": (b"\x1f\x8b\x08" + bytes(60), "gzip"),
    "packed.pth": (b"BZh91AY&SY" + bytes(60), "bzip2"),
    "scripted.pt": (
        zipped(net__constants=b"", **{"net__data.pkl": b"", "net__constants.pkl": b""}),
        r"a TorchScript program.*torch\.jit\.load",
    ),
    "scripted.pth": (
        zipped(**{"net__code____torch__.py": b"", "net__data.pkl": b""}),
        "TorchScript",
    ),
    "images.pt": (zipped(**{"a.png": b"", "b.png": b""}), "without PyTorch's data.pkl"),
    "cut.pt": (zipped(**{"net__data.pkl": bytes(900)})[:600], "damaged or was cut off"),
    "picture.pt": (b"\x89PNG\r\n\x1a\n" + bytes(60), "an image"),
    "keras.pt": (b"\x89HDF\r\n\x1a\n" + bytes(60), "HDF5"),
    "one.pt": (b"\x93NUMPY\x01\x00" + bytes(60), "a single numpy array"),
    "llama.bin": (b"GGUF\x03\x00\x00\x00" + bytes(60), "GGUF"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_no_file_of_weights(name, tmp_path):
    content, message = OTHERS[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as caught:
        read_entries(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *(("net.npz", npz()), ("net.pt", npz()), ("net.npy", b"\x93NUMPY"), ("net.h5", b"x")),
        *(("net.msgpack", b"\x81\xa6params"), ("net.onnx", b"\x08\x07\x12\x07pytorch")),
        *(("net.pb", b"\x0a\x0b"), ("net.tflite", b"\x1c\0\0\0TFL3"), ("net.keras", b"PK")),
        *(("net.weird", b"\x01\x02\x03\x04" * 9), ("net", b"\xfe\xfd" * 20)),
    ],
)
def test_files_of_other_programs(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=r"\.safetensors, \.pt, \.pth, \.bin|numpy") as caught:
        read_entries(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_places_that_are_no_files(tmp_path):
    folder = tmp_path / "vit-base"
    folder.mkdir()
    with pytest.raises(CheckpointError, match="this is a directory, a file is needed"):
        read_entries(folder)
    (folder / "model.safetensors").write_bytes(b"")
    (folder / "config.json").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"directory; name a file in it: model\.safetensors$"):
        read_entries(folder)
    os.mkfifo(tmp_path / "pipe.pt")
    (tmp_path / "gone.pt").symlink_to("nowhere.pt")
    for name in ("pipe.pt", "gone.pt", "none.pt"):
        with pytest.raises(CheckpointError, match="no such file"):
            read_entries(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("weights.safetensors", safetensors("F32"), "safetensors"),
        ("misnamed.pt", safetensors("F32"), "safetensors"),
        ("no-suffix", safetensors("F32"), "safetensors"),
        ("weights.pt", zipped(**{"archive__data.pkl": b""}), "torch"),
        ("last.ckpt", zipped(**{"archive__data.pkl": b""}), "torch"),
        ("misnamed.safetensors", zipped(**{"archive__data.pkl": b""}), "torch"),
        ("checkpoint.pth.tar", b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", "torch"),
    ],
)
def test_a_file_is_known_by_its_content(name, content, kind, tmp_path):
    (tmp_path / name).write_bytes(content)
    assert kind_of(tmp_path / name) == kind


@pytest.fixture(scope="module")
def installed():
    pytest.importorskip("safetensors")


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        *(("F8_E4M3", "float8_e4m3"), ("F8_E5M2", "float8_e5m2"), ("F8_E8M0", "float8_e8m0")),
        *(("F4", "float4"), ("I8", "int8"), ("U8", "uint8"), ("U16", "uint16"), ("I64", "int64")),
        *(("C64", "complex64"), ("BOOL", "bool"), ("F6_E2M3", "float6_e2m3")),
    ],
)
def test_kinds_of_numbers_in_safetensors(word, kind, tmp_path, installed):
    """They are read as what they are, and refused only where the network wants them."""
    path = tmp_path / "weights.safetensors"
    path.write_bytes(safetensors(word, names=("a", "b")))
    found = read_entries(path)
    assert found.keys() == {"a", "b"} and found["a"].kind == kind and found["a"].value is None


@pytest.fixture
def whole(installed, tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "weights.safetensors"
    save_file(resnet_arrays(), path)
    return path


@pytest.mark.parametrize("seed", range(40))
def test_damaged_safetensors(seed, whole):
    """Cut off, overwritten, lengthened: refused in one line, or what was damaged are numbers alone."""
    rng = random.Random(seed)
    content = bytearray(whole.read_bytes())
    header = 8 + int.from_bytes(content[:8], "little")
    how = seed % 4
    if how == 0:
        content = content[: rng.randrange(len(content))]
    elif how == 1:
        content[rng.randrange(header)] = rng.randrange(256)
    elif how == 2:
        start = rng.randrange(header)
        content[start : start + 20] = rng.randbytes(20)
    else:
        content += rng.randbytes(rng.randrange(1, 99))
    whole.write_bytes(bytes(content))
    drawn = jax.eval_shape(build(RESNET).init, jax.random.key(0), images(1, RESNET.shape))
    try:
        load_weights(whole, weight_names(SMALL_RESNET), drawn)
    except JunlearnError as error:
        assert "\n" not in str(error) and str(whole) in str(error)
    else:
        assert how in (1, 2)
