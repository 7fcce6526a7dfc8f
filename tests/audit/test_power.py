"""What an audit could have seen: formula and measurement against the shift that four of five simulated audits see."""

import numpy as np
import pytest

from junlearn.audit import power
from junlearn.audit.ensembles import Ensemble
from junlearn.audit.margins import Margins
from junlearn.audit.yardstick import Yardstick
from junlearn.experiment.auditing import Auditing

SEEN = {
    0.0: {8: 0.143, 16: 0.101, 32: 0.070, 64: 0.049, 128: 0.035},
    0.05: {8: 0.343, 16: 0.244, 32: 0.172, 64: 0.119, 128: 0.086},
}
"""By rho and networks a side: the shift of 100 examples, by 4,000 to 20,000 simulated audits, to 2 %."""


@pytest.mark.parametrize("rho", SEEN)
def test_the_formula_is_what_is_seen(rho):
    for networks, shift in SEEN[rho].items():
        assert power.on_paper(networks, 100, rho) == pytest.approx(shift, rel=0.03)
        assert power.networks_for(shift, 100, rho) == pytest.approx(networks, rel=0.06, abs=1)


def test_the_measurement_is_what_is_seen():
    """The mean over banks: one bank is off by a tenth."""
    networks, examples, rho = 16, 100, 0.05
    auditing = Auditing(models=networks, metrics=("moments",))
    told = []
    for bank in range(12):
        rng = np.random.default_rng((5, bank))
        sides = []
        for _ in range(2):
            common = np.sqrt(rho) * rng.normal(size=(networks, 1))
            phi = common + np.sqrt(1 - rho) * rng.normal(size=(networks, examples))
            parts = {"forget": Margins(phi, np.zeros(phi.shape, int))}
            sides.append(Ensemble("drawn", parts, tuple(range(networks))))
        labels = {"forget": np.zeros(examples, int)}
        yardstick = Yardstick(sides[0], sides[1], labels, 2, auditing)
        told.append(yardstick.detectable(networks)["forget/mean_shift"])
    assert np.mean(told) == pytest.approx(SEEN[rho][networks], rel=0.1)
    assert np.std(told) < 0.2 * np.mean(told)
