"""The command line: parsing and calls only. `--help` shows it; each command is a module of `junlearn.commands`.

Exit status: 0 success, 2 a mistake in usage, configuration or files (one line on stderr), 1 a failure while running,
130, 143 or 129 when SIGINT (Ctrl-C), SIGTERM or SIGHUP ended it (a run that is training saves first, and the same
command goes on there; a second signal ends it at once), 141 when whoever read its output was gone.
A method that fails does not keep the others from running: they are in the table, it is named on stderr.
"""

import gc
import signal
import sys
from collections.abc import Sequence
from importlib import import_module

__all__ = ["main"]

COMMANDS = {
    "audit": "junlearn.commands.audit",
    "cache": "junlearn.commands.cache",
    "check": "junlearn.commands.check",
    "compare": "junlearn.commands.compare",
    "compat": "junlearn.compat",
    "export": "junlearn.commands.export",
    "help": "junlearn.commands.guide",
    "ledger": "junlearn.commands.ledger",
    "list": "junlearn.commands.listing",
    "prepare": "junlearn.commands.prepare",
    "report": "junlearn.commands.report",
    "search": "junlearn.commands.search",
    "statistics": "junlearn.commands.statistics",
    "sweep": "junlearn.commands.sweep",
}
"""The module of each command, whose `command(arguments)` carries it out; it is imported when it is asked for."""

COLLECT = (50_000, 10, 10)
"""New objects after which Python looks for cycles among them, and how often among older ones. By its own numbers (700
objects, or 2,000) it looks through all that is imported and traced again and again, half a second of every run."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    gc.set_threshold(*COLLECT)
    from junlearn.commands.complaints import complain
    from junlearn.engine import interrupts
    from junlearn.text import terminal

    with interrupts.handled():
        try:
            terminal.open_streams()
            with terminal.logging_lines():
                status = _command(list(sys.argv[1:] if argv is None else argv))
            terminal.flush()
        except BrokenPipeError:
            terminal.silence_output()
            return 128 + signal.SIGPIPE
        except OSError as error:
            status = complain(error)
            # What could not be written would be tried again at the end.
            terminal.silence_output()
            return status
        except BaseException as error:
            # Libraries can turn what a signal raised within them into errors of their own.
            stopped = interrupts.behind(error)
            if stopped is None:
                raise
            terminal.silence_output()
            terminal.complain(str(stopped))
            return stopped.status
        return status


def _command(arguments: list[str]) -> int:
    from junlearn.commands.complaints import complain
    from junlearn.errors import DivergedError, JunlearnError, unknown

    try:
        if arguments[:1] in (["--version"], ["-V"]):
            module, rest = "junlearn.commands.version", arguments[1:]
        elif not arguments or arguments[0].startswith("-"):
            module, rest = "junlearn.commands.run", arguments
        elif arguments[0] in COMMANDS:
            module, rest = COMMANDS[arguments[0]], arguments[1:]
        else:
            raise unknown("command", arguments[0], [*COMMANDS, "--version"])
        return int(import_module(module).command(rest))
    except (JunlearnError, DivergedError) as error:
        return complain(error)


if __name__ == "__main__":
    sys.exit(main())
