"""Evidence: whether unlearned networks can be told from retrained ones, beside what a perfect unlearner would score.

`compare` takes the outputs of networks from anywhere, `run` makes the networks too; the command line's `audit` makes
them for an experiment and writes records, plots and a page. `nulls` is the heart: bands and p values whose unit is a
network. Read `compare` first, then `judge` and `yardstick`, then `bank` (one file a network) and `growth` (who trains
them). This package imports everything but the faces; only they import it.
"""

from junlearn.audit.compare import compare
from junlearn.audit.own_networks import run
from junlearn.audit.result import Audit

__all__ = ["Audit", "compare", "run"]
