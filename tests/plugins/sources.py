"""Code of somebody else, as the tests write it to files."""

from pathlib import Path

METHOD = '''"""Mine: fine-tuning with a rate of its own.

It has two fields.
"""

from dataclasses import dataclass

from junlearn.methods import finetune

NEEDS = finetune.NEEDS


@dataclass(frozen=True, kw_only=True)
class Config:
    """Two fields."""

    rate: float = 0.05
    """Learning rate."""
    epochs: int = 1


def make(config, model):
    own = finetune.Config(learning_rate=config.rate, epochs=config.epochs)
    return finetune.make(own, model)
'''

SEVERAL = '''"""A model, a dataset, a scenario and a metric."""

from dataclasses import dataclass

import numpy as np

from junlearn.datasets import DATASETS as OWN
from junlearn.models import mlp
from junlearn.types import Component, Split


@dataclass(frozen=True, kw_only=True)
class First:
    count: int = 10
    """Rows from the first one on."""


def first(config, dataset, key):
    train, test = (np.arange(len(dataset.sources[name].y)) for name in ("train", "test"))
    return Split(train[: config.count], train[config.count :], test[:0], test)


def outputs(context):
    """Mean of the largest output on the forget set."""
    return {"largest": float(context.model.logits["forget_train"].max(1).mean())}


MODELS = {"tiny": Component("one small layer", mlp.MlpConfig, mlp.make_mlp)}
DATASETS = {"my_digits": OWN["digits"]}
SCENARIOS = {"first_rows": Component("the first rows", First, first)}
METRICS = {"largest": outputs}
'''

SCENARIO = '''"""Every second row of the training set."""

from dataclasses import dataclass

import numpy as np

from junlearn.types import Split


@dataclass(frozen=True, kw_only=True)
class Config:
    start: int = 0


def make(config, dataset, key):
    rows = np.arange(len(dataset.sources["train"].y))
    test = np.arange(len(dataset.sources["test"].y))
    chosen = np.isin(rows, rows[config.start :: 2][:30])
    return Split(rows[chosen], rows[~chosen], test[:0], test)
'''

METRIC = '''"""How sure the network is."""


def metric(context):
    """Mean of the largest output on the retained training set."""
    return {"my_metric/sure": float(context.model.logits["retain_train"].max(1).mean())}
'''

RUN = """
methods = ["mine"]
metrics = ["accuracy"]
reference = false
[dataset]
name = "digits"
[model]
name = "mlp"
hidden = [8]
[scenario]
name = "class"
classes = [3]
[train]
epochs = 1
batch_size = 256
[method.mine]
file = "my_method.py"
"""
FILES = {
    "my_method.py": METHOD,
    "several.py": SEVERAL,
    "my_scenario.py": SCENARIO,
    "my_metric.py": METRIC,
    "run.toml": RUN,
    "my_package/my_network.py": "from junlearn.models.mlp import MlpConfig as Config, make_mlp as make\n",
}


def write(folder: Path) -> None:
    """Write all of them into a folder."""
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
