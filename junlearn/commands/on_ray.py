"""The points of a sweep as tasks of Ray: it decides where each is carried out, with the resources that it needs.

All machines share the working directory and the cache, at the same paths. A task gets plain values, and makes the
experiment of them; what it finds lies in the directory of its point, as that of every run does.
"""

import logging
import os
import pickle
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import jax

from junlearn import cli
from junlearn.commands.points import Engine, Grid, one
from junlearn.datasets.cache import dataset_cache_dir
from junlearn.engine import interrupts
from junlearn.errors import ConfigError, DivergedError, JunlearnError
from junlearn.experiment import schema, sweep
from junlearn.experiment.evaluate import Outcome
from junlearn.experiment.locks import InUse
from junlearn.experiment.progress import Reporter
from junlearn.experiment.resources import Resources
from junlearn.text.terminal import Terminal

__all__ = ["Answer", "Order", "carried_out", "engine", "joined"]

OUTPUT = "output.txt"
"""What a point says while it is carried out, in its directory."""
WIDTH = 120
"""Of its lines."""
TICK = 0.5
"""Seconds after which the driver looks for a signal."""
ADDRESS = re.compile(r"(ray://)?(?P<host>.+):(?P<port>\d+)")
ANSWER = 10.0
"""Seconds that a cluster has to answer."""
PATIENCE = 30.0
"""Seconds that cancelled points have to save where they are."""
PASSED = ("HF_", "JAX_COMPILATION_CACHE_DIR", "TFDS_", "WANDB_")
"""How the variables begin that say where data and loggers are: a task has those of the driver."""
MEMORY = ("XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION")
"""How much of a GPU's memory JAX takes; of either name."""
RESERVE = 0.9
"""Of its part of a GPU's memory, what a point takes."""


class Order(NamedTuple):
    """What a task is to do, in values that mean the same on every machine."""

    experiment: dict[str, Any]
    """The resolved configuration of the point."""
    folder: str
    """The name of its directory."""
    workdir: str
    cache_dir: str
    fresh: Any
    place: str
    """The current directory, from which paths in the configuration lead on."""
    environment: dict[str, str]
    gpus: float
    waiting: bool
    """Whether to wait for another run that is at the point."""


class Answer(NamedTuple):
    """What came of it."""

    outcome: Outcome | Exception
    seconds: float
    host: str


def engine(resources: Resources, points: list[sweep.Point]) -> Engine:
    """What carries the points out on Ray. Raises ConfigError where that cannot be.

    The driver computes nothing but what comes before the tasks: it leaves the GPUs to them.
    """
    ray = _ray()
    if any(point.experiment.loop.distributed for point in points):
        raise ConfigError(
            "--engine ray: a point is one task, and loop.distributed is for processes that are started together"
        )
    jax.config.update("jax_platforms", "cpu")
    return partial(_carry_out, ray, resources)


def _ray() -> ModuleType:
    try:
        import ray
    except ImportError as error:
        raise ConfigError(
            "--engine ray needs Ray, which is not installed: python -m pip install 'junlearn[ray]'"
        ) from error
    return ray


@contextmanager
def joined() -> Iterator[None]:
    """Within a cluster: the one that this program is in, or RAY_ADDRESS names, or runs here, or a new local one.

    Before JAX computes: Ray starts processes, which a program with JAX's threads should not. Raises ConfigError.
    """
    ray = _ray()
    if ray.is_initialized():
        yield
        return
    _check_address(os.environ.get("RAY_ADDRESS", ""))
    # Ray puts a handler of its own in the place of ours.
    handlers = {number: signal.getsignal(number) for number in interrupts.SIGNALS}
    try:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, TimeoutError, RuntimeError, ValueError) as error:
        text = next((line for line in str(error).splitlines() if line.strip()), "")
        raise ConfigError(f"--engine ray: no cluster is there: {text}") from error
    except SystemExit as stop:
        if stop.code != signal.SIGTERM:
            raise
        raise interrupts.Interrupted(signal.SIGTERM) from stop
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    try:
        yield
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """Raise ConfigError where nobody answers: Ray itself would try for ten minutes."""
    named = ADDRESS.fullmatch(address)
    if named is None:
        return
    try:
        socket.create_connection((named["host"].strip("[]"), int(named["port"])), ANSWER).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"--engine ray: nobody answers at RAY_ADDRESS={address}: {error}"
        ) from error


def carried_out(order: Order) -> Answer:
    """Carry out a point in this process, a worker of Ray. An error is an answer, an interrupt is none."""
    began = time.perf_counter()
    try:
        found: Outcome | Exception = _outcome(order)
    except Exception as error:
        found = _portable(error)
    return Answer(found, time.perf_counter() - began, socket.gethostname())


def _outcome(order: Order) -> Outcome | Exception:
    os.environ.update(order.environment)
    if 0 < order.gpus < 1 and not any(name in os.environ for name in MEMORY):
        os.environ[MEMORY[0]] = f"{RESERVE * order.gpus:.3f}"
    os.chdir(order.place)
    point = sweep.Point({}, schema.parse(order.experiment), {}, order.folder)
    grid = Grid([point], Path(order.workdir), order.cache_dir, order.fresh)
    directory = point.directory(grid.workdir)
    directory.mkdir(parents=True, exist_ok=True)
    cli.keep_compilations(order.cache_dir)
    with interrupts.handled(), (directory / OUTPUT).open("a", encoding="utf-8") as file:
        reporter = Reporter(Terminal(file=file, width=WIDTH))
        found = one(point, grid, reporter, waiting=order.waiting)
    if isinstance(found, Exception):
        return found
    return found._replace(failures={label: _portable(e) for label, e in found.failures.items()})


def _portable(error: Exception) -> Exception:
    """The error, or what it says where the driver may not know its class, as one of somebody else's code."""
    said = RuntimeError(f"{type(error).__name__}: {error}")
    if type(error).__module__.partition(".")[0] not in ("builtins", __name__.partition(".")[0]):
        return said
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:
        return said


def _carry_out(
    ray: ModuleType, resources: Resources, grid: Grid, reporter: Reporter
) -> Iterator[tuple[int, Outcome | Exception]]:
    with ExitStack() as held:
        cpus, gpus = resources.cpus, _gpus(ray, resources)
        slots = _slots(ray, cpus, gpus, reporter)
        # Whatever comes, the points are cancelled before it ends.
        held.enter_context(interrupts.held())
        task = ray.remote(carried_out).options(num_cpus=cpus, num_gpus=gpus, max_retries=0)
        running: dict[Any, int] = {}

        def send(place: int, waiting: bool = False) -> None:
            running[task.remote(_order(grid, place, gpus, waiting))] = place

        held.callback(_cancel, ray, running, reporter)
        for place in range(len(grid.points)):
            send(place)
        later: list[int] = []
        again: set[int] = set()
        while (running or later) and not interrupts.pending():
            if not running:
                for place in later:
                    send(place, waiting=True)
                later.clear()
            for ref in ray.wait(list(running), num_returns=1, timeout=TICK)[0]:
                place = running.pop(ref)
                point = grid.points[place]
                answer = _answer(ray, ref)
                title = f"point {place + 1} of {len(grid.points)}: {point.title()}"
                where = f" on {answer.host}" if answer.host else ""
                if isinstance(answer.outcome, InUse):
                    reporter.say(f"{title}: another run is at it, the others come first")
                    later.append(place)
                    continue
                failed = _failed(answer)
                if failed and place not in again:
                    again.add(place)
                    reporter.say(f"{title}: it failed{where} and is tried once more ({failed})")
                    send(place)
                    continue
                if isinstance(answer.outcome, Exception):
                    reporter.say(f"{title}: it failed{where}")
                else:
                    networks = point.networks * point.requests
                    judged = f"{len(answer.outcome.records)} of {len(networks)} networks"
                    reporter.say(f"{title}: {judged}, {answer.seconds:.1f} s{where}")
                    for label in networks:
                        reporter.finished(label, answer.seconds / len(networks) / slots)
                yield place, answer.outcome


def _order(grid: Grid, place: int, gpus: float, waiting: bool) -> Order:
    point = grid.points[place]
    return Order(
        schema.plain(point.experiment),
        point.folder,
        str(grid.workdir.absolute()),
        str(dataset_cache_dir(grid.cache_dir).parent.absolute()),
        grid.fresh,
        os.getcwd(),
        {name: value for name, value in os.environ.items() if name.startswith(PASSED)},
        gpus,
        waiting,
    )


def _answer(ray: ModuleType, ref: Any) -> Answer:
    """What a task answers; an error in its place where it could not."""
    try:
        return ray.get(ref)
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None) or error
        text = next((line for line in str(cause).splitlines() if line.strip()), "it died")
        return Answer(RuntimeError(text.strip()), 0.0, "")


def _failed(answer: Answer) -> str:
    """What went wrong that may go well another time, in words; empty where nothing is.

    What diverges does so again, and so does what is wrong with the configuration or the data.
    """
    found = answer.outcome
    errors = [found] if isinstance(found, Exception) else found.failures.values()
    bad = [e for e in errors if not isinstance(e, JunlearnError | DivergedError)]
    return f"{type(bad[0]).__name__}: {bad[0]}".splitlines()[0] if bad else ""


def _gpus(ray: ModuleType, resources: Resources) -> float:
    if resources.gpus is not None:
        return resources.gpus
    return 1.0 if ray.cluster_resources().get("GPU", 0) >= 1 else 0.0


def _slots(ray: ModuleType, cpus: int, gpus: float, reporter: Reporter) -> int:
    """How many points have room at once, at least one. Raises ConfigError where a cluster that cannot grow has none."""
    needs = {"CPU": cpus, "GPU": gpus}
    words = ", ".join(f"{count:g} {name}" for name, count in needs.items() if count)
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    room = sum(
        int(min(node.get(name, 0) / count for name, count in needs.items() if count))
        for node in nodes
    )
    if room:
        reporter.say(f"Ray: {words} for each point, {room} at once")
    elif "RAY_ADDRESS" in os.environ:
        reporter.say(f"Ray: no machine has {words} now; the points wait for one")
    else:
        most = ", ".join(f"{max(n.get(name, 0) for n in nodes):g} {name}" for name in needs)
        raise ConfigError(
            f"[engine] asks for {words} for each point; the largest machine has {most}"
        )
    return max(room, 1)


def _cancel(ray: ModuleType, running: dict[Any, int], reporter: Reporter) -> None:
    """Let the points that are not done save where they are, and end."""
    if not running:
        return
    count = f"{len(running)} points are" if len(running) > 1 else "1 point is"
    reporter.say(f"Ray: {count} cancelled; what trains saves where it is")
    for ref in running:
        ray.cancel(ref)
    _, left = ray.wait(list(running), num_returns=len(running), timeout=PATIENCE)
    for ref in left:
        ray.cancel(ref, force=True)
