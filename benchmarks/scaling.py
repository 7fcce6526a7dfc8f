"""Scaling of training: time against the number of examples, batch size, width of the network and number of devices.

    python benchmarks/scaling.py --output scaling
    python benchmarks/scaling.py --output scaling --axes examples devices --rounds 5

Every point is one epoch of training (adam) on random images, run by `junlearn.engine.run`: the seconds of its steps,
the median over rounds, with compilation apart. The rounds alternate, so that a change in the machine's load meets all
points. Each axis becomes a CSV file in the folder `--output`, and all of them a picture, `scaling.png`.

The devices are simulated (`--xla_force_host_platform_device_count`), a process of its own for each number: they share
the cores of this machine, so the panel shows what spreading a batch costs, not what it gains.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator
from report import markdown, write_csv
from step_time import print_machine

from junlearn.methods import retrain
from junlearn.models import MODELS
from junlearn.train import train
from junlearn.types import Data

__all__ = ["AXES", "MODEL_WIDTHS", "Case", "Point", "cases", "measure", "picture", "slope", "table"]

MODEL_WIDTHS = {
    "laf_cnn": lambda width: {"channels": (width, 2 * width)},
    "mlp": lambda width: {"hidden": (4 * width, 4 * width)},
}
"""The configuration of a network by its width: the channels of the first convolution, or a quarter of the neurons."""
AXES = {
    "examples": (500, 1_000, 2_000, 4_000, 8_000, 16_000),
    "batch": (16, 32, 64, 128, 256, 512),
    "width": (4, 8, 16, 32, 64),
    "devices": (1, 2, 4),
}
FIXED = {"width": {"examples": 1_024}}
"""What an axis has other than the defaults: wide networks are slow, and no two axes share a compiled program."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One epoch of training."""

    examples: int = 2_048
    batch: int = 128
    """Over all devices together."""
    width: int = 16
    devices: int = 1
    model: str = "laf_cnn"
    side: int = 28
    """Pixels of an image's side."""


@dataclass(frozen=True, kw_only=True)
class Point(Case):
    """What an epoch took."""

    parameters: int
    steps: int
    compile: float
    """Seconds, in the first round."""
    epoch: float
    """Seconds in the steps of the epoch."""

    @property
    def per_example(self) -> float:
        """Microseconds."""
        return 1e6 * self.epoch / self.examples


def cases(axis: str, scale: float = 1.0, **common: Any) -> list[Case]:
    """The cases along an axis; `scale` multiplies the numbers of examples."""
    points = [Case(**common | FIXED.get(axis, {}) | {axis: value}) for value in AXES[axis]]
    return [replace(point, examples=max(round(scale * point.examples), 1)) for point in points]


def measure(points: Sequence[Case], rounds: int) -> list[Point]:
    """Train every case `rounds` times, in alternating rounds, on devices of this process."""
    seconds: list[list[dict[str, float]]] = [[] for _ in points]
    sizes, steps = {}, {}
    for _ in range(rounds):
        for number, case in enumerate(points):
            result = _train(case)
            seconds[number].append(result.seconds)
            sizes[number] = sum(leaf.size for leaf in jax.tree.leaves(result.variables.params))
            steps[number] = result.history[0]["steps"]
    return [
        Point(
            **asdict(case),
            parameters=sizes[number],
            steps=steps[number],
            compile=seconds[number][0]["compile"],
            epoch=statistics.median(times["run"] for times in seconds[number]),
        )
        for number, case in enumerate(points)
    ]


def _train(case: Case) -> Any:
    shape = (case.side, case.side, 1)
    component = MODELS[case.model]
    config = component.Config(**MODEL_WIDTHS[case.model](case.width))
    model = component.make(config, 10, shape)
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (case.examples, *shape), dtype=np.uint8)
    data = Data(x, rng.integers(0, 10, case.examples).astype(np.int32))
    mesh = None
    if case.devices > 1:
        mesh = jax.make_mesh((case.devices,), ("data",), axis_types=(AxisType.Auto,))
    recipe = retrain.Config(epochs=1, batch_size=case.batch)
    return train(recipe, model, {"train": data}, key=jax.random.key(0), mesh=mesh)


def measure_apart(points: Sequence[Case], rounds: int) -> list[Point]:
    """The same on simulated devices, in a process for each case."""
    found = []
    for case in points:
        flags = f"--xla_force_host_platform_device_count={case.devices}"
        environment = os.environ | {
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip(),
        }
        command = [sys.executable, __file__, "--rounds", str(rounds)]
        child = subprocess.run(
            [*command, "--child", json.dumps(asdict(case))],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        found.append(Point(**json.loads(child.stdout.splitlines()[-1])))
    return found


def slope(points: Sequence[Point]) -> float:
    """The exponent p in seconds ~ examples^p, fitted to the logarithms; 1 is linear."""
    examples, seconds = ([getattr(p, name) for p in points] for name in ("examples", "epoch"))
    return float(np.polyfit(np.log(examples), np.log(seconds), 1)[0])


def table(axis: str, points: Sequence[Point]) -> str:
    """The points along an axis in Markdown."""
    rows = [
        [
            f"{getattr(point, axis):,}",
            f"{point.parameters:,}",
            f"{point.steps:,}",
            f"{point.compile:.1f}",
            f"{point.epoch:.2f}",
            f"{point.per_example:.0f}",
        ]
        for point in points
    ]
    header = [axis, "parameters", "steps", "compile s", "epoch s", "µs an example"]
    return markdown(header, rows)


def picture(found: dict[str, list[Point]]) -> Figure:
    """A panel for each axis that was measured."""
    panels = {"examples": _examples, "batch": _batch, "width": _width, "devices": _devices}
    shown = [axis for axis in panels if axis in found]
    columns = min(2, len(shown))
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(4.6 * columns, 3.4 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axis in grid.flat[len(shown) :]:
        axis.set_visible(False)
    for axis, name in zip(grid.flat, shown, strict=False):
        panels[name](axis, found[name])
    first = found[shown[0]][0]
    figure.suptitle(f"One epoch of training, {first.model}, {jax.devices()[0].device_kind}")
    return figure


def _examples(axis: Axes, points: Sequence[Point]) -> None:
    sizes = [point.examples for point in points]
    last = points[-1]
    line = [last.epoch * size / last.examples for size in sizes]
    axis.loglog(sizes, line, color="grey", linestyle="--", label="slope 1")
    axis.loglog(sizes, [p.epoch for p in points], marker="o", label=f"slope {slope(points):.2f}")
    _ticks(axis, sizes)
    axis.set_title(f"batches of {last.batch}", fontsize="medium")
    axis.set_xlabel("examples")
    _plain(axis)
    axis.set_ylabel("seconds")
    axis.legend(fontsize="small")


def _batch(axis: Axes, points: Sequence[Point]) -> None:
    sizes = [point.batch for point in points]
    axis.semilogx(sizes, [point.per_example for point in points], marker="o")
    _ticks(axis, sizes)
    axis.set_ylim(0, 1.1 * max(point.per_example for point in points))
    axis.set_title(f"{points[0].examples:,} examples", fontsize="medium")
    axis.set_xlabel("batch size")
    axis.set_ylabel("µs an example")


def _width(axis: Axes, points: Sequence[Point]) -> None:
    widths = [point.width for point in points]
    axis.loglog(widths, [point.epoch for point in points], marker="o")
    _ticks(axis, widths)
    axis.set_title(f"{points[0].examples:,} examples", fontsize="medium")
    unit = " (channels of the first layer)" if points[0].model == "laf_cnn" else ""
    axis.set_xlabel(f"width{unit}")
    _plain(axis)
    axis.set_ylabel("seconds")


def _devices(axis: Axes, points: Sequence[Point]) -> None:
    places = range(len(points))
    axis.bar(places, [point.epoch for point in points], 0.5)
    axis.set_xticks(places, [str(point.devices) for point in points])
    axis.set_title("simulated devices share the cores:\noverhead, no speed-up", fontsize="medium")
    axis.set_xlabel(f"devices, batches of {points[0].batch} in all")
    axis.set_ylabel("seconds")


def _ticks(axis: Axes, values: Sequence[int]) -> None:
    axis.set_xticks(values, [f"{value:,}" for value in values], fontsize="small")
    axis.xaxis.set_minor_locator(NullLocator())


def _plain(axis: Axes) -> None:
    """Numbers such as 0.2 beside a logarithmic axis of seconds, at 1, 2 and 5 of each decade."""
    formatter = FuncFormatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "125" else "")
    axis.yaxis.set_major_formatter(formatter)
    axis.yaxis.set_minor_formatter(formatter)


def main() -> None:
    parser = argparse.ArgumentParser(description="time of an epoch along four axes")
    parser.add_argument("--output", type=Path, default=Path("scaling"), help="folder")
    parser.add_argument("--axes", nargs="+", choices=list(AXES), default=list(AXES))
    parser.add_argument("--model", choices=list(MODEL_WIDTHS), default="laf_cnn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of examples")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as compiled:
        jax.config.update("jax_compilation_cache_dir", compiled)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        if arguments.child is not None:
            case = Case(**json.loads(arguments.child))
            print(json.dumps(asdict(measure([case], arguments.rounds)[0])))
            return
        print_machine(len(os.sched_getaffinity(0)))
        found = {}
        for axis in arguments.axes:
            points = cases(axis, arguments.scale, model=arguments.model)
            how = measure_apart if axis == "devices" else measure
            found[axis] = how(points, arguments.rounds)
            print(f"\n{table(axis, found[axis])}", flush=True)
            if axis == "examples":
                print(f"\nseconds ~ examples^{slope(found[axis]):.3f}")
            write_csv(arguments.output / f"{axis}.csv", found[axis])
    path = arguments.output / "scaling.png"
    picture(found).savefig(path, dpi=120, bbox_inches="tight")
    print(f"\n{path}")


if __name__ == "__main__":
    main()
