"""A logger that fails is said once and left alone; what is no logger is named."""

import pytest

from junlearn.errors import ConfigError
from junlearn.logs import choices
from junlearn.logs.safely import Listeners


class Broken:
    """It fails when it is asked for the second time."""

    def __init__(self, error):
        self.error, self.asked = error, 0

    def log(self, values, step):
        self.asked += 1
        values.clear()
        if self.asked > 1:
            raise self.error


class Kept(list):
    def log(self, values, step):
        self.append((step, values))


def test_the_others_are_told_all():
    broken, kept, said = Broken(OSError("disk\nfull")), Kept(), []
    listeners = Listeners([broken, kept], said.append)
    for step in range(4):
        listeners.log({"loss": float(step)}, step)
    assert kept == [(step, {"loss": float(step)}) for step in range(4)]
    assert broken.asked == 2
    assert said == [
        "log Broken failed and is left out from here on, the run goes on (OSError: disk full)"
    ]


def test_an_interrupt_is_no_failure_of_the_logger():
    stopped = RuntimeError("stopped")
    stopped.__cause__ = KeyboardInterrupt()
    listeners = Listeners([Broken(stopped)], pytest.fail)
    listeners.log({}, 0)
    with pytest.raises(RuntimeError, match="stopped"):
        listeners.log({}, 1)


def test_names_of_loggers():
    choices.check(["csv", "wandb"])
    with pytest.raises(ConfigError, match="unknown logger 'cvs'; did you mean 'csv'"):
        choices.check(["cvs"])
