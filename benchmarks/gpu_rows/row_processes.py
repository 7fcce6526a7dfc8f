"""Runs rows in processes of their own, each with a limit, so that one that fails or hangs loses nothing else.

Rows that follow each other on the same side share a process: it starts, and meets the device, once. It answers with a
line for each row. When it dies, or is silent for longer than the row may take, that row has failed, and the rows after
it go on in a new process.
"""

import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import IO, Any

from gpu_rows.row_plan import Row

__all__ = ["Runner", "batches"]

LEAST = 120.0
"""Seconds that every row has, if there is so much time left."""
PATIENCE = 4
"""A row may take so many times what was guessed."""
ENDING = 20.0
"""Seconds that a process has to end after its last row."""
SHARE = 0.9
"""Of the device's memory, for all processes that run beside each other."""
NO_TIME = "no time left"


def batches(rows: Iterable[Row]) -> list[list[list[Row]]]:
    """The rows by what runs at the same time, and therein by process, in their order."""
    found = []
    for _, group in groupby(rows, lambda row: row.measure if row.lanes > 1 else row.process):
        processes: dict[str, list[Row]] = {}
        for row in group:
            processes.setdefault(row.process, []).append(row)
        found.append(list(processes.values()))
    return found


@dataclass
class Runner:
    """What all processes of a call have in common."""

    command: Sequence[str]
    """Starts a process that answers as `measuring.answer` does."""
    folder: Path
    """Where they work."""
    log: Path
    """What they print is added to this file, a process at a time."""
    ends: float
    """`time.monotonic()` at which all time is used."""
    told: Callable[[Row, dict[str, Any]], None]
    """Gets what became of a row, at once; never called twice at the same time."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Of the environment of all processes."""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped = False

    def run(self, rows: Iterable[Row]) -> None:
        """Measure all rows, those of several lanes beside each other."""
        for beside in batches(rows):
            with ThreadPoolExecutor(len(beside)) as pool:
                waiting = [pool.submit(self._lane, rows) for rows in beside]
                try:
                    for future in waiting:
                        future.result()
                except BaseException:
                    self._stop()
                    raise

    def _lane(self, rows: list[Row]) -> None:
        """The rows of one process, and of others after it where it ended early."""
        while rows and not self._stopped:
            if self._left() < rows[0].guess:
                for row in rows:
                    self._tell(row, {"left_out": NO_TIME})
                return
            rows = self._process(rows)

    def _process(self, rows: list[Row]) -> list[Row]:
        """Start a process for `rows`; returns those that it did not come to."""
        output = self.folder / f"{time.monotonic_ns()}.log"
        with self._lock, output.open("wb") as log:
            if self._stopped:
                return []
            process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=self._environment(rows[0]),
                start_new_session=True,
            )
            self._running.add(process)
        try:
            return self._attend(process, rows, output)
        finally:
            _kill(process)
            with self._lock:
                self._running.discard(process)
                self._keep(rows, output)

    def _attend(self, process: subprocess.Popen[str], rows: list[Row], output: Path) -> list[Row]:
        assert process.stdin is not None and process.stdout is not None
        asked = {
            "measure": rows[0].measure,
            "folder": str(self.folder),
            "rows": [{"name": row.name, "arguments": row.arguments} for row in rows],
        }
        with process.stdin as pipe:
            pipe.write(json.dumps(asked))
        lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=_read, args=(process.stdout, lines), daemon=True).start()
        for number, row in enumerate(rows):
            began, left = time.monotonic(), self._left()
            limit = min(max(LEAST, PATIENCE * row.guess), left)
            try:
                line = lines.get(timeout=max(limit, 0.0))
            except queue.Empty:
                _kill(process)
                if limit == left:
                    self._tell(row, {"left_out": f"{NO_TIME}: it was stopped after {limit:.0f} s"})
                else:
                    self._tell(row, {"failed": f"it took longer than {limit:.0f} s"})
                return rows[number + 1 :]
            if line is None:
                self._tell(row, {"failed": _death(process, output)})
                return rows[number + 1 :]
            answer = json.loads(line)
            assert answer.pop("row") == row.name
            self._tell(row, answer | {"wall": time.monotonic() - began})
        with suppress(subprocess.TimeoutExpired):
            process.wait(ENDING)
        return []

    def _environment(self, row: Row) -> dict[str, str]:
        environment = os.environ | dict(self.variables)
        if row.lanes > 1:
            environment["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{SHARE / row.lanes:.3f}"
        return environment

    def _left(self) -> float:
        return self.ends - time.monotonic()

    def _tell(self, row: Row, found: dict[str, Any]) -> None:
        with self._lock:
            if self._stopped:
                return
            now = datetime.now(UTC).isoformat(timespec="seconds")
            self.told(row, found | {"time": now})

    def _keep(self, rows: list[Row], output: Path) -> None:
        """Add what a process printed to the log."""
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"== {rows[0].process}: {', '.join(row.name for row in rows)}\n")
            log.write(output.read_text(encoding="utf-8", errors="replace"))
        output.unlink()

    def _stop(self) -> None:
        with self._lock:
            self._stopped = True
            for process in self._running:
                _kill(process)


def _read(pipe: IO[str], lines: "queue.Queue[str | None]") -> None:
    with pipe:
        for line in pipe:
            lines.put(line)
    lines.put(None)


def _kill(process: subprocess.Popen[str]) -> None:
    """End a process with all that it started, what outlived it included."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _death(process: subprocess.Popen[str], output: Path) -> str:
    status = process.wait()
    lines = output.read_text(encoding="utf-8", errors="replace").split("\n")
    last = next((" ".join(line.split()) for line in reversed(lines) if line.strip()), "")
    return f"its process ended with status {status}: {last[:300]}" if last else f"status {status}"
