"""The rows of `gpu.py` as a page in Markdown."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from report import markdown

from gpu_rows.row_plan import CASES, PRECISIONS, SIDES

__all__ = ["page"]

Rows = Mapping[str, Mapping[str, Any]]
MARKS = {"failed": "failed", "left_out": "not run"}
TITLES = {"resnet18": "ResNet-18 at 32×32", "mnist-cnn": "MNIST CNN"}
STEPS = """\
JAX: the jitted step in `lax.scan`. PyTorch: channels last, `cudnn.benchmark`, optimisers as they come; compiled:
`torch.compile` of the network. bfloat16: float32 parameters, the network in bfloat16 (PyTorch: autocast). tf32:
products of float32 numbers as JAX makes them by itself, `allow_tf32` of PyTorch on for matrices and convolutions.
float32: JAX's "highest", `allow_tf32` off. A ratio below 1: JAX is faster."""
TINY = "**A rehearsal: the problems are tiny, and the figures mean nothing.**"
ONCE = "Rows were measured once, in processes of their own or after others of their kind. Nothing was compiled before."


def page(found: Mapping[str, Any]) -> str:
    """Of the JSON file's content all that is to be read."""
    rows = found["rows"]
    parts = [
        f"# {found['machine']['device']}",
        _machine(found["machine"]),
        TINY if found["machine"]["tiny"] else ONCE,
        _section("A training step", STEPS, _steps(rows)),
        _section("An epoch of ResNet-18 on CIFAR-10, by the engine", "", _epochs(rows)),
        _section("The fast recipe, `configs/speed/cifar10.toml`", "", _fast(rows)),
        _section("Many networks: `train_many`", _many_text(rows), _many(rows)),
        _section("Every method once", _methods_text(rows), _methods(rows)),
        _section("The audit, `configs/audit/cifar10_fast.toml`", "", _audit(rows)),
        _section("What has no figure", "", _reasons(rows)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(title: str, text: str, table: str) -> str:
    return "\n\n".join([f"## {title}", *filter(None, [text, table])]) if table else ""


def _machine(machine: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    said = [
        f"* {machine['devices']} × {machine['device']} ({machine['driver'] or 'no NVIDIA driver'}; "
        f"{machine['memory'] or 'memory unknown'})",
        f"* {machine['processor']}",
        f"* {versions}",
        f"* {machine['date']}, commit {machine['commit'] or 'unknown'}, code {machine['code']}",
    ]
    for name, sizes in machine["data"].items():
        if isinstance(sizes, str):
            said.append(f"* {name} is not at hand: {sizes}")
        else:
            said.append(f"* {name}: {sizes[0]:,} training and {sizes[1]:,} test images")
    return "\n".join(said)


def _cell(row: Mapping[str, Any], value: Callable[[Mapping[str, Any]], str]) -> str:
    """A figure, or a word for why there is none; nothing for a row that was not asked for."""
    if "figures" in row:
        return value(row["figures"])
    return next((word for name, word in MARKS.items() if name in row), "")


def _steps(rows: Rows) -> str:
    lines = []
    for case in CASES:
        for precision in PRECISIONS:
            sides = [rows.get(f"step/{case}/{precision}/{side}", {}) for side in SIDES]
            if not any(sides):
                continue
            batch = next((str(row["figures"]["batch"]) for row in sides if "figures" in row), "")
            times = [_cell(row, lambda f: f"{f['ms']:.3g}") for row in sides]
            ratios = [_ratio(sides[0], other) for other in sides[1:]]
            lines.append([f"{TITLES[case]}, {precision}", batch, *times, *ratios])
    header = ["case", "batch", "JAX ms", "PyTorch ms", "compiled ms", "ratio", "ratio, compiled"]
    return markdown(header, lines) if lines else ""


def _ratio(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    if "figures" not in one or "figures" not in other:
        return ""
    return f"{one['figures']['ms'] / other['figures']['ms']:.2f}"


def _table(
    rows: Rows,
    start: str,
    header: Sequence[str],
    values: Callable[[Mapping[str, Any]], list[str]],
    texts: int = 1,
) -> str:
    """A line for each row whose name begins so; without figures only the word for why. `texts`: columns of text."""
    lines = []
    for name, row in rows.items():
        if name != start and not name.startswith(f"{start}/"):
            continue
        cells = [""] * (len(header) - 1)
        if "figures" in row:
            cells = values(row["figures"])
        elif row:
            cells[0] = _cell(row, lambda _: "")
        lines.append([name.partition("/")[2] or name, *cells])
    return markdown(header, lines, texts) if lines else ""


def _epochs(rows: Rows) -> str:
    header = ["precision", "s", "images", "images a second", "compile s", "batch", "images are"]
    return _table(
        rows,
        "epoch",
        header,
        lambda f: [
            f"{f['s']:.3g}",
            f"{f['images']:,}",
            f"{f['images_a_second']:,.0f}",
            f"{f['compile']:.1f}",
            str(f["batch"]),
            f["images_are"],
        ],
        texts=2,
    )


def _fast(rows: Rows) -> str:
    header = ["", "test accuracy %", "epochs", "s in steps", "compile s", "whole command s"]
    return _table(
        rows,
        "fast",
        header,
        lambda f: [
            f"{100 * f['accuracy']:.2f}",
            str(f["epochs"]),
            *(f"{f[name]:.1f}" for name in ("run", "compile", "whole")),
        ],
    )


def _first(rows: Rows, start: str) -> Mapping[str, Any] | None:
    """The figures of one of the rows whose name begins so."""
    found = (
        row["figures"] for name, row in rows.items() if name.startswith(start) and "figures" in row
    )
    return next(found, None)


def _many_text(rows: Rows) -> str:
    one = _first(rows, "many/")
    if one is None:
        return ""
    return (
        f"{one['count']} networks `{one['model']}`, each {one['epochs']} epochs of nine tenths of {one['examples']:,} "
        f"random images, batches of {one['batch']}. loop: one network after the other, by one program."
    )


def _many(rows: Rows) -> str:
    header = ["way", "networks a minute", "s", "s in steps", "s of the first call"]
    return _table(
        rows,
        "many",
        header,
        lambda f: [
            f"{f['a_minute']:,.0f}",
            *(f"{f[name]:.2f}" for name in ("again", "steps", "first")),
        ],
    )


def _methods_text(rows: Rows) -> str:
    one = _first(rows, "method/")
    if one is None:
        return ""
    job = one["job"]
    return (
        f"The job of `runs.py`: {job['dataset']}, the first {job['examples']:,} images, class 0 is forgotten. Several "
        "processes share the GPU and the host meanwhile: the seconds are more than those of a method alone."
    )


def _methods(rows: Rows) -> str:
    header = ["method", "unlearn s", "compile s", "retain test %", "forget test %", "network"]
    return _table(
        rows,
        "method",
        header,
        lambda f: [
            *(f"{f[name]:.2f}" for name in ("unlearn", "own")),
            *(f"{100 * f[name]:.1f}" for name in ("retain_test", "forget_test")),
            f["model"],
        ],
        texts=2,
    )


def _audit(rows: Rows) -> str:
    header = ["", "whole command s", "networks", "options", "verdicts"]
    return _table(
        rows,
        "audit",
        header,
        lambda f: [
            f"{f['whole']:.1f}",
            ", ".join(f"{count} {name}" for name, count in f["networks"].items()),
            f"`{f['options']}`",
            "; ".join(
                f"{method}: {', '.join(f'{part} {said}' for part, said in verdict.items())}"
                for method, verdict in f["verdicts"].items()
            ),
        ],
        texts=4,
    )


def _reasons(rows: Rows) -> str:
    """Why rows have no figure, those with the same reason together."""
    reasons: dict[str, list[str]] = {}
    for name, row in rows.items():
        for kind, word in MARKS.items():
            if kind in row:
                reasons.setdefault(f"{word}: {row[kind]}", []).append(f"`{name}`")
    return "\n".join(f"* {', '.join(names)}: {reason}" for reason, names in reasons.items())
