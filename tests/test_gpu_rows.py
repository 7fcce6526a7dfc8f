"""`benchmarks/gpu.sh`: which rows there are, what becomes of those that fail, and a rehearsal on the CPU."""

import json
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from types import SimpleNamespace

import pytest

from junlearn.methods import METHODS
from tests.conftest import ROOT

FOLDER = ROOT / "benchmarks"
sys.path.append(str(FOLDER))
import gpu  # noqa: E402
from gpu_rows import row_plan, row_processes, row_table, wheels  # noqa: E402

MACHINE = {
    "device": "NVIDIA H200",
    "platform": "gpu",
    "devices": 1,
    "memory": "105 GiB for JAX",
    "driver": "580.0",
    "processor": "EPYC, 16 cores",
    "versions": {"python": "3.12.3", "jax": "0.11.2"},
    "commit": "abc",
    "code": "12345678",
    "date": "2030-01-01",
    "data": {"cifar10": "no such directory", "mnist": [60_000, 10_000]},
}
ANSWERS = """
import json, os, sys, time
asked = json.load(sys.stdin)
for row in asked["rows"]:
    what = row["arguments"]["what"]
    if what == "hang":
        time.sleep(60)
    if what == "die":
        sys.exit("no memory\\n  was left")
    memory = os.environ.get("XLA_PYTHON_CLIENT_MEM_FRACTION")
    figures = {"pid": os.getpid(), "memory": memory}
    print(json.dumps({"row": row["name"], "figures": figures}), flush=True)
    print("noise", file=sys.stderr)
"""
"""A process that answers as `measuring.answer` does."""


def row(name, what="answer", **changes):
    plain = {"process": "one", "measure": "m", "guess": 5.0, "arguments": {"what": what}}
    return row_plan.Row(name=name, **plain | changes)


def ran(tmp_path, rows, seconds=60.0):
    """What became of the rows, by name."""
    found = {}
    runner = row_processes.Runner(
        command=[sys.executable, "-c", ANSWERS],
        folder=tmp_path,
        log=tmp_path / "log",
        ends=time.monotonic() + seconds,
        told=lambda row, answer: found.update({row.name: answer}),
    )
    runner.run(rows)
    return found


def test_rows_have_names_and_fit_into_ten_minutes_by_what_is_guessed():
    rows = row_plan.plan(False, {"mnist": [1, 1], "fashion_mnist": [1, 1]})
    names = [row.name for row in rows]
    assert names == [row.name for row in row_plan.plan(True, {})] and len(set(names)) == len(names)
    assert names[0] == "step/resnet18/bfloat16/jax"
    assert {name for name in names if name.startswith("method/")} == {
        f"method/{m}" for m in METHODS
    }
    asked = {
        f"step/{case}/{precision}/{side}"
        for case in row_plan.CASES
        for precision in row_plan.PRECISIONS
        for side in row_plan.SIDES
    }
    assert asked | {"fast", "audit", "many/vmap", "epoch/resnet18/tf32"} < set(names)
    assert all(set(row.needs.split()) <= {"torch", *row_plan.DATASETS} for row in rows)
    seconds = sum(
        max(sum(row.guess for row in lane) for lane in beside)
        for beside in row_processes.batches(rows)
    )
    assert seconds < 600
    jobs = [row.arguments["job"] for row in rows if row.measure == "method"]
    assert jobs[0] == {"dataset": "mnist", "surrogate": "fashion_mnist"}
    poor = next(row for row in row_plan.plan(False, {"mnist": "no"}) if row.measure == "method")
    assert poor.arguments["job"]["dataset"] == "digits"


def test_what_fails_ends_no_other_row(tmp_path, monkeypatch):
    monkeypatch.setattr(row_processes, "LEAST", 1.0)
    rows = [row("a"), row("b", "die"), row("c"), row("d", "hang", guess=0.1), row("e")]
    rows.append(row("f", process="2"))
    found = ran(tmp_path, rows)
    assert list(found) == list("abcdef")
    assert found["b"]["failed"] == "its process ended with status 1: was left"
    assert found["d"]["failed"] == "it took longer than 1 s"
    pids = [found[name]["figures"]["pid"] for name in "acef"]
    assert len(set(pids)) == 4 and found["a"]["figures"]["memory"] is None
    assert found["a"]["wall"] >= 0 and found["a"]["time"].endswith("+00:00")
    log = (tmp_path / "log").read_text()
    assert log.count("== one:") == 3 and "no memory" in log and log.count("noise") == 4
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_lanes_run_beside_each_other_and_share_the_memory(tmp_path):
    rows = [row("a", process="1", lanes=2), row("b", process="1", lanes=2)]
    found = ran(tmp_path, [*rows, row("c", process="2", lanes=2)])
    pids = {name: answer["figures"]["pid"] for name, answer in found.items()}
    assert pids["a"] == pids["b"] != pids["c"]
    assert {answer["figures"]["memory"] for answer in found.values()} == {"0.450"}


def test_what_does_not_fit_into_the_time_is_said(tmp_path):
    rows = [row("long", guess=50.0), row("hang", "hang", process="2", guess=0.1)]
    rows.append(row("late", process="2"))
    found = ran(tmp_path, rows, seconds=1.0)
    assert found["long"]["left_out"] == found["late"]["left_out"] == "no time left"
    assert found["hang"]["left_out"].startswith("no time left: it was stopped after ")


@pytest.fixture
def stub(monkeypatch, tmp_path):
    """`gpu.main` whose rows are answered at once; `asked` are their names."""
    state = SimpleNamespace(machine=dict(MACHINE), answers={}, asked=[])

    class Runner:
        def __init__(self, told, **options):
            self.told, self.log = told, options["log"]

        def run(self, rows):
            for row in rows:
                if row.name == "machine":
                    self.told(row, {"figures": state.machine})
                    continue
                state.asked.append(row.name)
                self.told(row, state.answers.get(row.name, {"figures": {"whole": 2.0}}))

    monkeypatch.setattr(row_processes, "Runner", Runner)
    monkeypatch.setattr(row_table, "page", lambda found: "the page\n")
    monkeypatch.setattr(gpu, "missing", list)
    state.main = lambda *words: gpu.main(["--output", str(tmp_path / "out"), *words])
    state.read = lambda: json.loads((tmp_path / "out" / "gpu.json").read_text())
    return state


def test_rows_with_a_figure_are_kept_and_failures_come_last(stub, capsys):
    step = "step/resnet18/{}/jax".format
    stub.answers[step("bfloat16")] = {"failed": "it broke"}
    assert stub.main("--rows", "step/resnet18/*") == 1
    first = stub.asked.copy()
    assert first == [step(precision) for precision in row_plan.PRECISIONS]
    rows = stub.read()["rows"]
    assert rows["step/resnet18/tf32/torch"] == {"left_out": "no PyTorch"}
    assert "step/resnet18/bfloat16/jax: failed: it broke" in capsys.readouterr().out

    stub.answers.clear()
    stub.asked.clear()
    assert stub.main("--rows", "step/*/jax", "fast", "many/loop") == 0
    assert stub.asked[-1] == step("bfloat16") and len(stub.asked) == 5
    assert not {"fast", step("tf32")} & set(stub.asked) and "many/loop" in stub.asked
    assert stub.read()["rows"]["fast"] == {"left_out": "no cifar10: no such directory"}
    assert next(iter(stub.read()["rows"])) == step("bfloat16")

    stub.asked.clear()
    assert stub.main("--fresh", "--rows", "many/loop") == 0
    assert stub.asked == ["many/loop"] and step("tf32") in stub.read()["rows"]
    stub.machine["versions"] = {"python": "3.12.3", "jax": "0.12"}
    assert stub.main() == 2
    assert "rows of other versions, jax: 0.11.2, here 0.12: --fresh" in capsys.readouterr().err
    assert stub.main("--fresh", "--rows", "many/loop") == 0
    assert list(stub.read()["rows"]) == ["many/loop"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--minutes", "none"], "'none' is no number of minutes above 0"),
        (["--minutes", "-1"], "'-1' is no number of minutes above 0"),
        (["--row", "fast"], "unrecognized arguments: --row fast"),
        (
            ["--rows", "stop/*"],
            "no such row; they begin with step, epoch, fast, many, method, audit",
        ),
        (["--wheels", "nowhere"], "there is no such folder"),
    ],
)
def test_bad_options_are_refused_in_one_line(stub, capsys, words, said):
    try:
        status = stub.main(*words)
    except SystemExit as end:
        status = end.code
    err = capsys.readouterr().err
    assert status == 2 and said in err and err.count("\n") == 1 and err.startswith("gpu.sh: ")
    assert not stub.asked


def test_what_keeps_all_rows_from_being_measured(stub, capsys, tmp_path, monkeypatch):
    stub.machine["platform"] = "cpu"
    assert stub.main() == 2
    assert "JAX sees no GPU here, only cpu; --tiny is" in capsys.readouterr().err
    stub.machine["platform"] = "gpu"
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out" / "gpu.json").write_text('{"rows": {}}')
    assert stub.main() == 2
    assert "is no file of rows: --fresh begins a new one" in capsys.readouterr().err
    monkeypatch.setattr(gpu, "missing", lambda: ["tyro>=1.0", "tensorflow-datasets>=4.9.9"])
    assert stub.main() == 2
    err = capsys.readouterr().err
    assert "not here, or too old: tyro>=1.0, tensorflow-datasets>=4.9.9; where there" in err
    assert "then --wheels wheels" in err and err.count("\n") == 1
    monkeypatch.setattr(gpu, "missing", lambda: ["array-record>=0.8"])
    assert stub.main("--fresh", "--rows", "many/loop") == 0
    assert "only datasets in the cache are read; python -m pip" in capsys.readouterr().out


def test_packages_that_are_missing(tmp_path):
    file = tmp_path / "pyproject.toml"
    file.write_text('[project]\ndependencies = ["numpy>=2", "numpy<1", "no-such-package>=1.5"]\n')
    assert wheels.missing(file) == ["numpy<1", "no-such-package>=1.5"]
    assert wheels.missing() == []
    wrong = wheels.install(tmp_path, ["no-such-package>=1.5"])
    assert "No matching distribution found for no-such-package>=1.5" in wrong
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    line = wheels.how_to_make(["tyro>=1.0"])
    assert line.endswith(f"--python-version {version} -d wheels 'tyro>=1.0'")
    assert "pip wheel --no-deps -w wheels promise &&" in wheels.how_to_make(
        ["tensorflow-datasets>=4"]
    )


def test_page():
    figures = {"ms": 2.0, "batch": 512}
    rows = {
        "step/resnet18/bfloat16/jax": {"figures": figures},
        "step/resnet18/bfloat16/torch": {"figures": figures | {"ms": 4.0}},
        "step/resnet18/bfloat16/compiled": {"failed": "it broke"},
        "epoch/resnet18/tf32": {"left_out": "no time left"},
        "epoch/resnet18/float32": {"left_out": "no time left"},
    }
    page = row_table.page({"machine": MACHINE | {"tiny": False}, "rows": rows})
    assert page.startswith("# NVIDIA H200\n\n* 1 × NVIDIA H200 (580.0; 105 GiB for JAX)\n")
    assert "| ResNet-18 at 32×32, bfloat16 | 512 | 2 | 4 | failed | 0.50 |  |" in page
    assert "| resnet18/tf32 | not run |  |  |  |  |  |" in page
    assert "* `epoch/resnet18/tf32`, `epoch/resnet18/float32`: not run: no time left" in page
    assert "* cifar10 is not at hand: no such directory" in page
    assert "rehearsal" not in page and "many networks" not in page.lower()


def test_rehearsal_on_the_cpu(tmp_path):
    """The script itself: two networks at once, and a step; what needs PyTorch or CIFAR-10 says so."""
    out = tmp_path / "out"
    command = ["bash", str(FOLDER / "gpu.sh"), "--tiny", "--output", str(out)]
    done = subprocess.run(
        [*command, "--rows", "many/vmap", "step/mnist-cnn/bfloat16/[jt]*", "fast"],
        env=os.environ | {"PYTHON": sys.executable, "TFDS_DATA_DIR": str(tmp_path / "nothing")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    found = json.loads((out / "gpu.json").read_text())
    rows = found["rows"]
    assert rows["many/vmap"]["figures"]["count"] == 2
    assert rows["step/mnist-cnn/bfloat16/jax"]["figures"]["ms"] > 0
    torch = rows["step/mnist-cnn/bfloat16/torch"]
    assert ("figures" in torch) if find_spec("torch") else (torch["left_out"] == "no PyTorch")
    assert rows["fast"]["left_out"].startswith("no cifar10: ")
    page = (out / "gpu.md").read_text()
    assert page in done.stdout and "the figures mean nothing" in page
    assert "| MNIST CNN, bfloat16 | 2 | " in page
    assert {"out"} == {path.name for path in tmp_path.iterdir()}
