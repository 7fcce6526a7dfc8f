"""An audit: whether the networks that methods leave can be told from retrained ones, each value beside its null."""

import sys
from pathlib import Path
from shlex import quote
from typing import Any

from junlearn.commands.arguments import PROGRAM, Parser, not_logged, power, shard
from junlearn.experiment.sharding import Shard

__all__ = ["command", "parser"]

FIRST = "audit/digits_quick"
"""The configuration that is audited where none is given."""
EXAMPLES = f"""\
examples:
  {PROGRAM} audit
  {PROGRAM} audit --methods finetune scrub --audit.models 64
  {PROGRAM} audit --audit.design random --audit.targets 400
  {PROGRAM} audit --config laf/mnist_random --plan 0.2"""


def parser() -> Parser:
    """The arguments of `audit`, beside the options of a run; the help has the fields of `[audit]`."""
    from junlearn.commands.fieldtable import field_lines, fields_of
    from junlearn.experiment.auditing import Auditing

    fields = field_lines(fields_of(Auditing))
    parser = Parser(
        prog=f"{PROGRAM} audit",
        description="Train ensembles of original and retrained networks, unlearn with every method,\n"
        "and tell by how much, and how surely, each differs from retraining. Networks are\n"
        "kept in a bank and trained once. Options that are not listed change the\n"
        f"experiment, as in a run; without --config it is {FIRST}.",
        epilog="\n".join(
            [EXAMPLES, "", "fields of [audit], each an option --audit.FIELD", *fields]
        ),
    )
    parser.add_argument(
        "--shard",
        type=shard,
        metavar="I/N",
        help="one of N jobs, from 0 on, that fill the bank together and judge nothing; without it the same command "
        "judges",
    )
    parser.add_argument(
        "--plan",
        nargs="?",
        type=power,
        const=0.2,
        metavar="SHIFT",
        help="train nothing: say what shift of the margins would be seen, and how many networks see SHIFT (0.2)",
    )
    return parser


def command(arguments: list[str]) -> int:
    """Audit the methods of an experiment; returns the exit status."""
    own, others = parser().parse_known_args(arguments)
    from junlearn import cli
    from junlearn.commands import places
    from junlearn.experiment import shipped
    from junlearn.reports import tables

    options, rest = cli.split_arguments(others)
    not_logged("audit", options)
    if options.config is None:
        options.config = shipped.find(Path(FIRST))
    for path in options.table:
        tables.check(path)
    experiment = cli.experiment(options, rest, optional="audit")
    workdir = Path(options.workdir or cli.default_workdir(options.config, experiment))
    if own.plan is not None:
        return _plan(experiment, options.cache_dir, own.plan)
    places.check(workdir, options.cache_dir)
    if own.shard is not None:
        return _fill(experiment, workdir, options.cache_dir, own.shard)
    for path in options.table:
        places.check_file("--table", path, within=workdir)
    return _carry_out(experiment, workdir, options)


def _carry_out(experiment: Any, workdir: Path, options: Any) -> int:
    from junlearn import cli
    from junlearn.audit.conduct import audit_experiment
    from junlearn.commands.carry_out import joined
    from junlearn.commands.complaints import complain
    from junlearn.experiment.progress import Reporter
    from junlearn.reports import audit_table
    from junlearn.text.terminal import printable

    console = joined([experiment])
    cli.keep_compilations(options.cache_dir)
    found = audit_experiment(
        experiment, workdir, options.cache_dir, Reporter(console), options.fresh
    )
    found.table(console)
    names = [quote(str(path)) for path in (workdir / "config.json", workdir)]
    again = f"{PROGRAM} audit --config {names[0]} --workdir {names[1]}"
    console.print(f"records: {printable(workdir / 'audit.jsonl')}", soft_wrap=True)
    console.print(f"report: {printable(found.page(workdir / 'audit.html', again))}", soft_wrap=True)
    if options.plot_format:
        for path in found.plots(workdir / "plots", options.plot_format):
            console.print(f"plot: {printable(path)}", soft_wrap=True)
    for path in options.table:
        audit_table.write_table(found.rows, path)
        console.print(f"table: {printable(path)}", soft_wrap=True)
    return min((complain(e, f"{label}: ") for label, e in found.failures.items()), default=0)


def _fill(experiment: Any, workdir: Path, cache_dir: str | None, shard: Shard) -> int:
    """Make the networks of one job."""
    from junlearn import cli
    from junlearn.audit.conduct import audit_experiment
    from junlearn.commands.carry_out import joined
    from junlearn.commands.complaints import complain
    from junlearn.experiment.progress import Reporter

    console = joined([experiment])
    cli.keep_compilations(cache_dir)
    found = audit_experiment(experiment, workdir, cache_dir, Reporter(console), shard=shard)
    told = "the same command without --shard judges when every shard is done"
    console.print(f"shard {shard}: {told}", soft_wrap=True)
    return min((complain(e, f"{label}: ") for label, e in found.failures.items()), default=0)


def _plan(experiment: Any, cache_dir: str | None, shift: float) -> int:
    """Say what the audit would see, before anything is trained."""
    from rich.console import Console

    from junlearn.audit import power as seen
    from junlearn.audit.conduct import check_scenario, section_of
    from junlearn.experiment import scoring
    from junlearn.experiment.auditing import twins
    from junlearn.experiment.preparing import prepare
    from junlearn.experiment.progress import Reporter

    check_scenario(experiment)
    auditing = section_of(experiment)
    setup = prepare(experiment, cache_dir, Reporter(Console(quiet=True)), training=False)
    examples = len(setup.split.forget)
    if scoring.asked(experiment) is not None:
        _, line = scoring.foreseen(experiment, setup.dataset)
        sys.stdout.write(f"{line}\n" if line else "")
    count, methods = auditing.models, len(experiment.methods)
    if auditing.design == "random":
        cost = (2 * count, 2 * count * auditing.forget_sets * methods)
    else:
        cost = (2 * count + twins(auditing), count * methods)
        sys.stdout.write(seen.plan(count, examples, shift))
    methods_word = "1 method" if methods == 1 else f"{methods} methods"
    sys.stdout.write(f"{methods_word}: {cost[0]:,} trainings, {cost[1]:,} unlearnings\n")
    return 0
