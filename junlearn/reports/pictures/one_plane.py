"""Embeddings of several networks as points of one plane.

Each network has a space of its own, in which only how the points lie to each other means anything. So every network is
first laid over the first one (the original): moved, turned and scaled as a whole, so that its retained examples lie as
near to the same examples there as they can (orthogonal Procrustes). The forgotten examples have no say in it: where
they lie then is a finding. The plane is the same for all.
"""

from collections.abc import Callable, Sequence

import numpy as np

__all__ = ["Project", "aligned", "principal", "stochastic"]

Project = Callable[[Sequence[np.ndarray]], list[np.ndarray]]
"""float[M,D_i] of several networks, the first one the original -> float[M,2] of each, in the same plane."""

SEEDED = 0
TOGETHER = 3000
"""Points that t-SNE places; of more the others get no place (NaN)."""
WIDE = 256
"""Columns of an embedding that is laid over another; of a wider one these principal components."""
BASIS = 2
"""Networks that determine the plane of the principal components: the original and the retrained one, which come first.
What a method has destroyed does not."""


def aligned(embeddings: Sequence[np.ndarray], retained: np.ndarray) -> list[np.ndarray]:
    """The embeddings laid over the first one by the rows `retained` (bool[M]), all with as many columns."""
    narrow = [_narrow(points.astype(np.float64)) for points in embeddings]
    columns = max(points.shape[1] for points in narrow)
    whole = [np.pad(points, ((0, 0), (0, columns - points.shape[1]))) for points in narrow]
    rows = retained if retained.any() else np.ones(len(retained), bool)
    target = whole[0][rows]
    middle = target.mean(0)
    found = [whole[0] - middle]
    for points in whole[1:]:
        own = points[rows]
        centre = own.mean(0)
        left, sizes, right = np.linalg.svd((own - centre).T @ (target - middle))
        square = ((own - centre) ** 2).sum()
        scale = sizes.sum() / square if square > 0 else 1.0
        found.append(scale * (points - centre) @ (left @ right))
    return found


def _narrow(points: np.ndarray) -> np.ndarray:
    """Of a wide embedding the first WIDE principal components: the products above stay small."""
    if points.shape[1] <= WIDE:
        return points
    left, sizes, _ = np.linalg.svd(points - points.mean(0), full_matrices=False)
    return (left * sizes)[:, :WIDE]


def principal(embeddings: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The first two principal components of the first BASIS networks together, and all networks along them."""
    basis = np.concatenate([points.astype(np.float64) for points in embeddings[:BASIS]])
    middle = basis.mean(0)
    _, _, right = np.linalg.svd(basis - middle, full_matrices=False)
    plane = np.pad(right[:2].T, ((0, 0), (0, max(0, 2 - len(right)))))
    return [(points - middle) @ plane for points in embeddings]


def stochastic(embeddings: Sequence[np.ndarray]) -> list[np.ndarray]:
    """t-SNE of scikit-learn of all networks together; of fewer than 5 points the principal components.

    Of more than TOGETHER points an even part of the examples is placed, the same of each network; the others are NaN.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    count = len(embeddings[0])
    if count < 5:
        return principal(embeddings)
    most = max(20, TOGETHER // len(embeddings))
    rows = np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))
    points = np.concatenate([embedding[rows] for embedding in embeddings]).astype(np.float32)
    near = min(30.0, (len(points) - 1) / 3)
    # Its threads wait busily for each other: on a machine with other work they take many times longer than one.
    with threadpool_limits(1):
        placed = TSNE(perplexity=near, random_state=SEEDED).fit_transform(points)
    found = []
    for part in np.split(placed, len(embeddings)):
        whole = np.full((count, 2), np.nan)
        whole[rows] = part
        found.append(whole)
    return found
