"""The wheel: what it holds, and that it works where the repository is not."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = [pytest.mark.wheel, pytest.mark.xdist_group("wheel")]

SHORT = ("--model.name", "mlp", "--methods", "finetune", "ssd", "--train.epochs", "1")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def away(wheel, tmp_path_factory):
    """A fresh environment with the wheel; the other packages are those of the environment of the tests."""
    folder = tmp_path_factory.mktemp("away")
    venv.create(folder / "env", symlinks=True)
    python = folder / "env" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", str(wheel)], check=True)
    (packages,) = (folder / "env" / "lib").glob("python*/site-packages")
    # As a plain line, for which Python looks into no .pth file there: an editable installation stays out.
    others = [sysconfig.get_path("purelib"), *(p for p in sys.path if p.endswith("-packages"))]
    (packages / "others.pth").write_text("\n".join(others))
    return folder


def call(away: Path, program: str, *arguments: str) -> subprocess.CompletedProcess:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [str(away / "env" / "bin" / program), *arguments],
        cwd=away,
        env=kept | {"JUNLEARN_CACHE_DIR": str(away / "cache"), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )


def test_the_wheel_holds_code_types_and_configurations_alone(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {
        "junlearn",
        f"{wheel.name[:14]}.dist-info",
    }
    configs = {path.relative_to(ROOT).as_posix() for path in (ROOT / "configs").rglob("*.toml")}
    assert configs and {f"junlearn/{path}" for path in configs} < set(names)
    templates = "junlearn/reports/page/templates"
    own = {f"{templates}/{path.name}" for path in (ROOT / templates).iterdir()}
    assert f"{templates}/skeleton.html" in own < set(names)
    assert {"junlearn/py.typed", "junlearn/first_run.toml"} < set(names)
    notebooks = {f"junlearn/notebooks/{name}" for name in ("equations.md", "first_steps.ipynb")}
    assert {"junlearn/metrics/GLOSSARY.md", *notebooks} < set(names)


def test_the_main_job_runs_where_the_repository_is_not(away):
    where = call(away, "python", "-c", "import junlearn; print(junlearn.__file__)").stdout
    assert Path(where).is_relative_to(away)
    done = call(away, "python", "-m", "junlearn.main", "--workdir", "w", *SHORT)
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in (away / "w" / "records.jsonl").read_text().splitlines()]
    assert [r["method"] for r in records] == ["original", "retrain", "finetune", "ssd"]


def test_a_shipped_configuration_is_found_by_its_name(away):
    done = call(away, "junlearn", "--config", "laf/mnist_class", "--help", "train")
    assert done.returncode == 0, done.stderr
    assert "epochs" in done.stdout
    done = call(away, "junlearn", "list", "method", "laf")
    assert "  configs/laf/fashion_mnist_class.toml\n" in done.stdout
