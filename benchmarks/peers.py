"""Our methods against those of the PyTorch package supreme-unlearning: seconds, memory and accuracies of the same work.

    TFDS_DATA_DIR=... python benchmarks/peers.py --python PEER/bin/python --json peers.jsonl
    TFDS_DATA_DIR=... python benchmarks/peers.py --python PEER/bin/python --methods ssd scrub --request random

MNIST, LAF's CNN of 449,098 parameters, and an original network that both sides are given; a digit or a tenth of the
images is forgotten. `peer_pairs.py` says which method is which, with which settings, and what cannot be made equal.
Every side runs in a process of its own, on the CPU, in turns: ours with nothing compiled before, theirs, ours once
more, theirs once more.

    cold      from the start of the process to the end of the first call: imports, images, compilation
    kept      the same in our second process, which finds what the first one compiled
    warm      a later call in the same process; the least of all, and their median
    busy      seconds of the processor in such a call, over all cores: the least; other programs hardly change them
    memory    the most that the process held, GiB
    right     accuracies of the network after the last call, in %

A cell is ours / theirs = ratio. `--json` keeps a line for every method, and a method that is there is not measured
again; `--folder` keeps the original network. `--peer none` measures our side alone, `--tiny` takes a few random images.
Set OMP_WAIT_POLICY=passive as for step_time.py.

supreme-unlearning pins torch 2.1.0 and NumPy below 2, which JAX does not run with. So it is installed without its
pins, beside `junlearn[bench]` or in an environment of its own that `--python` names:

    python -m pip install -e '.[bench]' && python -m pip install --no-deps supreme-unlearning

torchunlearn 0.1.0, the only version on PyPI, cannot be measured: its wheel lacks the modules of its methods
(`torchunlearn.unlearn.trainers`, `.nontrainers`).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from peer_pairs import PAIRS, REQUESTS, pairs_of
from peer_problem import is_saved, make, save
from report import markdown

__all__ = ["PEERS", "complaint", "kept_lines", "main", "measure", "table"]

PEERS = ("supreme", "none")
SIDE = Path(__file__).with_name("peer_side.py")
SAME = 1e-3
"""Largest difference of logits between two libraries with the same weights."""
SPLITS = ("retain_train", "forget_train", "retain_test", "forget_test")


def complaint(peer: str, python: str) -> str | None:
    """A line where `python` has no such peer."""
    if peer == "none":
        return None
    asked = f"import sys, importlib.util; sys.exit(importlib.util.find_spec({peer!r}) is None)"
    try:
        if subprocess.run([python, "-c", asked]).returncode == 0:
            return None
    except OSError as error:
        return f"--python {python}: {error.strerror or error}"
    return (
        f"{python} has no {peer}: python -m pip install 'junlearn[bench]' && python -m pip install --no-deps "
        "supreme-unlearning, or name the interpreter that has it, --python PATH"
    )


def measure(pair: str, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Both sides in turns; `folder` has the problem."""
    found: dict[str, Any] = {"pair": pair, "ours": [], "theirs": []}
    found["load"] = os.getloadavg()[0]
    common = {
        "folder": str(folder),
        "pair": pair,
        "seed": arguments.seed,
        "calls": arguments.calls,
        "limit": arguments.limit,
    }
    for _ in range(arguments.rounds):
        with tempfile.TemporaryDirectory(dir=folder) as cache:
            mine = {**common, "side": "ours", "cache": cache, "tiny": arguments.tiny}
            for kept in (False, True):
                found["ours"].append({"kept": kept, **_child(sys.executable, mine)})
                if arguments.peer != "none":
                    theirs = _child(arguments.python, {**common, "side": arguments.peer})
                    found["theirs"].append(theirs)
    found["load_after"] = os.getloadavg()[0]
    _check_same(found)
    return found


def _child(python: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """What a process says in its last line."""
    began = time.time()
    done = subprocess.run(
        [python, str(SIDE), json.dumps({**options, "began": began})],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{options['side']}, {options['pair']}: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _check_same(found: dict[str, Any]) -> None:
    """Both sides began with one network: their logits before agree. The numbers are not kept."""
    runs = [*found["ours"], *found["theirs"]]
    before = [np.asarray(run.pop("before")) for run in runs if "before" in run]
    gap = max((float(np.abs(each - before[0]).max()) for each in before), default=0.0)
    if gap > SAME:
        raise SystemExit(f"{found['pair']}: the original networks differ by {gap:.2g} in a logit")


def kept_lines(path: Path | None, asked: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """By pair, the lines of `path` that were measured with these settings."""
    if path is None or not path.exists():
        return {}
    found = {}
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            line = json.loads(text)
            if line["asked"] == asked:
                found[line["pair"]] = line
        except (ValueError, TypeError, KeyError):
            raise SystemExit(f"--json {path}: line {number} is none of this script") from None
    return found


def table(lines: Sequence[Mapping[str, Any]]) -> str:
    """A row for every line, in Markdown."""
    header = ["method", "warm, least", "warm, median", "busy", "cold", "kept", "memory", *SPLITS]
    return markdown(header, [_row(line) for line in lines])


def _row(line: Mapping[str, Any]) -> list[str]:
    ours, theirs = line["ours"], line["theirs"]

    def calls(runs: Sequence[Mapping[str, Any]], name: str) -> list[float]:
        return [value for run in runs for value in run.get(name, [])]

    def values(runs: Sequence[Mapping[str, Any]], name: str) -> list[float]:
        return [run[name] for run in runs if run.get(name) is not None]

    def started(kept: bool) -> list[float]:
        return values([run for run in ours if run["kept"] is kept], "cold")

    cells = [
        _cell(min, calls(ours, "warm"), calls(theirs, "warm")),
        _cell(statistics.median, calls(ours, "warm"), calls(theirs, "warm")),
        _cell(min, calls(ours, "busy"), calls(theirs, "busy")),
        _cell(min, started(False), values(theirs, "cold")),
        _cell(min, started(True), values(theirs, "cold")),
        _cell(max, values(ours, "memory"), values(theirs, "memory")),
    ]
    for split in SPLITS:
        shares = [_share(runs, split) for runs in (ours, theirs)]
        cells.append(" / ".join(share for share in shares if share) or "")
    return [f"`{line['pair']}`", *cells]


def _cell(pick: Any, ours: Sequence[float], theirs: Sequence[float]) -> str:
    first, second = (pick(values) if values else None for values in (ours, theirs))
    texts = ["–" if value is None else f"{value:.2f}" for value in (first, second)]
    if first is None or second is None:
        return " / ".join(texts)
    return f"{' / '.join(texts)} = {first / second:.2f}"


def _share(runs: Sequence[Mapping[str, Any]], split: str) -> str:
    """Mean accuracy in %; a network that is not finite has none."""
    if any("error" in run for run in runs):
        return "diverged"
    found = [run["accuracies"][split] for run in runs if split in run["accuracies"]]
    return f"{100 * statistics.mean(found):.1f}" if found else ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="our methods against those of supreme-unlearning")
    parser.add_argument("--peer", choices=PEERS, default="supreme")
    parser.add_argument("--python", default=sys.executable, help="the peer's interpreter")
    parser.add_argument("--methods", nargs="+", choices=list(PAIRS), metavar="METHOD")
    parser.add_argument("--request", choices=REQUESTS, default="class")
    parser.add_argument("--examples", type=int, help="training images (3000; tiny: 60)")
    parser.add_argument("--epochs", type=int, default=2, help="of the original network")
    parser.add_argument("--rounds", type=int, default=1, help="two processes of each side in each")
    parser.add_argument("--calls", type=int, default=2, help="warm calls in a process")
    parser.add_argument(
        "--limit", type=float, default=10.0, help="seconds, after which none begins but the first"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tiny", action="store_true", help="a dry run on random images")
    parser.add_argument("--json", type=Path, help="lines that are kept from call to call")
    parser.add_argument("--folder", type=Path, help="so is the original network")
    return parser


def main(given: Sequence[str] | None = None) -> None:
    parser = _parser()
    arguments = parser.parse_args(given)
    if arguments.examples is None:
        arguments.examples = 60 if arguments.tiny else 3_000
    if min(arguments.examples - 19, arguments.epochs, arguments.rounds, arguments.calls) < 1:
        parser.error("at least 20 examples, and one epoch, round and call")
    possible = pairs_of(arguments.request)
    names = arguments.methods or possible
    if wrong := [name for name in names if name not in possible]:
        parser.error(f"--request {arguments.request} is nothing for {', '.join(wrong)}")
    if (problem := complaint(arguments.peer, arguments.python)) is not None:
        print(problem, file=sys.stderr)
        raise SystemExit(2)
    settings = ("peer", "request", "examples", "epochs", "rounds", "calls", "seed", "tiny")
    asked = {name: getattr(arguments, name) for name in settings}
    lines = kept_lines(arguments.json, asked)

    # Both sides on the CPU: for the processes that this one starts, and for itself.
    os.environ["JAX_PLATFORMS"] = "cpu"
    # Modules are read from their byte code, as they are by itself: those of an installed package have it in any case.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    jax.config.update("jax_platforms", "cpu")
    from peer_ours import original
    from step_time import print_machine

    print_machine(len(os.sched_getaffinity(0)))
    print(f"{time.strftime('%Y-%m-%d')}, {', '.join(f'{k} {v}' for k, v in asked.items())}")
    with tempfile.TemporaryDirectory() as scratch:
        about = [str(asked[name]) for name in ("request", "examples", "epochs", "seed", "tiny")]
        folder = (arguments.folder or Path(scratch)) / "-".join(about)
        missing = [name for name in names if name not in lines]
        if missing and not is_saved(folder):
            given_to_both = make(
                arguments.examples, arguments.request, arguments.seed, arguments.tiny
            )
            weights = original(given_to_both, arguments.seed, arguments.epochs)
            save(folder, given_to_both, weights)
        for name in missing:
            line = {**measure(name, folder, arguments), "asked": asked}
            lines[name] = line
            print(f"{name}: load {line['load']:.1f} to {line['load_after']:.1f}", flush=True)
            if arguments.json is not None:
                with arguments.json.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
    rows = [lines[name] for name in names]
    for side in ("ours", "theirs"):
        versions = {
            k: v for row in rows for run in row[side] for k, v in run.get("versions", {}).items()
        }
        if versions:
            print(f"{side}: {', '.join(f'{k} {v}' for k, v in versions.items())}")
    print(f"load: {min(r['load'] for r in rows):.1f} to {max(r['load_after'] for r in rows):.1f}")
    print(table(rows))
    for row in rows:
        if note := PAIRS[row["pair"]].differs:
            print(f"`{row['pair']}`, theirs: {note}.")


if __name__ == "__main__":
    main()
