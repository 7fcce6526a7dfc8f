"""A search for settings: the trials of each method, and the best of them as a configuration."""

from pathlib import Path
from typing import Any

from junlearn.commands.arguments import PROGRAM, Parser, configuration, fresh, path, plugin, text

__all__ = ["command", "parser"]


def parser() -> Parser:
    """The arguments of `search`; the help has the fields of `[search]`."""
    from junlearn.commands.fieldtable import field_lines, fields_of
    from junlearn.experiment.searching import Searching

    fields = field_lines(fields_of(Searching))
    parser = Parser(
        prog=f"{PROGRAM} search",
        description="""Search for settings of methods, without the test set. Optuna chooses them.

    [search]
    trials = 20
    [search.method.ssd]                  what is tried of a method; without it
    alpha = {low = 1.0, high = 100.0, log = true}    what the method suggests

The best settings are written as best.toml, which a run reads. The same command
goes on where it was cut off. Several may run at once, and share the trials.""",
        epilog="\n".join(
            [
                "examples:",
                f"  {PROGRAM} search --config search/digits_class --dry-run",
                f"  {PROGRAM} search --config FILE --trials 50",
                "",
                "fields of [search]",
                *fields,
            ]
        ),
    )
    add = parser.add_argument
    add("--config", type=configuration, required=True, metavar="FILE", help="a configuration")
    add("--workdir", type=path, metavar="DIR", help="default: runs/FOLDER_FILE, as of a run")
    add("--cache-dir", type=text, metavar="DIR", help="datasets and networks that all runs share")
    add("--dry-run", action="store_true", help="print the plan and stop")
    add("--trials", type=_count, metavar="N", help="of each method, in the place of search.trials")
    fresh(parser)
    plugin(parser)
    return parser


def _count(value: str) -> int:
    number = int(value)
    if number < 1:
        raise ValueError
    return number


_count.__name__ = "whole number of at least 1"


def command(arguments: list[str]) -> int:
    """Search, or print what a search would do; returns the exit status."""
    from junlearn import cli
    from junlearn.commands import places
    from junlearn.commands.carry_out import joined
    from junlearn.experiment import schema
    from junlearn.experiment.progress import Reporter
    from junlearn.reports import trials_table
    from junlearn.search.question import question_of
    from junlearn.search.rounds import Rounds
    from junlearn.search.studies import needed

    options = parser().parse_args(arguments)
    table = cli.with_plugins(schema.read(options.config), options.plugin)
    question = question_of(table, options.trials)
    workdir = options.workdir or cli.default_workdir(options.config, None)
    places.check(workdir, options.cache_dir)
    needed()
    console = joined([question.experiment])
    reporter = Reporter(console)
    question = question.foreseen(options.cache_dir, reporter)
    begun = Rounds.begun(workdir)
    rounds = Rounds(question, workdir, options.cache_dir, reporter) if begun else None
    trials_table.plan(question, {} if rounds is None else rounds.done(), console)
    if options.dry_run:
        return 0
    cli.keep_compilations(options.cache_dir)
    rounds = rounds or Rounds(question, workdir, options.cache_dir, reporter)
    try:
        rounds.run(options.fresh)
    finally:
        # Whatever ends the search: what was measured is in the tables.
        found = _written(rounds, workdir, _words(options), console)
    return _status(found)


def _words(options: Any) -> str:
    """The command, as it is typed again."""
    more = "" if options.trials is None else f" --trials {options.trials}"
    return f"{PROGRAM} search --config {options.config}{more}"


def _written(rounds: Any, workdir: Path, words: str, console: Any) -> Any:
    from junlearn.reports import trials_pictures, trials_table
    from junlearn.text.terminal import printable

    found = rounds.found()
    if not any(method.trials for method in found.methods):
        return found
    with rounds.desk.turn():
        paths = trials_table.write(rounds.question, found, workdir, words)
        paths += trials_pictures.write(found, workdir / "plots")
    trials_table.table(found, console)
    for running in (m for m in found.methods if m.count("running")):
        console.print(f"{running.label}: {running.count('running')} trials are not finished")
    for written in paths:
        console.print(f"written: {printable(written)}", soft_wrap=True)
    return found


def _status(found: Any) -> int:
    """1 where no trial of a method finished, which is said; else 0."""
    from junlearn.text.terminal import complain

    status = 0
    for method in found.methods:
        failed = [trial for trial in method.trials if trial.state == "failed"]
        if method.best is None and failed:
            complain(
                f"{method.label}: no trial finished, {len(failed)} failed; the last: {failed[-1].error}"
            )
            status = 1
    return status
