"""A report on what a run, a sweep or a ledger did, as one file; and whether a signed one is as it was written."""

import hashlib
from pathlib import Path
from typing import Any

from junlearn.commands.arguments import PROGRAM, Parser, path, plugin, text

__all__ = ["command", "parser", "verify_parser"]

NAMES = {"html": "report.html", "markdown": "report.md"}
"""Of the file in the directory, by format."""
AUDIT, LEDGER = "audit.jsonl", "ledger.jsonl"


def parser() -> Parser:
    """The arguments of `report`."""
    parser = Parser(
        prog=f"{PROGRAM} report",
        description="One file that tells what was asked for, what was done and what came of it: HTML\n"
        "that loads nothing and can be printed, or a model card in Markdown. It reads the\n"
        "records of a directory, the audit beside them, and the networks that are kept.\n"
        "It trains nothing.",
        epilog=f"""examples:
  {PROGRAM} report runs/digits_class
  {PROGRAM} report runs/digits_class --output report.html --no-images --tsne
  {PROGRAM} report runs/digits_class --format markdown --output CARD.md
  {PROGRAM} report runs/digits_class --sign key.pem
  {PROGRAM} report verify report.html --key public.pem

keys, by OpenSSL:
  openssl genpkey -algorithm ed25519 -out key.pem
  openssl pkey -in key.pem -pubout -out public.pem""",
    )
    add = parser.add_argument
    add(
        "directory",
        type=path,
        metavar="DIR",
        help="the working directory of a run or of a sweep, or a ledger",
    )
    add(
        "--output",
        type=path,
        metavar="FILE",
        help="default: report.html in DIR, or report.md; an earlier one is replaced",
    )
    add("--format", choices=tuple(NAMES), default="html", help="default: html")
    add("--no-images", action="store_true", help="show no forgotten image and no name of one")
    add("--tsne", action="store_true", help="draw embeddings by t-SNE, not by principal components")
    add("--sign", type=path, metavar="KEY", help="write FILE.sig too: Ed25519, KEY in PEM")
    add("--cache-dir", type=text, metavar="DIR", help="where the run has kept its networks")
    plugin(parser)
    return parser


def verify_parser() -> Parser:
    """The arguments of `report verify`."""
    parser = Parser(
        prog=f"{PROGRAM} report verify", description="Whether a report is as it was signed."
    )
    parser.add_argument("file", type=path, metavar="FILE")
    parser.add_argument("--key", type=path, required=True, metavar="PUBLIC", help="in PEM")
    parser.add_argument("--signature", type=path, metavar="FILE", help="default: FILE.sig")
    return parser


def command(arguments: list[str]) -> int:
    """Write a report, or verify one; returns the exit status."""
    from junlearn.text.terminal import Terminal, printable

    console = Terminal()
    if arguments[:1] == ["verify"]:
        from junlearn.reports import signature

        asked = verify_parser().parse_args(arguments[1:])
        key = signature.public_key(asked.key)
        signature.verify(asked.file, key, asked.signature)
        told = f"{printable(asked.file)} is as it was signed with the key"
        console.print(f"{told} {signature.fingerprint(key)}", soft_wrap=True)
        return 0
    options = parser().parse_args(arguments)
    for what, place in _written(options, console):
        console.print(f"{what}: {printable(place)}", soft_wrap=True)
    return 0


def _written(options: Any, console: Any) -> list[tuple[str, Path]]:
    """Write the files that are asked for, and return what each is."""
    from junlearn.commands import places
    from junlearn.files import replace
    from junlearn.reports import signature

    key = None if options.sign is None else signature.private_key(options.sign)
    output = options.output or options.directory / NAMES[options.format]
    if options.directory.is_dir():
        places.check_file("--output", output)
    mark = "" if key is None else signature.fingerprint(key.public_key())
    if (options.directory / LEDGER).exists():
        replace(output, _of_ledger(options, mark))
    else:
        replace(output, _of_runs(options, mark, console))
    files = [("report", output)]
    if key is not None:
        files.append(("signature", signature.sign(output, key)))
    return files


def _of_ledger(options: Any, mark: str) -> str:
    """The report on a ledger."""
    from junlearn.ledger import facts
    from junlearn.reports import ledger_page

    write = ledger_page.card if options.format == "markdown" else ledger_page.page
    found = facts(options.directory, options.cache_dir)
    return write(found, names=not options.no_images, key=mark)


def _of_runs(options: Any, mark: str, console: Any) -> str:
    """The report on a run or a sweep."""
    from junlearn.audit import audit_log
    from junlearn.reports import run_page
    from junlearn.text.terminal import printable

    remarks: list[str] = []
    gathered = _experiments(options, remarks)
    audits = audit_log.read(options.directory / AUDIT, remarks.append)
    for line in remarks:
        console.print(printable(line), soft_wrap=True)
    subject = run_page.Subject(gathered, audits, remarks, not options.no_images, mark)
    if options.format == "markdown":
        return run_page.card(subject)
    return run_page.page(subject, tsne=options.tsne)


def _experiments(options: Any, remarks: list[str]) -> list[Any]:
    """What there is to tell of: one experiment of a run, one a point of a sweep; networks are asked of the first.

    What cannot be read is added to `remarks`.
    """
    from junlearn.comparison.gathering import logs
    from junlearn.errors import ConfigError
    from junlearn.experiment.records import read
    from junlearn.reports.page.configuration import groups
    from junlearn.reports.run_page import Experiment, heading

    root: Path = options.directory
    if not root.is_dir():
        raise ConfigError(f"report {root}: there is no such directory")
    found = []
    for log in logs(root):
        for records in groups(read(log, remarks.append)):
            title = heading(records[0])
            named = title if log.parent == root else f"{log.parent.name}: {title}"
            found.append((log.parent, Experiment(records, named, _listing(log.parent))))
    if not found:
        why = remarks[0] if remarks else "give the --workdir of a run or of a sweep, or a ledger"
        raise ConfigError(f"report {root}: there are no records in it; {why}")
    (folder, first), *others = found
    return [_asked(first, folder, options), *(experiment for _, experiment in others)]


def _asked(experiment: Any, folder: Path, options: Any) -> Any:
    """The experiment with what its kept networks say, or with the reason why that is not there."""
    from junlearn import cli
    from junlearn.errors import JunlearnError
    from junlearn.experiment.revisit import revisit
    from junlearn.reports.page.configuration import merged

    try:
        cli.keep_compilations(options.cache_dir)
        config = cli.with_plugins(merged(experiment.records), options.plugin)
        found = revisit(
            *(experiment.records, config, folder, options.cache_dir), images=not options.no_images
        )
    except (JunlearnError, OSError) as error:
        return experiment._replace(absent=str(error))
    return experiment._replace(found=found)


def _listing(folder: Path) -> str:
    """Where the list of what was forgotten is, and its hash."""
    from junlearn.experiment.request import FORGOTTEN

    place = folder / FORGOTTEN
    if not place.is_file():
        return ""
    mark = hashlib.sha256(place.read_bytes()).hexdigest()
    return f"{FORGOTTEN} beside the records (SHA-256 {mark})"
