"""Pictures of what networks say of examples: classes, confusion, embeddings, confidences."""

import numpy as np
import pytest

from junlearn.experiment.asking import Answers, Asked
from junlearn.reports.pictures import draw
from junlearn.reports.pictures.class_accuracy import class_accuracy
from junlearn.reports.pictures.confidences import EDGES, area, confidences
from junlearn.reports.pictures.confusion import confusion, matrix
from junlearn.reports.pictures.embedding import embedding, plane
from junlearn.reports.pictures.one_plane import aligned, principal, stochastic
from junlearn.reports.pictures.panels import MOST, forgotten_classes, pages
from tests.reports.drawn import flaws, labels
from tests.reports.run_records import revisited

NASTY = "$x^{\nwith a name that is too long for any axis"


def answers(methods, count, **changes):
    """What networks say of `count` classes, of which class 1 is forgotten by all but the original."""
    rng = np.random.default_rng(0)
    tests = np.arange(20 * count) % count
    sample = np.arange(120) % count
    networks = []
    for name in ("original", "retrain", *methods):
        role = name if name in ("original", "retrain") else "unlearn"
        said = np.where(
            rng.uniform(size=len(tests)) < 0.1, rng.integers(0, count, len(tests)), tests
        )
        if role != "original":
            said = np.where(tests == 1, 0, said)
        points = rng.normal(size=(120, 4)) + 3 * sample[:, None]
        margins = {k: rng.normal(size=50) for k in ("retain", "forget", "unseen")}
        networks.append(
            Asked(role, name, said, np.zeros(9, int), np.zeros((0, count)), points, margins)
        )
    names = (NASTY, *(f"class_{i}" for i in range(1, count)))
    found = Answers(
        names, tests, np.ones(9, int), None, sample, sample == 1, tuple(networks)
    )  # fmt: skip
    return found._replace(**changes)


@pytest.mark.parametrize(("methods", "count"), [(1, 10), (9, 10), (26, 100)])
def test_no_words_lie_on_each_other(methods, count):
    found = answers([f"a_method_of_number_{i}" for i in range(methods)], count)
    title = "a_dataset, a_model, scenario class, seed 0"
    placed = plane(found)
    page = pages(found.networks)[-1]
    for figure in (
        class_accuracy(found, title=title),
        confusion(found, page, title=title),
        embedding(found, placed, page, title=title),
        confidences(found, page, title=title),
    ):
        assert flaws(figure) == []


def test_a_picture_has_the_original_the_retrained_and_some_methods():
    found = answers([f"m{i}" for i in range(17)], 3)
    shown = [[network.label for network in page] for page in pages(found.networks)]
    assert all(page[:2] == ["original", "retrain"] and len(page) <= MOST for page in shown)
    assert [label for page in shown for label in page[2:]] == [f"m{i}" for i in range(17)]
    assert [len(page) for page in shown] == [7, 8, 8]
    names = list(draw.of_answers(answers(["a", "b"], 3), "x"))
    assert names == ["class_accuracy", "confusion", "embedding", "confidence"]


def test_a_confusion_is_in_percent_of_its_row():
    shares = matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 3)
    assert shares.tolist() == [[50, 50, 0], [0, 100, 0], [0, 0, 0]]
    found = answers(["ssd"], 10)
    figure = confusion(found, found.networks)
    shown = [axis.images[0].get_array() for axis in figure.axes if axis.images]
    assert [one[1, 1] > 50 for one in shown] == [True, False, False] and shown[2][1, 0] == 100
    arrows = [line.get_ydata()[0] for axis in figure.axes for line in axis.lines]
    assert arrows == [1, 1, 1]


def test_of_many_classes_those_that_changed_most_have_names():
    figure = class_accuracy(answers(["ssd"], 100))
    named, others, _ = figure.axes
    names = [text.get_text() for text in named.get_xticklabels()]
    assert len(names) == 20 and names[0] == "class_1 (forgotten)"
    assert named.images[0].get_array().shape == (3, 20)
    assert others.images[0].get_array().shape == (3, 80)
    assert [text.get_text() for text in named.get_yticklabels()] == ["original", "retrain", "ssd"]
    assert others.get_title() == "the other 80"
    quiet = answers(["ssd"], 100, forget_labels=np.array([7, 7]))
    named = class_accuracy(quiet).axes[0]
    names = [text.get_text() for text in named.get_xticklabels()]
    assert names[:2] == ["class_7 (forgotten)", "class_1"]


def test_every_class_of_few_has_its_number_and_the_forgotten_one_says_so():
    found = answers(["ssd"], 10)
    (axis, _) = class_accuracy(found).axes
    assert len(axis.texts) == 30
    marked = [t.get_text() for t in axis.get_xticklabels() if "forgotten" in t.get_text()]
    assert marked == ["class_1 (forgotten)"]
    assert forgotten_classes([0, 1, 2, 2], 4) == set() and forgotten_classes([2, 2], 4) == {2}
    bare = found._replace(networks=tuple(n._replace(test=None) for n in found.networks))
    assert class_accuracy(bare) is None and confusion(bare, bare.networks) is None


def test_embeddings_are_laid_over_the_first_by_what_is_retained():
    rng = np.random.default_rng(0)
    first = rng.normal(size=(40, 3))
    turn, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    second = 7 * np.pad(first, ((0, 0), (0, 2))) @ turn + 3
    retained = np.arange(40) >= 10
    moved = second.copy()
    moved[:10] += 5
    one, other, shifted = aligned([first, second, moved], retained)
    np.testing.assert_allclose(other, one, atol=1e-9)
    # What is forgotten has no say in where the others lie.
    np.testing.assert_allclose(shifted[10:], one[10:], atol=1e-9)
    assert np.abs(shifted[:10] - one[:10]).min(1).max() > 0.1
    wide = rng.normal(size=(40, 300))
    assert aligned([wide, wide], retained)[0].shape == (40, 40)


def test_principal_components_are_the_same_of_all_networks():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(30, 2)) @ rng.normal(size=(2, 7))
    first, again, third = principal([points, points, points + 1])
    distances = [np.linalg.norm(p[:, None] - p, axis=-1) for p in (points, first)]
    np.testing.assert_allclose(*distances, atol=1e-9)
    np.testing.assert_allclose(again, first)
    np.testing.assert_allclose(third - first, (third - first)[:1].repeat(30, 0), atol=1e-9)
    assert principal([np.ones((3, 1))])[0].tolist() == [[0, 0]] * 3


def test_t_sne_places_all_networks_together_and_the_same_again():
    points = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    first, second = stochastic([points, points + 1])
    assert first.shape == second.shape == (12, 2)
    assert np.array_equal(np.stack([first, second]), np.stack(stochastic([points, points + 1])))
    assert np.array_equal(stochastic([points[:4]])[0], principal([points[:4]])[0])


def test_panels_of_embeddings_share_their_axes_and_count_what_is_outside():
    found = answers(["ssd"], 10)
    far = found.networks[2].embedding.copy()
    far[found.sample_forgotten] += 1e3
    networks = (*found.networks[:2], found.networks[2]._replace(embedding=far))
    found = found._replace(networks=networks)
    figure = embedding(found, plane(found), found.networks)
    assert len({(axis.get_xlim(), axis.get_ylim()) for axis in figure.axes}) == 1
    said = [[text.get_text() for text in axis.texts] for axis in figure.axes]
    assert said == [[], [], ["10 % lie outside"]]
    assert labels(figure)[0] == "to be forgotten" and "class_1" not in labels(figure)
    silent = found._replace(networks=tuple(n._replace(embedding=None) for n in networks))
    assert plane(silent) is None


def test_confidences_are_shares_of_each_kind():
    found = revisited()
    figure = confidences(found, found.networks[:3])
    axis = figure.axes[0]
    values, edges, _ = axis.patches[-1].get_data()
    assert sum(values) == pytest.approx(100) and np.array_equal(edges, EDGES)
    assert labels(figure)[-2:] == [
        "unseen, test, of the forgotten classes",
        "to be forgotten, training",
    ]
    apart = [axis.get_title().split(": ")[1] for axis in figure.axes]
    assert apart == [f"{area(network):.2f}" for network in found.networks[:3]]
    beyond = found.networks[0]._replace(margins={"forget": np.full(4, 99.0)})
    values, _, _ = confidences(found, [beyond]).axes[0].patches[0].get_data()
    assert values[-1] == 100 and area(beyond) is None


def test_how_well_confidence_tells_forgotten_from_unseen():
    ends = np.arange(4.0)
    network = answers([], 3).networks[0]
    assert area(network._replace(margins={"forget": ends + 9, "unseen": ends})) == 1
    assert area(network._replace(margins={"forget": ends, "unseen": ends})) == 0.5
    both = {"forget": ends, "unseen": ends - 9, "unseen_forgotten": ends + 9}
    assert area(network._replace(margins=both)) == 0
