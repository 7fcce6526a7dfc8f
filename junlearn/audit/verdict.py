"""What an audit says in words: distinguishable from retraining, or not, and what it could have seen."""

from collections.abc import Collection, Mapping

from junlearn.audit.nulls import holm

__all__ = ["CLOSER", "FAMILY", "NAMES", "RANDOM_FAMILY", "verdict"]

FAMILY = ("energy", "mean_shift", "log_variance_ratio", "accuracy", "F", "klom_mean")
"""The tests that decide together, each where it was computed."""
RANDOM_FAMILY = ("lira/accuracy", "lira/auc", "ulira/accuracy", "ulira/auc", "rmia/auc")
"""The same in the design "random"."""
NAMES = {
    "energy": "energy",
    "mean_shift": "mean shift",
    "log_variance_ratio": "variance ratio",
    "accuracy": "held-out accuracy",
    "F": "forgetting quality",
    "klom_mean": "KLoM",
    "lira/accuracy": "LiRA accuracy",
    "lira/auc": "LiRA AUC",
    "ulira/accuracy": "U-LiRA accuracy",
    "ulira/auc": "U-LiRA AUC",
    "rmia/auc": "RMIA AUC",
}
CLOSER = "closer than retraining is to itself: are seeds or weights shared?"


def verdict(
    p: Mapping[str, float],
    closer: Collection[str],
    *,
    networks: int,
    level: float,
    shift: float | None,
    conditional: bool = False,
) -> tuple[str, dict[str, float]]:
    """The verdict over the tests in `p`, and their p values adjusted by Holm.

    `closer` names the tests by which the two sides are more alike than retrained networks are; `shift` is the mean
    shift of all margins, in standard deviations, that `networks` a side would have shown. `conditional`: all unlearned
    networks come from one original.
    """
    adjusted = holm(p)
    tail = ", conditional on one original" if conditional else ""
    if not adjusted:
        return "no test", adjusted
    name = min(adjusted, key=lambda test: (adjusted[test], p[test]))
    if adjusted[name] <= level:
        return (
            f"distinguishable (p = {adjusted[name]:.2g}, {NAMES.get(name, name)}){tail}",
            adjusted,
        )
    if closer:
        return CLOSER + tail, adjusted
    seen = "" if shift is None else f" (a mean shift of {shift:.2g} sd would have been seen)"
    return f"indistinguishable at N = {networks}{seen}{tail}", adjusted
