"""The conformance checks: what every unlearning method must do, asked of any method on tiny problems.

Here lives what the suite asks of the methods of this package, and what the author of another method asks of it, from
Python, from pytest or by `python -m junlearn.main check`. It may import plugins, engine, methods, parts, models and
types; nothing below the command line imports it, and it imports no pytest. Read `checking` first, which lists the
checks, then `subject`, which makes the runs that they look at.
"""

from junlearn.testing.checking import CHECKS, Check, Verdict, check
from junlearn.testing.limits import quick
from junlearn.testing.problems import Problem, initial_weights, make_problem, shortened, tiny
from junlearn.testing.subject import NotApplicable, Subject

__all__ = [
    "CHECKS",
    "Check",
    "NotApplicable",
    "Problem",
    "Subject",
    "Verdict",
    "check",
    "initial_weights",
    "make_problem",
    "quick",
    "shortened",
    "tiny",
]
