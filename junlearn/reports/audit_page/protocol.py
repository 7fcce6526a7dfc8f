"""How an audit was done, in words."""

from collections.abc import Iterator, Sequence

from junlearn.reports.audit_cells import Row, label

__all__ = ["SCOPE", "protocol"]

SCOPE = (
    "This audit tests outputs on the named rows of data. It says nothing about the weights of the networks or about "
    "other inputs, and a difference that so few networks cannot show may still be there."
)
SOURCES = {
    "split": "random splits of the retrained networks and their twins into halves",
    "pooled": "permutations of unlearned and retrained networks, pooled, since there are no twins",
    "coins": "coins that are tossed anew within blocks",
    "exact": "an exact law",
}


def protocol(rows: Sequence[Row]) -> list[str]:
    """Sentences on networks, seeds, pairing, nulls, correlation and tests."""
    first = rows[0]
    random = first["design"] == "random"
    return [
        *(_runs(rows) if random else _ensembles(rows)),
        *_seeds(first),
        *_nulls(rows),
        *_spread(first),
    ]


def _ensembles(rows: Sequence[Row]) -> Iterator[str]:
    first = rows[0]
    counts = first.get("models", {})
    yield (
        f"{counts.get('original', '?')} original networks were trained on all data, and each method was given the "
        f"request in each of them: {_counts(rows)}."
    )
    yield f"{counts.get('retrain', '?')} networks were trained without the examples to be forgotten: the reference."
    if counts.get("twin"):
        yield (
            f"{counts['twin']} twins were trained like the reference once more. They say what a perfect unlearner "
            "scores with as many networks: the null."
        )
    yield (
        "The unit of every test is a network, never an example: outputs of one network on many examples move together."
    )


def _runs(rows: Sequence[Row]) -> Iterator[str]:
    counts = rows[0].get("models", {})
    yield (
        f"In {counts.get('run', '?')} runs a fair coin decided for each target example whether it was in the training "
        f"data; within a block of runs each target was in exactly half. Then targets were forgotten: {_counts(rows)}."
    )
    yield (
        "The attack is fitted on other blocks than those it is judged on. Under perfect unlearning the outputs do not "
        "depend on the coins, so coins that are tossed anew give an exact test."
    )


def _counts(rows: Sequence[Row]) -> str:
    found = [
        f"{row['models']['unlearned']} networks of {label(row)}"
        for row in rows
        if row["role"] == "unlearn" and "unlearned" in row.get("models", {})
    ]
    return ", ".join(found) or "no method was judged"


def _seeds(row: Row) -> Iterator[str]:
    yield f"The seed is {row['seed']}; every ensemble draws its own initialisations and orders from it."
    if row["pairing"] == "decoupled":
        yield "Pairing: decoupled. No two ensembles share a seed."
    else:
        yield f"Pairing: {row['pairing']}. Only paired numbers (accuracies, tug-of-war) can be judged so."


def _nulls(rows: Sequence[Row]) -> Iterator[str]:
    draws: dict[str, set[int]] = {}
    for row in rows:
        for null in row.get("null", {}).values():
            draws.setdefault(null["source"], set()).add(null["draws"])
    for source, numbers in draws.items():
        counts = " or ".join(f"{number:,}" for number in sorted(numbers))
        yield f"Bands hold 95 % of {counts} draws of {SOURCES.get(source, source)}."
    yield (
        "p values come from permuting whole networks (of design random: coins within blocks); the verdict takes the "
        "family of tests together, with Holm's correction. The band describes, the p value decides."
    )


def _spread(row: Row) -> Iterator[str]:
    if row.get("rho"):
        parts = ", ".join(f"{value:.3f} on {name}" for name, value in row["rho"].items())
        yield (
            f"The correlation rho between the margins that one network gives to two examples is {parts}. Beyond about "
            "1/rho examples only more networks make the tests sharper."
        )
    if "signal_sd" in row:
        yield f"The margin of an example differs between retrained networks by {row['signal_sd']:.3g} (median sd)."
