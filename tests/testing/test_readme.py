"""The page on the checks has every check, and tests for pytest that are the checks."""

from junlearn.testing import CHECKS
from tests import pages

PAGE = "junlearn/testing/README.md"


def test_its_tests_are_those_of_pytest():
    (block,) = (b for b in pages.of("python") if b.page == PAGE and "pytest" in b.text)
    names = {}
    exec(compile(block.text, block.id, "exec"), names)
    (mark,) = names["test_conforms"].pytestmark
    assert mark.args == ("check", CHECKS)
    names["test_conforms"](CHECKS[0])


def test_every_check_has_a_row():
    assert list(pages.rows(PAGE)) == [check.__name__ for check in CHECKS]
