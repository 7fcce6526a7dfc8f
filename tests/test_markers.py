"""The markers of the suite: what `-m quick` leaves out, and whether plain tests are plain."""

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import QUICK, ROOT, TESTS


def test_every_package_has_a_quick_test():
    missing = [name for name in QUICK if not (TESTS / f"{name}.py").is_file()]
    assert not missing
    packages = {
        path.parent.relative_to(TESTS).as_posix()
        for path in TESTS.rglob("test_*.py")
        if "golden" not in path.parts
    }
    # The faces are tested in the folder of all tests.
    assert packages - {"."} == {name.rpartition("/")[0] for name in QUICK} - {""}
    assert "test_api" in QUICK


@pytest.mark.xdist_group("markers")
@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="there is one worker")
def test_one_worker_takes_all_tests_of_a_group(request):
    """pytest-xdist tells by the end of a test's name; without it every worker makes what a group shares."""
    assert request.node.nodeid.endswith("@markers")


def test_plain_tests_compile_as_users_do():
    program = """
import json, os
import tests.conftest
print(json.dumps(os.environ.get("XLA_FLAGS")))
"""

    def flags(**changes):
        kept = {
            n: v for n, v in os.environ.items() if n not in ("XLA_FLAGS", "JUNLEARN_PLAIN_TESTS")
        }
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env=kept | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)} | changes,
            check=True,
            capture_output=True,
            text=True,
        )
        return json.loads(done.stdout)

    assert flags(JUNLEARN_PLAIN_TESTS="1") is None
    assert "optimization_level=0" in flags()
