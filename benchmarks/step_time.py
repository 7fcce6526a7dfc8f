"""Time of one training step, JAX against PyTorch, on the same machine and threads.

    python benchmarks/step_time.py
    python benchmarks/step_time.py --loop scan --cases mnist-cnn-b128 --rounds 7
    python benchmarks/step_time.py --loop scan --precision bfloat16 --compiled --channels-last

Both libraries run in this process, one after the other, in alternating rounds, so that a change in the
machine's load meets both; the table shows the medians over the rounds and their ratio. PyTorch's
threads busy-wait between operations: on a machine that others use as well, set OMP_WAIT_POLICY=passive
for a fair figure. The data is random: only time is measured. A case is a pair of functions that each
do one unit of work; other scripts can give `compare` cases of their own. PyTorch computes on the GPU
where it sees one, and every timing waits for the device.

The precision is the same on both sides:

    default    each library as it comes: on a GPU JAX multiplies in TF32, PyTorch convolves in TF32 and
               multiplies matrices in float32
    float32    products of float32 numbers are exact: JAX's "highest"; PyTorch with allow_tf32 off
    tf32       JAX's "default"; PyTorch with allow_tf32 on, for matrices and convolutions
    bfloat16   networks compute in bfloat16 with float32 parameters: `junlearn.engine.precision` in JAX,
               autocast in PyTorch; what is left in float32 as in tf32

A CPU computes float32 exactly in any case.
"""

import argparse
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = [
    "PRECISIONS",
    "Case",
    "Timing",
    "Work",
    "compare",
    "jax_steps",
    "medians",
    "print_machine",
    "print_table",
    "processor",
    "torch_steps",
]

Work = Callable[[], None]
PRECISIONS = ("default", "float32", "tf32", "bfloat16")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One thing that both libraries do."""

    name: str
    jax: Callable[[], Work]
    """Builds and compiles what is timed; the function it returns does the work and waits for its end."""
    torch: Callable[[], Work]
    units: int = 1
    """Steps in one call of the work; the table shows the time of one."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Median seconds of a unit."""

    name: str
    jax: float
    torch: float

    @property
    def ratio(self) -> float:
        """How many times as long JAX takes."""
        return self.jax / self.torch


def medians(work: Mapping[str, Work], rounds: int = 5) -> dict[str, float]:
    """Median seconds of each in `rounds` alternating rounds, after one of each that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for number in range(rounds + 1):
        for name, run in work.items():
            start = time.perf_counter()
            run()
            if number > 0:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def compare(cases: Sequence[Case], rounds: int = 5) -> list[Timing]:
    """Time both sides of every case."""
    timings = []
    for case in cases:
        measured = medians({"jax": case.jax(), "torch": case.torch()}, rounds)
        units = {library: seconds / case.units for library, seconds in measured.items()}
        timings.append(Timing(name=case.name, **units))
    return timings


def print_table(timings: Sequence[Timing]) -> None:
    print(f"{'case':<24}{'JAX ms':>10}{'PyTorch ms':>12}{'ratio':>8}")
    for timing in timings:
        print(
            f"{timing.name:<24}{timing.jax * 1e3:>10.1f}{timing.torch * 1e3:>12.1f}"
            f"{timing.ratio:>8.2f}"
        )


def step_case(
    name: str,
    *,
    model: str,
    input_shape: tuple[int, int, int],
    batch: int,
    optimizer: str,
    steps: int,
    loop: str,
    precision: str = "default",
    **torch_options: bool,
) -> Case:
    """One training step of a registered model: cross entropy, gradient, optimiser update."""
    work = (model, input_shape, batch, optimizer, steps)
    return Case(
        name=name,
        jax=lambda: jax_steps(*work, loop, precision),
        torch=lambda: torch_steps(*work, precision, **torch_options),
        units=steps,
    )


def jax_steps(
    name: str,
    input_shape: tuple[int, int, int],
    batch: int,
    optimizer: str,
    steps: int,
    loop: str,
    precision: str = "default",
) -> Work:
    """`steps` training steps, compiled as the engine does: a donated step in a Python loop, or one `lax.scan`."""
    import jax
    import jax.numpy as jnp
    import optax

    from junlearn.compiler import jitted
    from junlearn.engine.precision import in_precision, matmuls
    from junlearn.models import MODELS

    component = MODELS[name]
    model = component.make(component.Config(), 10, input_shape)
    model = in_precision(model, "bfloat16" if precision == "bfloat16" else "float32")
    products = "highest" if precision == "float32" else "default"
    tx = optax.adam(1e-4) if optimizer == "adam" else optax.sgd(0.01, momentum=0.9)
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (batch * math.prod(input_shape),)).reshape(batch, *input_shape)
    y = jax.random.randint(keys[1], (batch,), 0, 10)
    rows = (x, y, jnp.ones(batch, bool))
    variables = jax.jit(model.init)(keys[2], x[:1])

    def step(state, rows):
        variables, opt_state = state
        x, y, mask = rows

        def loss(params):
            logits, _, stats = model.apply(
                variables._replace(params=params), x, train=True, key=keys[2], mask=mask
            )
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, y)
            return losses.mean(), stats

        (value, stats), grads = jax.value_and_grad(loss, has_aux=True)(variables.params)
        updates, opt_state = tx.update(grads, opt_state)
        params = optax.apply_updates(variables.params, updates)
        return (variables._replace(params=params, stats=stats), opt_state), value

    def chunk(state, rows):
        return jax.lax.scan(lambda s, _: step(s, rows), state, length=steps)

    state = (variables, tx.init(variables.params))
    with matmuls(products):
        program = jitted(chunk if loop == "scan" else step, donate_argnums=0)
        compiled = program.lower(state, rows).compile()

    if loop == "scan":
        run_steps = compiled
    else:

        def run_steps(state, rows):
            for _ in range(steps):
                state, value = compiled(state, rows)
            return state, value

    def work() -> None:
        nonlocal state
        state, _ = jax.block_until_ready(run_steps(state, rows))

    return work


def torch_steps(
    name: str,
    input_shape: tuple[int, int, int],
    batch: int,
    optimizer: str,
    steps: int,
    precision: str = "default",
    *,
    compiled: bool = False,
    channels_last: bool = False,
) -> Work:
    """`steps` training steps in PyTorch, the network and its gradient compiled if asked, on the GPU if there is one."""
    import torch
    from torch_models import LafCnn, ResNet18

    device = "cuda" if torch.cuda.is_available() else "cpu"
    # XLA measures several algorithms for a convolution, too.
    torch.backends.cudnn.benchmark = True
    if precision != "default":
        torch.backends.cuda.matmul.allow_tf32 = precision != "float32"
        torch.backends.cudnn.allow_tf32 = precision != "float32"
    torch.manual_seed(0)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    module = {"laf_cnn": LafCnn, "resnet18": ResNet18}[name]().to(device, memory_format=layout)
    if optimizer == "adam":
        update = torch.optim.Adam(module.parameters(), 1e-4)
    else:
        update = torch.optim.SGD(module.parameters(), 0.01, momentum=0.9)
    height, width, channels = input_shape
    x = torch.randn(batch, channels, height, width, device=device).to(memory_format=layout)
    y = torch.randint(10, (batch,), device=device)
    forward: Any = torch.compile(module) if compiled else module

    def work() -> None:
        for _ in range(steps):
            update.zero_grad()
            with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
                loss = torch.nn.functional.cross_entropy(forward(x), y)
            loss.backward()
            update.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return work


def training_steps(loop: str, precision: str = "default", **torch_options: bool) -> list[Case]:
    """The cases of this script."""
    common = {"loop": loop, "precision": precision, **torch_options}
    mnist = {"model": "laf_cnn", "input_shape": (28, 28, 1), "optimizer": "adam", **common}
    cifar = {"model": "resnet18", "input_shape": (32, 32, 3), "optimizer": "sgd", **common}
    return [
        step_case("mnist-cnn-b32", batch=32, steps=40, **mnist),
        step_case("mnist-cnn-b128", batch=128, steps=15, **mnist),
        step_case("resnet18-b64", batch=64, steps=1, **cifar),
    ]


def processor() -> str:
    """The name of the processor."""
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":")[1].strip()
    return platform.processor() or platform.machine()


def print_machine(threads: int) -> None:
    """The processor and the versions; PyTorch's where a script has imported it."""
    import jax

    print(f"cpu: {processor()}, {os.cpu_count()} cores, {threads} used")
    versions = [f"python {platform.python_version()}", f"jax {jax.__version__}"]
    if (torch := sys.modules.get("torch")) is not None:
        versions.append(f"torch {torch.__version__}")
    print(", ".join(versions))
    print(f"jax device: {jax.devices()[0].device_kind}")


def main() -> None:
    parser = argparse.ArgumentParser(description="JAX against PyTorch, one training step")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--loop", choices=["python", "scan"], default="python")
    parser.add_argument("--precision", choices=PRECISIONS, default="default")
    parser.add_argument("--compiled", action="store_true", help="torch.compile")
    parser.add_argument("--channels-last", action="store_true", help="PyTorch's memory format")
    names = [case.name for case in training_steps("python")]
    parser.add_argument("--cases", nargs="+", choices=names, default=names)
    arguments = parser.parse_args()

    # XLA sizes its thread pool by the CPUs that the process may use, so this comes before the imports.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.threads])
    # On a GPU JAX would take three quarters of the memory at once, and PyTorch needs some as well.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    import torch

    torch.set_num_threads(arguments.threads)
    print_machine(arguments.threads)
    torch_options = {"compiled": arguments.compiled, "channels_last": arguments.channels_last}
    every = training_steps(arguments.loop, arguments.precision, **torch_options)
    cases = [case for case in every if case.name in arguments.cases]
    print(
        f"loop: {arguments.loop}, precision: {arguments.precision}, rounds: {arguments.rounds}, PyTorch: "
        f"{'compiled' if arguments.compiled else 'eager'}"
        f"{', channels last' if arguments.channels_last else ''}"
    )
    print_table(compare(cases, arguments.rounds))


if __name__ == "__main__":
    main()
