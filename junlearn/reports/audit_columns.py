"""How the metrics of an audit are called where a person reads them: columns, and what each one means in plain words."""

from collections.abc import Callable
from typing import NamedTuple

from junlearn.reports.audit_cells import Column, Row, chance, digits, networks, of, ratio

__all__ = ["columns", "name", "nulls"]


class Null(NamedTuple):
    """A metric whose null is printed below the table."""

    metric: str
    name: str
    form: Callable[[float], str]


def columns(row: Row) -> tuple[Column, ...]:
    """The columns of the design of `row`, without the verdict."""
    return RANDOM if row["design"] == "random" else REQUEST


def nulls(row: Row) -> dict[str, str]:
    """The nulls of the row's metrics as `NAME MEDIAN [LOW, HIGH]`, by metric."""
    found = row.get("null", {})
    texts = {}
    for metric, called, form in _listed(row):
        if metric in found:
            low, median, high = (form(found[metric][part]) for part in ("low", "median", "high"))
            texts[metric] = f"{called} {median} [{low}, {high}]"
    return texts


def name(row: Row, metric: str) -> str:
    """How a metric is called in a sentence."""
    return next((null.name for null in _listed(row) if null.metric == metric), metric)


def _listed(row: Row) -> tuple[Null, ...]:
    return RANDOM_NULLS if row["design"] == "random" else REQUEST_NULLS


def _number(row: Row) -> str | None:
    count = networks(row)
    return None if count is None else str(count)


def _seconds(row: Row) -> str | None:
    spent = row.get("seconds_each")
    return None if spent is None else f"{spent:.3g}"


def _tow(row: Row) -> str | None:
    value, null = row["values"].get("tow"), row.get("null", {}).get("tow")
    if value is None:
        return None
    return f"{value:.3f}" + ("" if null is None else f" ({null['median']:.3f})")


TPR = "tpr@0.01"
SECONDS = Column(
    "s\u00a0a network",
    "Seconds to make one network: training it, or unlearning in one that is trained.",
    _seconds,
)
REQUEST = (
    Column(
        "N",
        "Networks on each side of the comparison. The network is the unit of every test.",
        _number,
    ),
    Column(
        "mean shift",
        "How much higher the margins (how sure the networks are of the label) of forgotten examples are than after "
        "retraining, in standard deviations between networks. Perfect: near 0.",
        of("values", "forget/mean_shift", digits(2, "+")),
        "forget/mean_shift",
    ),
    Column(
        "var ratio",
        "Variance of an example's margin between unlearned networks over that between retrained ones (median over "
        "examples). Perfect: near 1; below 1 the unlearned networks are too alike.",
        of("values", "forget/log_variance_ratio", ratio),
        "forget/log_variance_ratio",
    ),
    Column(
        "accuracy (held\u00a0out)",
        "How often a likelihood-ratio attack, fitted on other networks, tells from one example's margin whether a "
        "network was unlearned or retrained. Guessing: 0.5.",
        of("values", "forget/accuracy", digits(3)),
        "forget/accuracy",
    ),
    Column(
        "TPR@1%",
        "The share of unlearned cases that the same attack finds when it wrongly accuses at most 1 % of the retrained "
        "ones. Guessing: 0.01.",
        of("values", f"forget/{TPR}", digits(4)),
        f"forget/{TPR}",
    ),
    Column(
        "F/F0",
        "Forgetting quality F of the NeurIPS 2023 challenge, over the F of a perfect unlearner with as many networks. "
        "Perfect: near 1; small is bad.",
        of("values", "forget/F_over_null", digits(2)),
        "forget/F",
    ),
    Column(
        "KLoM -\u00a0null",
        "KL divergence between the margins' histograms (mean over examples), less what a perfect unlearner scores with "
        "as many networks. Perfect: near 0.",
        of("values", "forget/klom_excess", digits(2, "+")),
        "forget/klom_mean",
    ),
    Column(
        "energy p",
        "p value of the energy distance between the two ensembles' margins on the forget set: how often networks that "
        "are shuffled between the two sides lie as far apart. It sees any difference in law.",
        of("p", "forget/energy", chance),
        "forget/energy",
    ),
    Column(
        "eps\u00a0>=",
        "A lower bound, with 95 % confidence unless configured otherwise, on epsilon of (epsilon, delta)-unlearning. "
        "0 refutes nothing. Few networks can only show a small bound.",
        of("values", "epsilon_set", digits(2)),
        "epsilon_set",
    ),
    Column(
        "ToW (null)",
        "Tug-of-war: agreement with retraining in accuracy on forget, retain and test sets, multiplied; in brackets "
        "what a perfect unlearner scores, which is not 1.",
        _tow,
        "tow",
    ),
    Column(
        "retain p",
        "The p value of the energy distance on examples that were to be kept.",
        of("p", "retain/energy", chance),
        "retain/energy",
    ),
    Column(
        "test p",
        "The p value of the energy distance on test examples.",
        of("p", "test/energy", chance),
        "test/energy",
    ),
    SECONDS,
)
RANDOM = (
    Column(
        "runs",
        "Trainings in which a fair coin decided for each target whether it was in. The run is the unit.",
        _number,
    ),
    Column(
        "LiRA before",
        "Balanced accuracy of the likelihood-ratio attack on networks before unlearning: is there anything to forget?",
        of("values", "lira/accuracy", digits(3)),
        "lira/accuracy",
    ),
    Column(
        "U-LiRA (held\u00a0out)",
        "How often the attack, fitted on other runs, tells a forgotten example from one that was never seen. "
        "Guessing, and perfect unlearning: 0.5.",
        of("values", "ulira/accuracy", digits(3)),
        "ulira/accuracy",
    ),
    Column(
        "U-LiRA p",
        "How often coins that are tossed anew within blocks give an accuracy as high.",
        of("p", "ulira/accuracy", chance),
        "ulira/accuracy",
    ),
    Column(
        "AUC",
        "Area under the ROC curve of the same attack. Guessing: 0.5.",
        of("values", "ulira/auc", digits(3)),
        "ulira/auc",
    ),
    Column(
        "TPR@1%",
        "The share of forgotten cases that it finds when it wrongly accuses at most 1 % of the never seen ones. "
        "Guessing: 0.01.",
        of("values", f"ulira/{TPR}", digits(4)),
        f"ulira/{TPR}",
    ),
    Column(
        "flagged",
        "Examples that stay recognisable one by one (Benjamini-Hochberg at 10 %).",
        of("values", "ulira/flagged", lambda value: f"{value:g}"),
        "ulira/flagged",
    ),
    Column(
        "retain exposure",
        "By how much unlearning others made kept examples easier to recognise. Perfect: near 0.",
        of("values", "retain_exposure", digits(3, "+")),
        "retain_exposure",
    ),
    Column(
        "RMIA AUC",
        "Area under the ROC curve of the robust membership attack RMIA. Guessing: 0.5.",
        of("values", "rmia/auc", digits(3)),
        "rmia/auc",
    ),
    Column(
        "eps\u00a0>=",
        "A lower bound on epsilon from the guesses within single runs (median over runs). 0 refutes nothing.",
        of("values", "epsilon_one_run", digits(2)),
        "epsilon_one_run",
    ),
    SECONDS,
)
REQUEST_NULLS = (
    Null("forget/F", "F", digits(3)),
    Null("forget/klom_mean", "KLoM", digits(2)),
    Null("forget/accuracy", "accuracy", digits(3)),
    Null(f"forget/{TPR}", "TPR@1%", digits(4)),
    Null("forget/mean_shift", "mean shift", digits(2, "+")),
    Null("forget/log_variance_ratio", "var ratio", ratio),
    Null("forget/energy", "energy", digits(3)),
    Null("epsilon_set", "eps", digits(2)),
    Null("tow", "ToW", digits(3)),
    Null("retain/energy", "retain energy", digits(3)),
    Null("test/energy", "test energy", digits(3)),
)
RANDOM_NULLS = (
    Null("lira/accuracy", "LiRA", digits(3)),
    Null("ulira/accuracy", "U-LiRA", digits(3)),
    Null("ulira/auc", "AUC", digits(3)),
    Null(f"ulira/{TPR}", "TPR@1%", digits(4)),
    Null("ulira/flagged", "flagged", lambda value: f"{value:g}"),
    Null("retain_exposure", "retain exposure", digits(3, "+")),
    Null("rmia/auc", "RMIA AUC", digits(3)),
    Null("epsilon_one_run", "eps", digits(2)),
)
