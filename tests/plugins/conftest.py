"""Every test of plug-ins starts with what the package has itself."""

import sys

import pytest

from junlearn import cli
from junlearn.plugins import installed
from tests.plugins.sources import write


@pytest.fixture(autouse=True)
def only_own_names(own_names):
    """What one test registers, no other one finds."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current directory, with files of somebody else and a configuration that names one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "keep_compilations", lambda cache_dir: None)
    write(tmp_path)
    return tmp_path


@pytest.fixture
def package(tmp_path, monkeypatch):
    """`package(points, **files)`: an installed package with these entry points and modules."""

    def install(points: str, **files: str) -> None:
        root = tmp_path / "site"
        info = root / "my_package-1.2.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(points)
        for name, text in files.items():
            (root / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(str(root))
        installed.offered.cache_clear()

    before = set(sys.modules)
    yield install
    for name in set(sys.modules) - before:
        if not name.startswith(("junlearn.", "jax")):
            del sys.modules[name]
