"""Models per minute: `train_many`, each way of it, against one training after the other.

    python benchmarks/many.py
    python benchmarks/many.py --models resnet20 --count 4 --examples 256 --rounds 1
    python benchmarks/many.py --models mlp small_cnn --how vmap loop single
    python benchmarks/many.py --how vmap loop --devices 4 --count 64

Every model is trained on its own nine tenths of the images, which are random: only time is measured. All ways run in
this process, in alternating rounds after one that is not counted; the tables show medians. The first one is of whole
calls, compilation included: one after the other compiles for every model, `train_many` once. The second one is of the
steps alone, which is what long trainings come to. No compilation cache is used. "single" is the loop as it is where a
machine has one core: one training at a time. With `--devices` the models are spread over so many devices, but those
that are trained one after the other, which stay on the first.
"""

import argparse
import os
import statistics
from unittest.mock import patch

import numpy as np
from step_time import Work, medians, print_machine

SHAPES = {"mlp": (28, 28, 1), "laf_cnn": (28, 28, 1), "small_cnn": (8, 8, 1)}
"""Of all other models: (32, 32, 3)."""
ALONE = "one after the other"
WAYS = ("vmap", "patches", "map", "loop", "auto")
SINGLE = "single"


def works(
    name: str, ways: list[str], options: argparse.Namespace, steps: dict[str, list[float]]
) -> dict[str, Work]:
    """What is timed, by name; `steps` gets the seconds in steps of every run."""
    import jax
    from jax.sharding import AxisType

    from junlearn.engine import side_by_side
    from junlearn.many import train_many
    from junlearn.methods import retrain
    from junlearn.models import MODELS
    from junlearn.train import train
    from junlearn.types import Data, Split

    shape = SHAPES.get(name, (32, 32, 3))
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (options.examples, *shape), dtype=np.uint8)
    y = rng.integers(0, 10, options.examples).astype(np.int32)
    sources = jax.device_put({"train": Data(x, y)})
    model = MODELS[name].make(MODELS[name].Config(), 10, shape)
    config = retrain.Config(epochs=options.epochs, batch_size=options.batch, augment=False)
    kept = options.examples * 9 // 10
    sets = [rng.permutation(options.examples)[:kept] for _ in range(options.count)]
    keys = list(jax.random.split(jax.random.key(0), options.count))
    none = np.zeros(0, int)
    mesh = None
    if options.devices > 1:
        mesh = jax.make_mesh((options.devices,), ("data",), axis_types=(AxisType.Auto,))

    def alone() -> None:
        took = 0.0
        for rows, key in zip(sets, keys, strict=True):
            split = Split(none, rows, none, none)
            took += train(config, model, sources, split, key=key).seconds["run"]
        steps.setdefault(ALONE, []).append(took)

    def together(how: str) -> Work:
        way, loops = ("loop", 1) if how == SINGLE else (how, side_by_side.LOOPS)

        def work() -> None:
            with patch.object(side_by_side, "LOOPS", loops):
                done = train_many(config, model, sources, sets, keys=keys, how=way, mesh=mesh)
            steps.setdefault(how, []).append(done.seconds["run"])
            if how == "auto" and len(steps[how]) == 1:
                figures = ", ".join(f"{h} {s * 1e3:.2f}" for h, s in done.measured.items())
                print(f"{name}: auto took {done.how}; ms for a step of one model: {figures}")

        return work

    return {ALONE: alone, **{how: together(how) for how in ways}}


def print_rates(title: str, count: int, seconds: dict[str, float]) -> None:
    """Models per minute, and how many times as many as one after the other."""
    print(f"\n{title:<28}{'models a minute':>16}{'ratio':>8}")
    for name, took in seconds.items():
        print(f"{name:<28}{60 * count / took:>16.1f}{seconds[ALONE] / took:>8.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description="many models at once, and one after the other")
    parser.add_argument("--models", nargs="+", default=["mlp", "laf_cnn"], metavar="MODEL")
    parser.add_argument("--how", nargs="+", choices=[*WAYS, SINGLE], default=list(WAYS))
    parser.add_argument("--count", type=int, default=8, help="models to train")
    parser.add_argument("--devices", type=int, default=1, help="to spread the models over")
    parser.add_argument("--examples", type=int, default=1024)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print_machine(len(os.sched_getaffinity(0)))
    print(f"{options.count} models, {options.examples} images, batches of {options.batch}")
    for name in options.models:
        steps: dict[str, list[float]] = {}
        totals = medians(works(name, options.how, options, steps), options.rounds)
        print_rates(f"{name}, whole calls", options.count, totals)
        counted = {way: statistics.median(runs[1:]) for way, runs in steps.items()}
        print_rates(f"{name}, steps alone", options.count, counted)


if __name__ == "__main__":
    main()
