"""Every figure of a GPU: measures it within a budget of minutes, and writes gpu.json and gpu.md.

    bash benchmarks/gpu.sh --output runs/gpu
    bash benchmarks/gpu.sh --output runs/gpu --minutes 5 --rows 'step/*' fast
    bash benchmarks/gpu.sh --output runs/gpu --wheels wheels

Rows are measured in the order of their worth, in processes of their own with a limit each. What fails, is not at hand
or does not fit into the time says so in its place. The same command again measures what has no figure yet; what failed
comes last then. --tiny is a rehearsal that a CPU can do too: its figures mean nothing.
"""

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NoReturn

from gpu_rows.wheels import DECODING, how_to_make, install, missing

__all__ = ["Refused", "main"]

SAME = ("device", "driver", "versions", "code", "data", "tiny")
"""What the rows of one file have in common."""
MACHINE_SECONDS = 120.0
"""To start JAX, and to read the datasets."""


class Refused(Exception):
    """Nothing can be measured, for a reason of one line."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong with an option in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"gpu.sh: {message}; --help shows all options\n")


def parser() -> Parser:
    own = Parser(prog="gpu.sh", description="every figure of a GPU", allow_abbrev=False)
    own.add_argument("--output", type=Path, default=Path("runs/gpu"), help="folder")
    own.add_argument("--minutes", type=_minutes, default=10.0, help="for all rows together")
    own.add_argument("--rows", nargs="+", metavar="NAME", help="such as fast or 'step/*'")
    own.add_argument("--list", action="store_true", help="print the names of the rows")
    own.add_argument("--fresh", action="store_true", help="measure rows that have a figure anew")
    own.add_argument("--tiny", action="store_true", help="a rehearsal, on a CPU too")
    own.add_argument("--wheels", type=Path, metavar="DIR", help="install what is missing from here")
    own.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return own


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not 0 < minutes < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of minutes above 0")
    return minutes


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0, 1 where a row failed, 2 where nothing could be measured, 130 when stopped."""
    given = parser().parse_args(arguments)
    if given.child:
        from gpu_rows.measuring import answer

        answer()
        return 0
    try:
        return _measure(given)
    except KeyboardInterrupt:
        print("gpu.sh: stopped; the same command goes on with the next row", file=sys.stderr)
        return 130
    except Refused as reason:
        print(f"gpu.sh: {reason}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"gpu.sh: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2


def _measure(given: argparse.Namespace) -> int:
    began = time.monotonic()
    _packages(given.wheels)
    from gpu_rows.row_plan import DATASETS, Row, plan
    from gpu_rows.row_processes import Runner

    wanted = _chosen([row.name for row in plan(given.tiny, {})], given.rows)
    if given.list:
        print("\n".join(wanted))
        return 0
    given.output.mkdir(parents=True, exist_ok=True)
    path = given.output / "gpu.json"
    kept = _read(path, given.fresh)
    with tempfile.TemporaryDirectory(prefix="gpu_rows_") as scratch:
        said: dict[str, dict[str, Any]] = {}
        runner = Runner(
            command=[sys.executable, __file__, "--child"],
            folder=Path(scratch),
            log=given.output / "gpu.log",
            ends=began + 60 * given.minutes,
            told=lambda row, answer: said.update({row.name: answer}),
            variables={"JUNLEARN_CACHE_DIR": str(_own_cache(Path(scratch)))},
        )
        first = Row(
            name="machine",
            process="machine",
            measure="machine",
            arguments={"datasets": DATASETS},
            guess=MACHINE_SECONDS / 4,
        )
        runner.run([first])
        machine = _machine(said["machine"], runner.log) | {"tiny": given.tiny}
        if machine["platform"] != "gpu" and not given.tiny:
            raise Refused(
                f"JAX sees no GPU here, only {machine['platform']}; --tiny is a rehearsal without one"
            )
        found = {"machine": machine, "rows": _same(kept, machine, path, given.fresh)}
        if given.fresh:
            found["rows"] = {n: row for n, row in found["rows"].items() if n not in wanted}
        print(f"{machine['device']}, {machine['processor']}", flush=True)
        every = plan(given.tiny, machine["data"])

        def tell(row: Row, answer: dict[str, Any]) -> None:
            found["rows"][row.name] = answer
            _write(given.output, found, [row.name for row in every])
            print(f"[{time.monotonic() - began:4.0f} s] {row.name}: {_line(answer)}", flush=True)

        runner.told = tell
        due = [row for row in every if row.name in wanted]
        due = [row for row in due if "figures" not in found["rows"].get(row.name, {})]
        absent = {row.name: why for row in due if (why := _absent(row.needs, machine))}
        for row in due:
            if row.name in absent:
                tell(row, {"left_out": absent[row.name]})
        ready = [row for row in due if row.name not in absent]
        failed = [row for row in ready if "failed" in found["rows"].get(row.name, {})]
        runner.run([*(row for row in ready if row not in failed), *failed])
        _write(given.output, found, [row.name for row in every])
    rows = [found["rows"][name] for name in wanted]
    print(f"\n{(given.output / 'gpu.md').read_text(encoding='utf-8')}")
    print(f"{sum('figures' in row for row in rows)} of {len(rows)} rows: {given.output / 'gpu.md'}")
    return int(any("failed" in row for row in rows))


def _packages(wheels: Path | None) -> None:
    """What is missing comes from the wheels, or is asked for. Raises Refused."""
    if wheels is not None and not wheels.is_dir():
        raise Refused(f"--wheels {wheels}: there is no such folder")
    absent = missing()
    if wheels is not None:
        # What only decoding needs may be missing there, too.
        for decoding in (False, True):
            asked = [each for each in absent if each.startswith(DECODING) == decoding]
            wrong = install(wheels, asked) if asked else None
            if wrong is not None:
                print(f"--wheels {wheels}: {wrong}", file=sys.stderr)
        absent = missing()
    needed = [each for each in absent if not each.startswith(DECODING)]
    if needed:
        raise Refused(
            f"not here, or too old: {', '.join(absent)}; where there is a network, {how_to_make(absent)}; "
            "then --wheels wheels"
        )
    if absent:
        print(
            f"without {', '.join(absent)} only datasets in the cache are read; {how_to_make(absent)}",
            flush=True,
        )


def _chosen(names: Sequence[str], patterns: Iterable[str] | None) -> list[str]:
    """The rows that are asked for. Raises Refused for a pattern that fits none."""
    if patterns is None:
        return list(names)
    fitting = {text: [name for name in names if fnmatchcase(name, text)] for text in patterns}
    for text, fits in fitting.items():
        if not fits:
            kinds = ", ".join(dict.fromkeys(name.partition("/")[0] for name in names))
            raise Refused(
                f"--rows {text}: no such row; they begin with {kinds}, and --list has all"
            )
    return [name for name in names if any(name in fits for fits in fitting.values())]


def _read(path: Path, fresh: bool) -> dict[str, Any] | None:
    """What was measured before. Raises Refused for a file that is not as `_write` writes it."""
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found["machine"], dict) and isinstance(found["rows"], dict):
            return dict(found)
    except (ValueError, KeyError, TypeError):
        pass
    if fresh:
        return None
    raise Refused(f"{path} is no file of rows: --fresh begins a new one")


def _same(
    kept: Mapping[str, Any] | None, machine: Mapping[str, Any], path: Path, fresh: bool
) -> dict[str, Any]:
    """The rows of before, which this machine and this code measured. Raises Refused if they did not."""
    if kept is None:
        return {}
    others = [name for name in SAME if kept["machine"].get(name) != machine[name]]
    if not others:
        return dict(kept["rows"])
    what = f"rows of other {_difference(others[0], kept['machine'].get(others[0]), machine[others[0]])}"
    if fresh:
        print(f"{path} had {what}: they are dropped", flush=True)
        return {}
    raise Refused(f"{path} has {what}: --fresh begins anew, another --output keeps them")


def _difference(name: str, before: Any, now: Any) -> str:
    """What is not the same, and both values."""
    if isinstance(before, dict) and isinstance(now, dict):
        part = next(key for key in before | now if before.get(key) != now.get(key))
        return _difference(f"{name}, {part}", before.get(part), now.get(part))
    return f"{name}: {'none' if before is None else before}, here {'none' if now is None else now}"


def _own_cache(scratch: Path) -> Path:
    """A cache of this call alone, so that nothing is trained or compiled before; decoded datasets are shared."""
    from junlearn.datasets.cache import dataset_cache_dir

    shared = dataset_cache_dir()
    shared.mkdir(parents=True, exist_ok=True)
    cache = scratch / "cache"
    cache.mkdir()
    (cache / "datasets").symlink_to(shared)
    return cache


def _machine(answer: Mapping[str, Any], log: Path) -> dict[str, Any]:
    """The facts of the machine. Raises Refused where there are none."""
    if "figures" not in answer:
        why = answer.get("failed") or answer["left_out"]
        raise Refused(f"JAX does not start here, see {log}: {why}")
    return dict(answer["figures"])


def _absent(needs: str, machine: Mapping[str, Any]) -> str | None:
    """Why a row that needs this cannot be measured."""
    if needs == "torch":
        return None if "torch" in machine["versions"] else "no PyTorch"
    sizes = machine["data"].get(needs)
    return f"no {needs}: {sizes}" if isinstance(sizes, str) else None


def _line(answer: Mapping[str, Any]) -> str:
    if "figures" not in answer:
        return next(
            f"{kind.replace('_', ' ')}: {answer[kind]}"
            for kind in ("failed", "left_out")
            if kind in answer
        )
    numbers = {k: v for k, v in answer["figures"].items() if isinstance(v, float)}
    return ", ".join(f"{name} {value:.4g}" for name, value in numbers.items())


def _write(folder: Path, found: dict[str, Any], order: Sequence[str]) -> None:
    """Both files, with the rows in their order."""
    from gpu_rows.row_table import page

    from junlearn.files import replace

    rows = found["rows"]
    found = found | {"rows": {name: rows[name] for name in order if name in rows}}
    replace(folder / "gpu.json", json.dumps(found, indent=1) + "\n")
    replace(folder / "gpu.md", page(found))


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    # A job that is ended, or a terminal that is closed, must leave no processes behind on the GPU.
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, _interrupt)
    sys.exit(main())
