"""What does not fit between a file of weights and a network, said on one line, with what to do about it."""

import difflib
import math
from collections.abc import Collection, Mapping
from fnmatch import fnmatch
from itertools import permutations
from typing import NamedTuple

from junlearn.models.weight_files import Entry

__all__ = ["Misfit", "complaint"]

NAMED = 3
"""Names of one kind of mistake that an error spells out."""

AXES = ("output", "input", "height", "width")
"""Those of a convolution's weight in PyTorch."""

REWRITTEN = {
    "*.weight_g": "weight normalisation: remove it first, torch.nn.utils.remove_weight_norm(layer)",
    "*.weight_orig": "pruning or spectral normalisation: first torch.nn.utils.prune.remove(layer, 'weight')",
    "*.parametrizations.*": "parametrised layers: first "
    "torch.nn.utils.parametrize.remove_parametrizations(layer, 'weight')",
    "*_packed_params*": "a quantised network: save it before it is quantised",
    "*.zero_point": "a quantised network: save it before it is quantised",
    "*.weight_scale*": "a quantised network: save it before it is quantised",
    "*.weight.absmax": "a quantised network: save it before it is quantised",
    "*lora_A*": "LoRA layers beside the weights: first model = model.merge_and_unload()",
}
"""Names of layers that are something else in the file than what they compute, and what to do before saving."""


KINDS = {
    "meta": "the file has no numbers: save the network after its weights were loaded",
    "sparse": "save tensor.to_dense()",
    "nested": "save plain tensors",
    "complex": "the network computes with real numbers",
    "float": "save tensor.float(), times its scale where it has one",
    "": "quantised or whole numbers are no weights: save the network before it is quantised",
}
"""Beginnings of kinds that no network starts from, and what to do."""


class Misfit(NamedTuple):
    """All that does not fit, of each kind a list."""

    missing: list[str]
    shapes: list[tuple[str, tuple[int, ...], tuple[int, ...]]]
    """Name, shape in the file, shape that the network needs."""
    kinds: list[tuple[str, str]]
    """Name, and the kind of numbers in the place of floating-point ones."""
    values: list[str]
    """Name, and what is wrong with the numbers."""
    unexpected: list[str]


def complaint(misfit: Misfit, entries: Mapping[str, Entry]) -> str:
    """The line; what is missing and what is left over point at each other. `entries` are the arrays of the file."""

    def nearest(name: str, others: list[str]) -> str:
        near = difflib.get_close_matches(name, others, n=1)
        return f"{name!r} (nearest: {near[0]!r})" if near else repr(name)

    kinds = {
        "missing": [nearest(name, misfit.unexpected) for name in misfit.missing],
        "of another shape": [
            f"{name!r} is {list(shape)} and must be {list(needed)}{_turned(shape, needed)}"
            for name, shape, needed in misfit.shapes
        ],
        "of another kind": [f"{name!r} is {kind}" for name, kind in misfit.kinds],
        "with numbers that no training gives": misfit.values,
        "unexpected": [nearest(name, misfit.missing) for name in misfit.unexpected],
    }
    parts = [
        f"{kind}: {', '.join(texts[:NAMED])}"
        + (f" and {len(texts) - NAMED} more" if len(texts) > NAMED else "")
        for kind, texts in kinds.items()
        if texts
    ]
    return "; ".join(part for part in (*parts, _remedy(misfit, entries)) if part)


def _remedy(misfit: Misfit, entries: Mapping[str, Entry]) -> str:
    """What to do, where that can be said."""
    if misfit.kinds:
        _, kind = misfit.kinds[0]
        return next(text for start, text in KINDS.items() if kind.startswith(start))
    found = _normaliser(entries, misfit.unexpected) or _rewritten(misfit.unexpected)
    tops = {name.partition(".")[0] for name in misfit.unexpected}
    if found or len(misfit.unexpected) < 2 or len(tops) > 1 or misfit.missing or misfit.shapes:
        return found
    return (
        f"the network has no {tops.pop()!r}: leave these out, "
        "torch.save({k: v for k, v in state.items() if k not in EXTRA}, 'weights.pt')"
    )


def _turned(shape: tuple[int, ...], needed: tuple[int, ...]) -> str:
    """How the same axes are in another order, or the same numbers in another shape."""
    if len(shape) == len(needed) == 2 and shape == needed[::-1]:
        return " (it is transposed: save weight.T)"
    orders = [o for o in permutations(range(len(shape))) if tuple(shape[i] for i in o) == needed]
    if len(shape) == len(needed) == 4 and orders:
        # That of TensorFlow and Flax, height, width, input, output, where the sizes leave a choice.
        order = (3, 2, 0, 1) if (3, 2, 0, 1) in orders else orders[0]
        return f" (the axes are in another order: save weight.permute{order}, {', '.join(AXES)})"
    if shape != needed and math.prod(shape) == math.prod(needed):
        return f" (as many numbers: save weight.reshape{needed}, if their order is the same)"
    return ""


def _normaliser(entries: Mapping[str, Entry], unexpected: Collection[str]) -> str:
    """What to do about a layer that normalises the images, if one left its mean and deviation among `unexpected`."""
    statistics = {}
    for name in unexpected:
        last = name.rpartition(".")[2].strip("_").removeprefix("pixel_").removeprefix("image_")
        value = entries[name].value
        for kind, words in (("mean", ("mean", "mu")), ("std", ("std", "sigma", "stdev"))):
            if last in words and value is not None and value.size in (1, 3):
                statistics[kind] = (name, [round(float(v), 6) for v in value.ravel()])
    if len(statistics) < 2:
        return ""
    names = " and ".join(repr(name) for name, _ in statistics.values())
    values = " and ".join(f"dataset.{kind} = {values}" for kind, (_, values) in statistics.items())
    return (
        f"{names} are of a layer that normalises the images, which here the dataset does: "
        f"set {values}, and save the network without that layer"
    )


def _rewritten(unexpected: Collection[str]) -> str:
    """What to do before saving, where layers were rewritten."""
    for pattern, remedy in REWRITTEN.items():
        if any(fnmatch(name, pattern) for name in unexpected):
            return f"the file is of {remedy}"
    return ""
