"""The smallest audit: networks with eight hidden units on a few dozen images of four classes."""

import io

import numpy as np
from rich.console import Console

from junlearn import audit
from junlearn.models import MODELS
from junlearn.types import Data, Split

CLASSES = 4
METHODS = {"gentle": {"method": "finetune", "epochs": 1, "batch_size": 24}}
OPTIONS = {
    "models": 8,
    "metrics": ("energy", "moments"),
    "permutations": 99,
    "splits": 20,
    "retain_rows": 10,
    "epochs": 2,
    "batch_size": 24,
}


def part(count, seed):
    rng = np.random.default_rng(seed)
    y = np.arange(count) % CLASSES
    shades = np.random.default_rng(9).integers(40, 215, (CLASSES, 4, 4, 1))
    x = shades[y] + rng.integers(-40, 40, (count, 4, 4, 1))
    return Data(x.astype(np.uint8), y)


SOURCES = {"train": part(48, 0), "test": part(16, 1)}
SPLIT = Split(np.arange(8), np.arange(8, 48), np.zeros(0, int), np.arange(16))
COMPONENT = MODELS["mlp"]
MODEL = COMPONENT.make(COMPONENT.Config(hidden=(8,)), CLASSES, (4, 4, 1))


def audited(bank, *, methods=None, split=SPLIT, model=MODEL, **changes):
    """The audit in a bank, and what it said."""
    said = io.StringIO()
    console = Console(file=said, width=400)
    options = OPTIONS | changes
    found = audit.run(
        model, SOURCES, split, methods or METHODS, bank=bank, console=console, **options
    )
    return found, said.getvalue()


def networks(bank):
    """The bytes of every network, by its file's place below the folder of banks."""
    return {p.relative_to(bank).as_posix(): p.read_bytes() for p in bank.rglob("*.npz")}


def folder(bank, kind):
    """The directory of the one bank that has networks of a kind."""
    (found,) = {path.parent for path in bank.glob(f"*/{kind}-*.npz")}
    return found


def made(bank):
    """How often a network was made, by its file."""
    lines = [line for p in bank.rglob("made.jsonl") for line in p.read_text().splitlines()]
    return len(lines)


def numbers(found):
    """What an audit found, without times."""
    fields = ("method", "role", "values", "p", "null", "verdict")
    return [{name: row[name] for name in fields} for row in found.rows]


def logits(count, examples=12, seed=0, shift=0.0):
    """Networks that never were: float32[N,n,K]."""
    rng = np.random.default_rng(seed)
    found = rng.normal(size=(count, examples, CLASSES))
    found[..., 0] += shift
    return found.astype(np.float32)


LABELS = np.zeros(12, int)
