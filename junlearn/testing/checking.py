"""All checks, and a run of them over one method that tells what came of each."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from junlearn.engine import interrupts
from junlearn.errors import ConfigError
from junlearn.testing import form, sameness, stepping
from junlearn.testing.problems import Problem
from junlearn.testing.subject import NotApplicable, Subject, told

__all__ = ["CHECKS", "Check", "Verdict", "check"]

Check = Callable[[Subject], None]
"""It raises AssertionError with what is wrong, NotApplicable where it has nothing to look at."""

CHECKS: tuple[Check, ...] = (
    form.signatures,
    form.defaults,
    form.space,
    stepping.runs,
    stepping.fixed_point,
    stepping.one_trace,
    stepping.keys,
    stepping.donation,
    stepping.finite,
    stepping.finished,
    stepping.dropout,
    sameness.equal_keys,
    sameness.inputs_unchanged,
    sameness.scan,
    sameness.masked_rows,
    sameness.needs,
    sameness.resume,
)
"""What every method must do, in the order in which it is asked: a check is about one fault, and those behind it that
could not be asked then are not applicable."""


class Verdict(NamedTuple):
    """What came of one check."""

    name: str
    passed: bool | None
    """None: not applicable to this method."""
    detail: str
    """What is wrong and what to do, or why the check is not applicable; empty where it passed."""
    seconds: float


def check(
    method: Any,
    config: Any = None,
    problem: Problem | None = None,
    tell: Callable[[Verdict], None] | None = None,
) -> list[Verdict]:
    """Run all checks on a method and return what came of each; a fault of the method is a verdict, never an error.

    `method` is any object with `Config`, `make` and `NEEDS`; `config` and `problem` are as in `Subject`. `tell` is
    called with each verdict as soon as it is there.
    """
    verdicts: list[Verdict] = []

    def add(name: str, ask: Callable[[], None]) -> None:
        began = time.perf_counter()
        passed, detail = _asked(ask)
        verdicts.append(Verdict(name, passed, detail, time.perf_counter() - began))
        if tell is not None:
            tell(verdicts[-1])

    subject: Subject | None = None
    refused = False

    def begin() -> Subject:
        nonlocal subject, refused
        if refused:
            raise NotApplicable(f"there is nothing to run; see {CHECKS[0].__name__}")
        if subject is None:
            refused = True
            subject = Subject(method, config, problem)
            refused = False
        return subject

    for one in CHECKS:
        add(one.__name__, lambda one=one: one(begin()))  # type: ignore[misc]
    return verdicts


def _asked(ask: Callable[[], None]) -> tuple[bool | None, str]:
    try:
        ask()
    except NotApplicable as reason:
        return None, str(reason)
    except (AssertionError, ConfigError) as error:
        return False, " ".join(str(error).split())
    except Exception as error:
        if interrupts.behind(error) is not None:
            raise
        return False, f"the check stops: {told(error)}"
    return True, ""
