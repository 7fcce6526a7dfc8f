"""How metrics are called where a person reads them: which columns a table has, in which order and unit."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from junlearn.experiment.records import Record
from junlearn.metrics import METRICS

__all__ = [
    "ACCURACIES",
    "FORGETTING",
    "MANIPULATED",
    "Column",
    "first_columns",
    "foreign_columns",
    "other_columns",
    "shown_columns",
]


class Column(NamedTuple):
    """A metric in a table."""

    metric: str
    heading: str
    factor: int = 1
    """100: in percent."""
    digits: int = 3


ACCURACIES = tuple(
    Column(f"accuracy/{split}", heading, 100, 2)
    for split, heading in (
        ("retain_train", "retain train"),
        ("forget_train", "forget train"),
        ("forget_train_clean", "forget true"),
        ("test", "test"),
        ("retain_test", "retain test"),
        ("forget_test", "forget test"),
    )
)
MANIPULATED = tuple(
    Column(metric, heading, 100, 2)
    for metric, heading in (
        ("corrective/corrected", "corrected"),
        ("corrective/retained", "retained"),
        ("corrective/attack_success", "attack success"),
        ("accuracy/forget_train", "S_f still wrong"),
        ("accuracy/unidentified_train", "others still wrong"),
        ("accuracy/validation", "validation"),
    )
)
FORGETTING = (
    Column("mia/entropy", "MIA entr."),
    Column("mia/entropy_balanced_accuracy", "MIA bal."),
    Column("mia/confidence", "MIA conf."),
    Column("mia_svc/confidence_member", "MIA SVC"),
    Column("mia_svm/balanced_accuracy", "MIA SVM"),
    Column("asr/laf", "ASR LAF"),
    Column("asr/camu", "ASR CaMU"),
    Column("asr_xgboost/laf", "ASR LAF XGBoost"),
    Column("asr_xgboost/camu", "ASR CaMU XGBoost"),
    Column("js/forget_train", "JS"),
    Column("agreement/forget_train", "agree"),
    Column("zrf/forget_train", "ZRF"),
    Column("aus", "AUS"),
    Column("tow", "ToW"),
    Column("relearn/steps", "relearn", digits=0),
    Column("anamnesis", "anamnesis"),
)


def first_columns(present: Collection[str]) -> tuple[Column, ...]:
    """What is asked first, of records with the metrics `present`: was it repaired, or forgotten and the rest kept."""
    wanted = MANIPULATED if "corrective/corrected" in present else ACCURACIES
    return tuple(column for column in wanted if column.metric in present)


def foreign_columns(asked: Collection[str], present: Collection[str]) -> tuple[Column, ...]:
    """The values of plug-ins among the metrics `asked` for: those that are named `NAME` or `NAME/...` as the metric."""
    names = [name for name in asked if name not in METRICS]
    values = sorted(value for value in present if value.split("/")[0] in names)
    return tuple(Column(value, value) for value in values)


def other_columns(records: Sequence[Record]) -> tuple[Column, ...]:
    """The columns behind the first ones: what was forgotten, and the values of plug-ins."""
    present = {name for record in records for name in record["metrics"]}
    configs = [record.get("config", {}) for record in records]
    asked = dict.fromkeys(name for config in configs for name in config.get("metrics", ()))
    others = tuple(column for column in FORGETTING if column.metric in present)
    return others + foreign_columns(asked, present)


def shown_columns(records: Sequence[Record]) -> tuple[Column, ...]:
    """All columns of a table of these records."""
    present = {name for record in records for name in record["metrics"]}
    return first_columns(present) + other_columns(records)
