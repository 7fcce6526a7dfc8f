"""One whole unlearning run against PyTorch, and what the driver costs beside the bare step.

    python benchmarks/unlearning_run.py

The run is random relabelling (adam 1e-4, batch 128, one epoch) of the MNIST CNN on 12,800 uint8 images of which a tenth
is forgotten: relabel, shuffle, gather and scale the batches, step, collect the metrics. "whole run" is everything from
the call to the weights, in JAX with compilation (from the compilation cache, as in the second run on a machine);
"steps" is the time in the steps alone. The last table compares the driver's time a step with that of a plain Python
loop over the same compiled step and the same batches. Set OMP_WAIT_POLICY=passive as for step_time.py.
"""

import argparse
import os
import statistics
import tempfile
import time

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


def driver_overhead(rounds: int) -> list[tuple[float, float]]:
    """(driver, bare loop) in seconds a step, in alternating rounds."""
    import jax

    import junlearn
    from junlearn import batches
    from junlearn.methods import random_labels

    model, variables, data = problem()
    config = random_labels.Config(epochs=1, batch_size=BATCH)
    method = random_labels.make(config, model)
    split = junlearn.split_off(data, np.arange(FORGET))
    (stage,) = method.plan(split)
    sources, key = {"train": data}, jax.random.key(2)

    def fresh():  # type: ignore[no-untyped-def]
        return jax.tree.map(jax.numpy.array, method.init(key, variables, sources, split))

    spec, rows = batches.specify(stage.feed(np.random.default_rng(0), fresh()))
    (index, mask), *_ = rows

    def step(state, index, mask):  # type: ignore[no-untyped-def]
        batch = batches.gather(spec, [(index, mask)], sources, batches.PLAIN_VIEWS, key)
        return stage.step(state, batch)

    compiled = jax.jit(step, donate_argnums=0)
    pairs = []
    for number in range(rounds + 1):
        done = junlearn.run(method, model, variables, sources, split, key=key)
        state, collected = fresh(), []
        jax.block_until_ready(state)
        began = time.perf_counter()
        for t in range(len(index)):
            state, metrics = compiled(state, index[t], mask[t])
            collected.append(metrics)
        jax.block_until_ready(state)
        bare = time.perf_counter() - began
        if number > 0:
            pairs.append((done.seconds["run"] / len(index), bare / len(index)))
    return pairs


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
        pairs = driver_overhead(arguments.rounds)
    ratios = [driver / bare for driver, bare in pairs]
    driver, bare = (statistics.median(values) for values in zip(*pairs, strict=True))
    print(
        f"a step: {driver * 1e3:.1f} ms in the driver, {bare * 1e3:.1f} ms in a bare loop, "
        f"median of the ratios {statistics.median(ratios):.3f} "
        f"({min(ratios):.3f} to {max(ratios):.3f})"
    )


if __name__ == "__main__":
    main()
