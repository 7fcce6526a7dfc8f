"""Where the seconds of a run of the command line go, in a new process each time.

    python benchmarks/main_job.py                       # the first run: digits, one class, six methods
    python benchmarks/main_job.py -- --config jit/mnist_class --methods ssd

The same run three times, every time in a new working directory:

    cold   nothing is there
    warm   the compiled programs are there, at another place; all networks are trained again
    kept   the original and the retrained network are there, too

A column is the wall time that is spent in one thing and in none of those before it: `XLA` compiles programs, or reads
them back; `lowering` and `tracing` are JAX's; `imports` load modules; `steps` are those of training and unlearning that
this run made; `metrics` judge the networks, outputs included. `rest` is what is left: data, files, tables.
`core` is what the process took of all cores together. `compiled` counts programs, and `read` those that were read back.
Python keeps the byte code of modules, as it does by itself, also where PYTHONDONTWRITEBYTECODE is set.
"""

import argparse
import builtins
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from report import covered, markdown
from step_time import print_machine

__all__ = ["main", "measured"]

PARTS = {
    "XLA": "/jax/core/compile/backend_compile_duration",
    "lowering": "/jax/core/compile/jaxpr_to_mlir_module_duration",
    "tracing": "/jax/core/compile/jaxpr_trace_duration",
}
COLUMNS = ("total", *PARTS, "imports", "steps", "metrics", "rest", "core")
COUNTS = ("compiled", "read")
KINDS = ("cold", "warm", "kept")


def measured(arguments: Sequence[str], workdir: Path) -> dict[str, float]:
    """Run the command line in this process, which must be new, and tell where its seconds went.

    Raises ValueError where it fails.
    """
    began = time.perf_counter()
    spans: dict[str, list[tuple[float, float]]] = {
        name: [] for name in (*PARTS, "imports", "steps", "metrics")
    }
    _watch_imports(spans["imports"])
    import jax

    counts = dict.fromkeys(COUNTS, 0)

    def took(event: str, duration_secs: float, **details: Any) -> None:
        now = time.perf_counter()
        for name, wanted in PARTS.items():
            if event == wanted:
                spans[name].append((now - duration_secs, now))

    def happened(event: str, **details: Any) -> None:
        counts["compiled"] += event.endswith("/cache_misses")
        counts["read"] += event.endswith("/cache_hits")

    jax.monitoring.register_event_duration_secs_listener(took)
    jax.monitoring.register_event_listener(happened)
    from junlearn import metrics
    from junlearn.engine.program import Clock
    from junlearn.main import main as command_line

    count_steps, judge = Clock.ran, metrics.compute_with_intervals

    def ran(clock: Clock, took: float, count: int) -> None:
        now = time.perf_counter()
        spans["steps"].append((now - took, now))
        count_steps(clock, took, count)

    def judged(*arguments: Any, **options: Any) -> Any:
        start = time.perf_counter()
        try:
            return judge(*arguments, **options)
        finally:
            spans["metrics"].append((start, time.perf_counter()))

    Clock.ran, metrics.compute_with_intervals = ran, judged
    status = command_line([*arguments, "--workdir", str(workdir)])
    ended = time.perf_counter()
    if status:
        raise ValueError(f"the run ended with status {status}")
    found = {"total": ended - began}
    before: list[tuple[float, float]] = []
    for name, own in spans.items():
        seconds = covered(before, began, ended)
        before = before + own
        found[name] = covered(before, began, ended) - seconds
    found["rest"] = found["total"] - sum(found[name] for name in spans)
    return found | {"core": time.process_time()} | counts


def _watch_imports(spans: list[tuple[float, float]]) -> None:
    """Write down from now on when modules are loaded."""
    load, depth = builtins.__import__, 0

    def watched(*arguments: Any, **options: Any) -> Any:
        nonlocal depth
        start, depth = time.perf_counter(), depth + 1
        try:
            return load(*arguments, **options)
        finally:
            depth -= 1
            if depth == 0 and (end := time.perf_counter()) - start > 1e-4:
                spans.append((start, end))

    builtins.__import__ = watched


def main() -> None:
    parser = argparse.ArgumentParser(description="where the seconds of a run go")
    parser.add_argument("--inner", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    parser.add_argument("run", nargs="*", help="options of the run, after --")
    options = parser.parse_args()
    if options.inner is not None:
        found = measured(options.run, options.inner)
        (options.inner / "measured.json").write_text(json.dumps(found))
        return
    rows = {}
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"
        for kind in KINDS:
            if kind == "warm":
                there, cache = cache / "compiled", Path(folder) / "moved"
                cache.mkdir()
                there.rename(cache / "compiled")
            workdir = Path(folder) / kind
            inner = [sys.executable, __file__, "--inner", str(workdir), "--"]
            command = [*inner, *options.run, "--cache-dir", str(cache)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"{kind}: {done.stderr.strip() or done.stdout.strip()}")
            rows[kind] = json.loads((workdir / "measured.json").read_text())
    print_machine(len(os.sched_getaffinity(0)))
    header = ["seconds", *COLUMNS, *COUNTS]
    lines = [
        [kind, *(f"{row[name]:.1f}" for name in COLUMNS), *(f"{row[name]:.0f}" for name in COUNTS)]
        for kind, row in rows.items()
    ]
    print(markdown(header, lines))
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
