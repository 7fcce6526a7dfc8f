"""Settings for the whole suite, and the tiny problems that it runs on."""

import functools
import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

PLAIN = bool(os.environ.get("JUNLEARN_PLAIN_TESTS"))
"""Whether programs are compiled with the options that users have."""
# Most of the suite's time is compilation, for programs that run once: LLVM need not optimise them. The cache, shared by
# all workers and thrown away at the end, keeps a program from being compiled once a test.
UNOPTIMISED = ["--xla_backend_optimization_level=0", "--xla_llvm_disable_expensive_passes=true"]
# A third less time. XLA stops at a flag that it does not know, so it is set for the versions that were tried.
KNOWN = version("jaxlib").startswith("0.10.")
PLAIN_EMITTERS = ["--xla_cpu_use_fusion_emitters=false"] if KNOWN else []
# A fifth less of what compiles: a tiny program is not worth the threads that compile its parts side by side.
WHOLE = ["--xla_cpu_parallel_codegen_split_count=1"] if KNOWN else []
if not PLAIN:
    os.environ.setdefault("XLA_FLAGS", " ".join(UNOPTIMISED + PLAIN_EMITTERS + WHOLE))
# A directory that somebody else named, a developer or the process that started this worker, stays as it is.
COMPILED = None
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    COMPILED = os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="compiled-")
# A worker has one core: threads of its own (the boosted trees have some) would only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import jax  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402
from _pytest.capture import EncodedFile  # noqa: E402

if not PLAIN:
    # A fourteenth less time. A collection walks all that was traced and compiled so far.
    gc.set_threshold(50_000, 20, 20)

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_rank_promotion", "raise")

from junlearn.datasets import DATASETS  # noqa: E402
from junlearn.engine import compilations  # noqa: E402
from junlearn.plugins import installed, registry  # noqa: E402
from junlearn.testing import Problem, make_problem, tiny  # noqa: E402
from junlearn.text import terminal  # noqa: E402
from tests import small_run  # noqa: E402

# JAX writes its files piece by piece, and another worker may read half of one; ours appear whole.
compilations.keep(Path(os.environ["JAX_COMPILATION_CACHE_DIR"]), 0.05)

optimised = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 3})
"""`jax.jit` whose loops LLVM optimises: for large networks in float64, which take longer to run than to compile."""

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests"
GOLDEN = TESTS / "golden"

UNTRACED = {
    "adapters",
    "benchmarks",
    "check",
    "convolution",
    "distributed",
    "dropout",
    "growth",
    "gradients",
    "kill",
    "many",
    "memo",
    "realdata",
    "resnet9",
    "retracing",
    "train_mode",
    "vgg",
    "vit",
    "wide_networks",
}
"""Files of tests that run without coverage, as all of `test_golden_*` do; its tracer would make them a quarter longer.

They compare numbers, and reach few lines that the tests of each part do not reach.
"""

QUICK = {
    *("test_api", "test_imports", "test_public_names", "text/test_terminal"),
    *("reports/test_table", "reports/test_tables", "commands/test_list"),
    *("comparison/test_numbers", "comparison/test_placing"),
    *("experiment/test_schema", "experiment/test_shipped", "experiment/test_records"),
    *("datasets/test_digits", "datasets/test_config", "datasets/test_tfds"),
    *("scenarios/test_class_names", "scenarios/test_scenarios", "scenarios/test_corrective"),
    *("metrics/test_probabilities", "metrics/test_distance", "metrics/ensemble/test_signals"),
    *("metrics/ensemble/test_energy", "methods/test_contract", "notebooks/test_equations"),
    *("engine/test_run", "engine/inputs/test_arrays", "engine/inputs/test_arguments"),
    *("parts/test_feeds", "parts/test_descent", "models/test_adapters"),
    *("plugins/test_registry", "testing/test_limits", "audit/test_nulls", "ledger/test_chain"),
    *("hardness/test_hardness", "interactive/test_options"),
    *("logs/test_safely", "search/test_refusals"),
}
"""Files of tests that are marked `quick`: cheap ones, which together touch every package."""

FEW = {"finetune", "ssd"}
"""Methods whose conformance is marked `bitwise`, and tested with the options of users too."""

NETWORKS = {"convnet", "golden", "mlp"}
"""Fixtures of tests that run networks: of a test's cases the first is traced, the others reach few lines more."""


def pytest_unconfigure(config: pytest.Config) -> None:
    """The process that made the directory of compiled programs removes it."""
    if COMPILED is not None:
        shutil.rmtree(COMPILED, ignore_errors=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks the tests that coverage leaves alone, the quick ones and those of few methods that compare bits.

    Without prepared datasets the tests that read them are left out.
    """
    traced = set()
    for item in items:
        if item.path.relative_to(TESTS).with_suffix("").as_posix() in QUICK:
            item.add_marker("quick")
        if item.path.stem == "test_conformance" and _method(item) in FEW:
            item.add_marker("bitwise")
        test = (item.path, getattr(item, "originalname", item.name))
        repeats = test in traced and NETWORKS & set(getattr(item, "fixturenames", ()))
        if repeats or not _traced(item, first=test not in traced):
            item.add_marker("no_cover")
        traced.add(test)
    if os.environ.get("TFDS_DATA_DIR"):
        return
    real = [item for item in items if item.get_closest_marker("realdata")]
    if real:
        config.hook.pytest_deselected(items=real)
        items[:] = [item for item in items if item not in real]


def _traced(item: pytest.Item, first: bool) -> bool:
    """Whether coverage looks at a test. Of the methods it looks at one plain run of each.

    `first`: of the cases of a test. Those of the rooms that compute reach the same lines.
    """
    stem = item.path.stem.removeprefix("test_")
    if item.path.parent.name in ("engine", "parts", "metrics", "testing") and not first:
        return False
    if item.path.parent.name == "methods":
        return stem == "contract" or (stem == "conformance" and "runs" in item.name)
    return stem not in UNTRACED and not stem.startswith("golden_")


def _method(item: pytest.Item) -> str | None:
    """The method that a conformance test is about."""
    return item.callspec.params.get("name") if hasattr(item, "callspec") else None


@pytest.fixture(autouse=True)
def _captured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that ends in an error sends the rest of its output nowhere; pytest's own file is not its output."""
    silence = terminal.silence_output

    def silence_output() -> None:
        if not isinstance(sys.stdout, EncodedFile):
            silence()

    monkeypatch.setattr(terminal, "silence_output", silence_output)


@pytest.fixture
def key() -> jax.Array:
    return jax.random.key(0)


@pytest.fixture
def own_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the package has itself is all that is known, before the test and after it."""
    for kind in registry.REGISTERED:
        monkeypatch.setitem(registry.REGISTERED, kind, {})
    installed.offered.cache_clear()
    yield
    installed.offered.cache_clear()


@pytest.fixture
def tfds_dir() -> Path:
    return Path(os.environ["TFDS_DATA_DIR"])


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


@pytest.fixture
def golden():
    """The arrays of a reference case as a dict."""

    def load(name: str) -> dict[str, np.ndarray]:
        with np.load(GOLDEN / f"{name}.npz") as case:
            return dict(case)

    return load


@pytest.fixture(scope="session")
def mlp() -> Problem:
    return tiny("mlp")


@pytest.fixture(scope="session")
def convnet() -> Problem:
    return make_problem("small_cnn")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A current directory with a small configuration, a cache of its own, and nothing of the user's."""
    small_run.enter(tmp_path, monkeypatch)
    return tmp_path


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """`(directory, output)` of a run of the small configuration; its workdir is `w`."""
    directory = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        small_run.enter(directory, patch)
        return directory, small_run.output("--config", "small.toml", "--workdir", "w")


@pytest.fixture
def trained_place(finished, place):
    """`place`, whose cache holds the original and the retrained network of the small configuration."""
    shutil.copytree(finished[0] / "cache", place / "cache")
    return place


@pytest.fixture(scope="session")
def digits():
    return DATASETS["digits"].make(DATASETS["digits"].Config())
