"""One whole unlearning run against PyTorch, and what the driver costs beside the bare step.

    python benchmarks/unlearning_run.py

The run is random relabelling (adam 1e-4, batch 128, one epoch) of the MNIST CNN on 12,800 uint8 images of which a tenth
is forgotten: relabel, shuffle, gather and scale the batches, step, collect the metrics. "whole run" is everything from
the call to the weights, in JAX with compilation (from the compilation cache, as in the second run on a machine). The
last line is the time that the driver itself takes for a step (dispatch, index rows, metrics), from a run whose steps do
nothing else. Set OMP_WAIT_POLICY=passive as for step_time.py.
"""

import argparse
import os
import tempfile

import numpy as np
from step_time import Case, Work, compare, print_machine, print_table

IMAGES, BATCH, FORGET = 12_800, 128, 1_280


def images() -> tuple[np.ndarray, np.ndarray]:
    """Random uint8 images [N,28,28,1] and labels [N]; only time is measured."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (IMAGES, 28, 28, 1), dtype=np.uint8)
    return x, rng.integers(0, 10, IMAGES).astype(np.int32)


def problem():  # type: ignore[no-untyped-def]
    import jax

    from junlearn import Data
    from junlearn.models import MODELS

    component = MODELS["laf_cnn"]
    model = component.make(component.Config(), 10, (28, 28, 1))
    data = jax.device_put(Data(*images()))
    return model, model.fresh(jax.random.key(0), {"train": data}), data


def jax_run() -> Work:
    import jax

    import junlearn

    model, variables, data = problem()

    def work() -> None:
        junlearn.unlearn(
            *(model, variables, data, np.arange(FORGET)),
            method="random_labels",
            key=jax.random.key(1),
            epochs=1,
            batch_size=BATCH,
        )

    return work


def torch_run() -> Work:
    import torch
    from torch_models import LafCnn

    torch.manual_seed(0)
    original = LafCnn().state_dict()
    x, y = (torch.from_numpy(a) for a in images())
    x = x.permute(0, 3, 1, 2).contiguous()

    def work() -> None:
        module = LafCnn()
        module.load_state_dict(original)
        update = torch.optim.Adam(module.parameters(), 1e-4)
        labels = y.long().clone()
        draws = torch.randint(9, (FORGET,))
        labels[:FORGET] = draws + (draws >= labels[:FORGET])
        order = torch.randperm(IMAGES)
        for rows in order.split(BATCH):
            update.zero_grad()
            logits = module(x[rows].float() / 255)
            torch.nn.functional.cross_entropy(logits, labels[rows]).backward()
            update.step()

    return work


def driver_overhead(steps: int) -> float:
    """Seconds that the driver itself takes for a step: a run whose steps only count."""
    import jax
    import jax.numpy as jnp

    import junlearn
    from junlearn.parts import feeds

    model, variables, data = problem()
    split = junlearn.split_off(data, np.arange(FORGET))

    def init(key, variables, sources, split):  # type: ignore[no-untyped-def]
        return jnp.zeros((), jnp.int32)

    def step(state, batch):  # type: ignore[no-untyped-def]
        return state + 1, {"loss": state.astype(jnp.float32), "accuracy": jnp.float32(1)}

    stage = junlearn.Stage(
        "count",
        step,
        lambda rng, state: feeds.shuffled(rng, np.arange(IMAGES), BATCH),
        steps * BATCH // IMAGES,
    )
    method = junlearn.Method(init, lambda split: [stage], lambda state: variables)
    done = junlearn.run(method, model, variables, {"train": data}, split, key=jax.random.key(0))
    return done.seconds["run"] / steps


def main() -> None:
    parser = argparse.ArgumentParser(description="one whole unlearning run, JAX against PyTorch")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    threads = len(os.sched_getaffinity(0))
    import jax
    import torch

    torch.set_num_threads(threads)
    print_machine(threads)
    with tempfile.TemporaryDirectory() as cache:
        jax.config.update("jax_compilation_cache_dir", cache)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        whole = Case(name="whole run, 100 steps", jax=jax_run, torch=torch_run)
        print_table(compare([whole], arguments.rounds))
        steps = 5_000
        print(f"driver: {driver_overhead(steps) * 1e6:.0f} us a step, over {steps:,} empty steps")


if __name__ == "__main__":
    main()
