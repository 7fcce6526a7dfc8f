"""One side of `peers.py` in a process of its own: a method once cold, then again, in a line of JSON.

    python benchmarks/peer_side.py '{"side": "ours", "folder": ..., "pair": "ssd", ...}'

This file imports NumPy alone: the other side's environment need not have JAX, nor ours PyTorch.
"""

import json
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from peer_pairs import PAIRS
from peer_problem import accuracies, load

__all__ = ["main", "measure", "peak_memory"]

SEEN = 20
"""Test images whose logits under the original network tell that both sides have the same one."""


def measure(
    side: str,
    folder: Path,
    pair: str,
    seed: int,
    calls: int,
    limit: float,
    began: float,
    **more: Any,
) -> dict[str, Any]:
    """What the method took and left.

    `began` is when the process was started (`time.time()`): the first call ends `cold` seconds after. `warm` has the
    seconds of one to `calls` more, of which no other begins after `limit` seconds of them, and `busy` those of the
    processor. `error` says that there is no usable network.
    """
    problem, weights = load(folder)
    if side == "ours":
        from peer_ours import Ours as Side
    else:
        from peer_supreme import Supreme as Side
    subject = Side(problem, weights, PAIRS[pair], seed, **more)
    try:
        after = subject.run(0)
    except Side.ends as error:
        return {"error": str(error)}
    found: dict[str, Any] = {"cold": time.time() - began, "warm": [], "busy": []}
    while not found["warm"] or (len(found["warm"]) < calls and sum(found["warm"]) < limit):
        start, busy = time.perf_counter(), time.process_time()
        after = subject.run(1 + len(found["warm"]))
        found["warm"].append(time.perf_counter() - start)
        found["busy"].append(time.process_time() - busy)
    found["memory"] = peak_memory()
    before = subject.logits(None, problem.test_x[:SEEN])
    logits = [subject.logits(after, x) for x in (problem.x, problem.test_x)]
    if not all(np.isfinite(part).all() for part in logits):
        found["error"] = "the network is not finite"
    return {
        **found,
        "accuracies": accuracies(problem, *(part.argmax(1) for part in logits)),
        "before": [float(value) for value in before.ravel()],
        "versions": {name: _version(name) for name in Side.versions},
    }


def peak_memory() -> float | None:
    """GiB that this process held at most; None where the system does not say.

    Not `getrusage`, whose maximum begins with that of the process that started this one.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    sizes = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(sizes[0]) / 2**20 if sizes else None


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "source"


def main(arguments: str) -> None:
    options = json.loads(arguments)
    options["folder"] = Path(options["folder"])
    if "cache" in options:
        options["cache"] = Path(options["cache"])
    print(json.dumps(measure(**options)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
