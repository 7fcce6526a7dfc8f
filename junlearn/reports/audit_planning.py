"""What a perfect unlearner scores at each number of networks: simulated numbers, for planning and for pictures alone.

No verdict, band or p value comes from them: the null of an audit is measured on the audit's own networks, since it
depends on the law of their margins. The simulations have 100 examples with independent margins, standard normal unless
a law is named; `rho` is the correlation between the margins that one network gives to two examples.
"""

from typing import NamedTuple

__all__ = ["NETWORKS", "PLANNED", "Band", "Planned"]

NETWORKS = (8, 16, 32, 64, 128, 256)
"""Networks a side, for which the numbers below are."""

Six = tuple[float, float, float, float, float, float]


class Band(NamedTuple):
    """Where 95 % of the audits of perfect unlearners lie, for each of `NETWORKS`."""

    low: Six
    high: Six


class Planned(NamedTuple):
    """A metric under perfect unlearning."""

    metric: str
    """Its name among the values of an audit."""
    title: str
    means: dict[str, Six]
    """Means for each of `NETWORKS`, by law of the margins."""
    bands: dict[float, Band]
    """Bands of normal margins of unit spread, by rho."""


PLANNED = (
    Planned(
        "forget/F",
        "F",
        {
            "normal, sd 0.1": (0.191, 0.150, 0.128, 0.117, 0.116, 0.123),
            "normal, sd 0.3": (0.185, 0.138, 0.110, 0.094, 0.087, 0.084),
            "normal, sd 1": (0.186, 0.177, 0.184, 0.180, 0.178, 0.194),
            "normal, sd 3": (0.218, 0.203, 0.186, 0.197, 0.190, 0.195),
            "normal, sd 10": (0.244, 0.225, 0.220, 0.214, 0.210, 0.212),
            "Student t, 3": (0.194, 0.187, 0.204, 0.195, 0.197, 0.206),
            "Laplace": (0.201, 0.185, 0.188, 0.188, 0.183, 0.189),
            "uniform, sd 1": (0.182, 0.167, 0.182, 0.183, 0.197, 0.222),
            "exponential": (0.182, 0.159, 0.175, 0.190, 0.209, 0.239),
            "two normals": (0.192, 0.181, 0.189, 0.186, 0.186, 0.187),
        },
        {
            0.0: Band(
                (0.172, 0.158, 0.167, 0.162, 0.163, 0.169),
                (0.199, 0.195, 0.199, 0.200, 0.208, 0.209),
            ),
            0.2: Band(
                (0.170, 0.159, 0.160, 0.163, 0.160, 0.164),
                (0.204, 0.198, 0.201, 0.202, 0.205, 0.209),
            ),
        },
    ),
    Planned(
        "forget/F_rank",
        "F_rank",
        {"any continuous law": (0.175, 0.120, 0.092, 0.071, 0.060, 0.054)},
        {},
    ),
    Planned(
        "forget/klom_mean",
        "KLoM, mean",
        {
            "normal": (6.429, 3.852, 1.691, 0.630, 0.259, 0.113),
            "Student t, 3": (5.793, 3.056, 1.281, 0.552, 0.249, 0.113),
            "Laplace": (5.917, 3.265, 1.467, 0.635, 0.280, 0.124),
            "uniform": (6.471, 4.153, 1.933, 0.573, 0.173, 0.078),
            "exponential": (5.278, 2.874, 1.317, 0.582, 0.261, 0.117),
            "two normals": (5.056, 2.775, 1.180, 0.477, 0.210, 0.097),
        },
        {
            0.0: Band((6.11, 3.62, 1.55, 0.58, 0.24, 0.10), (6.72, 4.11, 1.84, 0.70, 0.28, 0.12)),
            0.2: Band((6.09, 3.56, 1.54, 0.56, 0.23, 0.10), (6.77, 4.16, 1.85, 0.72, 0.29, 0.12)),
        },
    ),
    Planned(
        "forget/klom_p95",
        "KLoM, 95th percentile",
        {
            "normal": (8.84, 5.97, 3.03, 1.22, 0.50, 0.21),
            "Student t, 3": (8.67, 5.39, 2.51, 1.07, 0.47, 0.21),
            "Laplace": (8.60, 5.46, 2.68, 1.19, 0.52, 0.23),
            "uniform": (8.84, 6.31, 3.39, 1.29, 0.29, 0.12),
            "exponential": (8.51, 5.15, 2.48, 1.12, 0.49, 0.22),
            "two normals": (8.43, 5.00, 2.41, 1.02, 0.42, 0.19),
        },
        {0.0: Band((8.44, 5.42, 2.63, 1.01, 0.41, 0.18), (9.78, 6.52, 3.40, 1.44, 0.58, 0.25))},
    ),
    Planned(
        "forget/accuracy",
        "held-out accuracy",
        {"normal": (0.501, 0.500, 0.500, 0.500, 0.500, 0.500)},
        {
            0.0: Band(
                (0.470, 0.478, 0.485, 0.490, 0.492, 0.494),
                (0.530, 0.520, 0.514, 0.510, 0.507, 0.505),
            ),
            0.2: Band(
                (0.458, 0.470, 0.478, 0.486, 0.489, 0.492),
                (0.549, 0.540, 0.523, 0.519, 0.513, 0.509),
            ),
        },
    ),
    Planned(
        "forget/auc",
        "held-out AUC",
        {"normal": (0.500, 0.500, 0.500, 0.500, 0.500, 0.500)},
        {
            0.0: Band(
                (0.463, 0.472, 0.481, 0.487, 0.490, 0.494),
                (0.537, 0.525, 0.519, 0.512, 0.509, 0.506),
            ),
            0.2: Band(
                (0.445, 0.457, 0.472, 0.481, 0.486, 0.489),
                (0.575, 0.552, 0.531, 0.525, 0.517, 0.512),
            ),
        },
    ),
    Planned(
        "forget/tpr@0.01",
        "TPR at FPR 1 %",
        {"normal": (0.0110, 0.0105, 0.0104, 0.0101, 0.0100, 0.0100)},
        {
            0.0: Band(
                (0.0037, 0.0037, 0.0056, 0.0064, 0.0073, 0.0080),
                (0.0238, 0.0194, 0.0166, 0.0144, 0.0131, 0.0120),
            ),
            0.2: Band(
                (0.0025, 0.0031, 0.0044, 0.0058, 0.0065, 0.0075),
                (0.0250, 0.0213, 0.0172, 0.0156, 0.0135, 0.0125),
            ),
        },
    ),
    Planned(
        "forget/log_variance_ratio",
        "log variance ratio",
        {"normal": (0.003, 0.000, 0.001, 0.002, 0.002, 0.000)},
        {
            0.0: Band(
                (-0.173, -0.130, -0.092, -0.059, -0.043, -0.031),
                (0.166, 0.130, 0.083, 0.061, 0.050, 0.031),
            ),
            0.2: Band(
                (-0.393, -0.246, -0.167, -0.110, -0.077, -0.057),
                (0.355, 0.233, 0.171, 0.113, 0.088, 0.059),
            ),
        },
    ),
    Planned(
        "forget/mean_shift",
        "mean shift in sd",
        {"normal": (-0.001, 0.001, 0.002, -0.002, 0.000, 0.001)},
        {
            0.0: Band(
                (-0.098, -0.068, -0.048, -0.038, -0.025, -0.018),
                (0.098, 0.082, 0.053, 0.031, 0.024, 0.017),
            ),
            0.2: Band(
                (-0.466, -0.330, -0.193, -0.161, -0.101, -0.073),
                (0.434, 0.332, 0.217, 0.168, 0.116, 0.076),
            ),
        },
    ),
)
"""Forgetting quality and KLoM by law, and the held-out likelihood-ratio game between two ensembles."""
