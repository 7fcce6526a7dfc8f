"""Our side of `peers.py`: the original network, and one method of junlearn on it."""

from pathlib import Path

import jax
import numpy as np
from peer_pairs import BATCH, Pair
from peer_problem import Problem

import junlearn
from junlearn.cli import keep_compilations
from junlearn.models import MODELS
from junlearn.models.weight_export import named_arrays
from junlearn.models.weight_files import Entry
from junlearn.models.weights import fit
from junlearn.types import Data, Model, Variables

__all__ = ["Ours", "network", "original"]


def network() -> Model:
    """LAF's CNN."""
    component = MODELS["laf_cnn"]
    return component.make(component.Config(), 10, (28, 28, 1))


def original(problem: Problem, seed: int, epochs: int) -> dict[str, np.ndarray]:
    """Weights, by their names in PyTorch, of the network that is to forget."""
    model = network()
    recipe = {"epochs": epochs, "batch_size": BATCH, "augment": False, "seed": seed}
    trained = junlearn.train(
        model, Data(problem.x, problem.y), key=seed, progress=None, **recipe
    ).variables
    return named_arrays(model, trained)


class Ours:
    """Everything up to the call of the method."""

    versions = ("junlearn", "jax", "jaxlib", "flax", "numpy")
    ends = (junlearn.DivergedError,)
    """With what a call may end that is an answer."""

    def __init__(
        self,
        problem: Problem,
        weights: dict[str, np.ndarray],
        pair: Pair,
        seed: int,
        *,
        cache: Path,
        tiny: bool,
    ) -> None:
        keep_compilations(str(cache))
        self.model, self.pair, self.seed = network(), pair, seed
        self.fields = {**pair.fields, **(pair.tiny if tiny else {})}
        self.problem = problem
        drawn = jax.eval_shape(self.model.init, jax.random.key(0), self.model.example({}))
        entries = {name: Entry(a.shape, str(a.dtype), a) for name, a in weights.items()}
        self.before = jax.device_put(
            fit(entries, self.model.tables, drawn, "the weights do not fit the network")
        )
        sources = {
            "train": Data(problem.x, problem.y),
            "test": Data(problem.test_x, problem.test_y),
        }
        self.sources = jax.device_put(sources)
        whole = (
            {"classes": list(problem.classes)} if problem.classes else {"forget": problem.forget}
        )
        self.split = junlearn.split_off(self.sources, **whole)

    def run(self, number: int) -> Variables:
        """Call `number` of the method."""
        done = junlearn.unlearn(
            *(self.model, self.before, self.sources, self.split),
            method=self.pair.ours,
            key=self.seed + number,
            seed=self.seed + number,
            progress=None,
            **self.fields,
        )
        return jax.block_until_ready(done.variables)

    def logits(self, variables: Variables | None, x: np.ndarray) -> np.ndarray:
        """Of images, under `variables` or (None) the original network."""
        apply = jax.jit(lambda variables, x: self.model.apply(variables, x)[0])
        used = self.before if variables is None else variables
        parts = [x[start : start + 1_000] for start in range(0, len(x), 1_000)]
        return np.concatenate([np.asarray(apply(used, part / np.float32(255))) for part in parts])
