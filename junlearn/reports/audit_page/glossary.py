"""What the numbers of an audit are, in plain words, for the names in its rows."""

from collections.abc import Iterable

__all__ = ["glossary"]

WORDS = {
    "energy": "Energy distance between the two ensembles, with the margins of all examples as one point a network. It "
    "sees any difference in law. Null: near 0.",
    "mean_shift": "Mean difference of the margins, in standard deviations between networks. Null: 0.",
    "log_variance_ratio": "Logarithm of the variance of an example's margin between unlearned networks over that "
    "between retrained ones, median over examples. Null: 0; negative: too alike.",
    "accuracy": "Balanced accuracy of the likelihood-ratio attack on networks that it was not fitted on. Null: 1/2.",
    "auc": "Area under the ROC curve of that attack. Null: 1/2.",
    "tpr": "Its true positive rate where the false positive rate is at most the number after the @. Null: the same.",
    "F": "Forgetting quality of the NeurIPS 2023 challenge: large is good. Its ceiling depends on N and on the law of "
    "the margins, so only the null says what is good.",
    "F_rank": "The same with all thresholds between the values seen: it depends on ranks alone.",
    "F_undecided": "Examples for which no threshold decides.",
    "F_over_null": "F over the median of its null: 1 is perfect.",
    "klom_mean": "KL divergence between histograms of the margins, mean over examples. Null: far from 0 for small N.",
    "klom_median": "The same, median over examples.",
    "klom_p95": "The same, 95th percentile of the examples. It detects little: never read it alone.",
    "klom_excess": "The mean KLoM less that of a perfect unlearner.",
    "churn_excess": "How much more two networks of different ensembles disagree in the predicted class than two of the "
    "same. Null: 0.",
    "epsilon_set": "Lower bound on epsilon from one decision a network over all examples. Null: 0.",
    "epsilon_example": "The largest lower bound on epsilon of a single example, corrected for the number of examples.",
    "epsilon_one_run": "Lower bound on epsilon from the guesses within a run, median over runs. Null: 0.",
    "tow": "Tug-of-war: 1 less the difference in accuracy, multiplied over forget, retain and test sets. A perfect "
    "unlearner does not score 1.",
    "tow_mia": "The same with the share of an attack in place of the accuracy on the forget set.",
    "accuracy_gap": "Difference in accuracy to retrained networks, on the set behind the stroke.",
    "lira": "The likelihood-ratio attack on networks before unlearning: is there anything to forget?",
    "ulira": "The same attack after unlearning: forgotten examples against never seen ones. Null: 1/2.",
    "rmia": "The robust membership attack, which compares with other examples of the population.",
    "retain_exposure": "By how much unlearning others made kept examples easier to recognise. Null: 0.",
}
SETS = ("forget", "retain", "test")


def glossary(metrics: Iterable[str]) -> dict[str, str]:
    """The explanation of each kind of metric among `metrics`, by the part of their names that says the kind."""
    return {kind: WORDS[kind] for kind in dict.fromkeys(map(_kind, metrics)) if kind in WORDS}


def _kind(metric: str) -> str:
    first, _, rest = metric.partition("/")
    return (rest if first in SETS else first).partition("@")[0]
