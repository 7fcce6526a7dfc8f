"""The walls of the house: which room may import which, told from the source of every module."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = (
    *("text", "errors", "display", "fields", "memo", "compiler", "types", "files", "logs"),
    *("parts", "models", "engine", "datasets", "scenarios", "metrics", "methods"),
    "plugins",
    *("outputs", "train", "many", "relearn", "hardness", "testing"),
    *("experiment", "search", "ledger", "comparison", "reports", "audit", "faces"),
)
"""From the ground up: a room imports itself and those before it."""
FACES = ("__init__", "api", "main", "cli", "compat", "commands", "interactive")
LAZY = {
    ("types.data", "datasets.huggingface"),
    ("types.network", "models.linen"),
    ("types.network", "models.nnx"),
    ("methods.rum", "methods"),
}
"""`Model.from_linen`, `Data.from_huggingface` and their like: the ground types of the library make the adapters' work
at hand, when asked. And the method that runs others asks the registry, which holds it, for these."""


def _modules() -> dict[str, Path]:
    found = {}
    for path in sorted((ROOT / "junlearn").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT / "junlearn").with_suffix("").parts)
        found[name if name == "__init__" else name.removesuffix(".__init__")] = path
    return found


MODULES = _modules()


def _names(path: Path) -> Iterator[str]:
    """Everything that a file imports, at its top and inside functions, as full names."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module is not None, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _module(name: str) -> str | None:
    """The module of the package that a full name lies in."""
    package, _, inner = name.partition(".")
    if package != "junlearn":
        return None
    while inner and inner not in MODULES:
        inner = inner.rpartition(".")[0]
    return inner or "__init__"


IMPORTS = {
    module: {found for name in _names(path) if (found := _module(name)) not in (None, module)}
    for module, path in MODULES.items()
}


def _room(module: str) -> str:
    room = module.partition(".")[0]
    return "faces" if room in FACES else room


def _arrows() -> list[tuple[str, str]]:
    arrows = [(module, found) for module, others in IMPORTS.items() for found in others]
    return [arrow for arrow in arrows if arrow not in LAZY]


def _between(*rooms: str) -> Iterator[tuple[str, str, str]]:
    for module, found in _arrows():
        if _room(module) in rooms:
            yield module, found, _room(found)


def test_imports_go_down():
    assert {_room(module) for module in MODULES} == set(ROOMS)
    wrong = [
        f"{module} imports {found}"
        for module, found in _arrows()
        if ROOMS.index(_room(found)) > ROOMS.index(_room(module))
    ]
    assert not wrong


def test_no_circle():
    lazy = {module: {found for start, found in LAZY if start == module} for module, _ in LAZY}
    TopologicalSorter(
        IMPORTS | {module: IMPORTS[module] - found for module, found in lazy.items()}
    ).prepare()


@pytest.mark.parametrize(
    ("room", "never"),
    [
        ("parts", {"engine", "methods"}),
        ("methods", {"engine", "datasets", "scenarios", "metrics", "experiment", "reports"}),
        ("engine", {"methods", "metrics", "datasets", "scenarios"}),
        ("metrics", {"engine", "methods", "parts", "models"}),
        ("models", {"engine", "methods", "datasets"}),
    ],
)
def test_walls(room, never):
    assert not [(module, found) for module, found, other in _between(room) if other in never]


def test_who_imports_the_experiment():
    rooms = {_room(module) for module, found in _arrows() if _room(found) == "experiment"}
    assert rooms <= {
        *("experiment", "search", "ledger", "comparison", "audit", "reports", "faces"),
    }


def test_who_imports_the_checks():
    rooms = {_room(module) for module, found in _arrows() if _room(found) == "testing"}
    assert rooms == {"testing", "faces"}


def test_the_package_needs_no_pytest():
    assert "pytest" not in {n.partition(".")[0] for p in MODULES.values() for n in _names(p)}


def test_only_models_know_flax():
    users = {m for m, p in MODULES.items() for n in _names(p) if n.partition(".")[0] == "flax"}
    assert users and {_room(module) for module in users} == {"models"}


def test_size_of_the_hall_and_of_files():
    assert len(list((ROOT / "junlearn").glob("*.py"))) <= 14
    folders = ("junlearn",)
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    long = {
        p.name: n for p in files if (n := len(p.read_text(encoding="utf-8").splitlines())) > 320
    }
    assert not long


def test_no_two_modules_of_one_name_mean_different_things():
    """A command is called as what it carries out, and so is the report of it."""
    names: dict[str, set[str]] = {}
    for module, path in MODULES.items():
        if path.stem != "__init__":
            names.setdefault(path.stem, set()).add(module.rpartition(".")[0])
    twice = {name: rooms for name, rooms in names.items() if len(rooms) > 1}
    assert all("commands" in rooms for rooms in twice.values())
    assert set(twice) == {"cache", "compare", "prepare", "run", "sweep"}
