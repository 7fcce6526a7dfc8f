import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from junlearn.datasets.labels import CIFAR20, CIFAR100
from junlearn.errors import ConfigError
from junlearn.experiment import schema
from junlearn.experiment.identity import identities
from junlearn.experiment.preparing import prepare
from junlearn.experiment.progress import Reporter
from junlearn.scenarios import SCENARIOS
from junlearn.scenarios.class_names import resolve
from junlearn.scenarios.random_examples import released
from junlearn.types import Data, Dataset


def dataset(labels, test_labels, fine=None, fine_test=None, fine_classes=()):
    def data(y, f):
        y = np.asarray(y, np.int32)
        return Data(np.zeros((len(y), 2, 2, 1), np.uint8), y, None, f)

    return Dataset(
        name="made_up",
        version="1",
        fingerprint="0",
        sources={"train": data(labels, fine), "test": data(test_labels, fine_test)},
        views={},
        classes=("ant", "bee", "cat", "dog"),
        fine_classes=fine_classes,
    )


def split(name, data, seed=0, **fields):
    scenario = SCENARIOS[name]
    return scenario.make(scenario.Config(**fields), data, jax.random.key(seed))


def assert_partition(s, train, test):
    assert sorted([*s.forget, *s.retain]) == list(range(train))
    assert sorted([*s.forget_test, *s.retain_test]) == list(range(test))
    assert len(s.forget) and len(s.retain)


def request(tmp_path, text, data, **fields):
    path = tmp_path / "request.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return split("rows", data, file=str(path), **fields)


def test_rows_of_a_file(tmp_path):
    data = dataset([0, 1, 2, 3] * 3, [0, 1])
    s = request(tmp_path, "# request 17\n\n 7\n  # and this\n0\n11", data)
    assert_partition(s, 12, 2)
    assert s.forget.tolist() == [0, 7, 11]
    assert s.forget_test.size == 0 and s.classes == ()


def identified(ids, names=()):
    data = dataset([0, 1, 2, 3], [0])
    train = data.sources["train"]._replace(id=np.array(ids, np.int32))
    return data._replace(sources=data.sources | {"train": train}, names=names)


def test_ids_of_a_file(tmp_path):
    assert request(tmp_path, "70\n30", identified([30, 70, 10, 50]), by="id").forget.tolist() == [
        0,
        1,
    ]
    # A part of the images is left, in another order: the names are those of all of them.
    data = identified([3, 0, 4, 1], ("a/1.png", "a/2 #.png", "a/3.png", "b#1/1.png", "b/2.png"))
    s = request(tmp_path, "b#1/1.png\n# theirs\na/1.png  ", data, by="id")
    assert s.forget.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("text", "fields", "message"),
    [
        (
            "1\n4\n",
            {},
            "request.txt, line 2: no training example of made_up has the row '4'; there are 4",
        ),
        ("1\n-1", {}, "line 2: .* the row '-1'"),
        ("3\n\n1\n3", {}, "line 4: '3' stands on line 1 already"),
        ("# nothing\n", {}, "request.txt names no example"),
        ("0\n1\n2\n3", {}, "retain set is empty"),
        ("5", {"by": "id"}, "line 1: .* has the id '5'; there are 4, the nearest is '6'"),
        (b"3\n\xff", {}, "line 2: byte 0xff is not UTF-8: save the file as UTF-8"),
    ],
)
def test_mistakes_in_a_file_are_named(tmp_path, text, fields, message):
    with pytest.raises(ConfigError, match=message):
        request(tmp_path, text, identified([7, 8, 9, 6]), **fields)


def test_rows_need_a_file_and_ids_that_mean_something(tmp_path):
    for fields, message in (({}, "file is empty"), ({"file": "/none.txt"}, "cannot read")):
        with pytest.raises(ConfigError, match=message):
            split("rows", dataset([0, 1], [0]), **fields)
    for data, message in (
        (dataset([0, 1], [0]), "made_up has no ids"),
        (identified([1, 2, 3, 1]), "not of one example each"),
    ):
        with pytest.raises(ConfigError, match=message):
            request(tmp_path, "1", data, by="id")


def test_a_request_is_known_by_what_it_says(tmp_path):
    """Not by where it lies, and not by what else a person wrote into the file."""

    def identity(path, text):
        (tmp_path / path).write_text(text)
        section = {"name": "rows", "file": str(tmp_path / path)}
        table = {"methods": ["naive"], "dataset": {"name": "digits"}, "model": {"name": "mlp"}}
        experiment = schema.parse(table | {"scenario": section})
        return identities(prepare(experiment, str(tmp_path), Reporter(Console(quiet=True))))

    first, again = identity("a.txt", "3\n5"), identity("b.txt", "# moved\n5\n3")
    assert first == again
    other = identity("a.txt", "3\n6")
    assert other.original == first.original and other.retrain != first.retrain


LABELS = st.lists(st.integers(0, 3), min_size=1, max_size=40).map(lambda rest: [0, 1, 2, 3, *rest])


@given(LABELS, LABELS, st.sets(st.integers(0, 3), min_size=1, max_size=3))
def test_class_partitions_and_takes_all_of_the_class(labels, test_labels, classes):
    s = split("class", dataset(labels, test_labels), classes=tuple(classes))
    assert_partition(s, len(labels), len(test_labels))
    assert {labels[i] for i in s.forget} == classes
    assert not {labels[i] for i in s.retain} & classes
    assert not {test_labels[i] for i in s.retain_test} & classes
    assert s.classes == tuple(sorted(classes))


@given(LABELS, st.floats(0.2, 0.8), st.integers(0, 9))
def test_random_partitions_and_truncates(labels, fraction, seed):
    s = split("random", dataset(labels, labels), seed, fraction=fraction)
    assert_partition(s, len(labels), len(labels))
    assert len(s.forget) == int(fraction * len(labels))
    assert len(s.forget_test) == 0 and s.classes == ()


@given(LABELS, st.integers(0, 9))
def test_random_fraction_per_class(labels, seed):
    fractions = (0.0, 0.5, 1.0, 0.25)
    s = split("random", dataset(labels, labels), seed, fractions=fractions)
    assert_partition(s, len(labels), len(labels))
    for label, fraction in enumerate(fractions):
        taken = sum(labels[i] == label for i in s.forget)
        assert taken == int(fraction * labels.count(label))


def test_random_is_a_function_of_the_key():
    data = dataset([0, 1, 2, 3] * 20, [0])
    one, same, other = (split("random", data, seed, count=30) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.forget, same.forget)
    assert not np.array_equal(one.forget, other.forget)
    assert len(one.forget) == 30


@given(st.integers(0, 9), st.sampled_from([None, 3]))
def test_noise_mislabels_what_is_to_be_forgotten(seed, choices):
    labels = [0, 1, 2, 3] * 15
    data, s = split(
        "noisy_labels",
        dataset(labels, [0, 1]),
        seed,
        classes=("ant", 3),
        fraction=0.6,
        labels=choices,
    )
    assert_partition(s, 60, 2)
    train = data.sources["train"]
    assert [sum(labels[i] == k for i in s.forget) for k in range(4)] == [9, 0, 0, 9]
    np.testing.assert_array_equal(train.clean, labels)
    assert (train.y[s.forget] != train.clean[s.forget]).all()
    np.testing.assert_array_equal(train.y[s.retain], train.clean[s.retain])
    assert set(train.y[s.forget]) <= set(range(choices or 4))
    assert train.y.dtype == np.int32


def test_noise_draws_every_wrong_label_alike():
    data, s = split(
        "noisy_labels", dataset([1] * 4000 + [0, 2, 3], [0]), classes=(1,), fraction=1.0
    )
    counts = np.bincount(data.sources["train"].y[s.forget], minlength=4)
    assert counts[1] == 0
    np.testing.assert_allclose(counts[[0, 2, 3]] / 4000, 1 / 3, atol=0.04)


def test_the_sample_is_the_same_for_whoever_asks():
    s = split("class", dataset([0, 1, 2, 3] * 20, [0]))
    np.testing.assert_array_equal(s.sample(7), s.sample(20)[:7])
    assert len(set(s.sample(20))) == 20 and set(s.sample(10**6)) == set(s.retain)
    other = split("class", dataset([0, 1, 2, 3] * 20, [0]), seed=1)
    assert not np.array_equal(s.sample(20), other.sample(20))


def test_subclass_splits_by_fine_label():
    fine = np.array([0, 1, 2, 2], np.int32)
    data = dataset([0, 0, 1, 1], [0, 1], fine, np.array([2, 0], np.int32), ("ox", "yak", "rocket"))
    s = split("subclass", data)
    np.testing.assert_array_equal(s.forget, [2, 3])
    np.testing.assert_array_equal(s.forget_test, [0])
    assert s.classes == ()
    with pytest.raises(ConfigError, match="did you mean 'rocket'"):
        split("subclass", data, subclasses=("roket",))


def test_classes_by_name():
    data = dataset([0, 1, 2, 3], [0])
    np.testing.assert_array_equal(split("class", data, classes=("bee", "3", 2)).forget, [1, 2, 3])


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("vehicle2", 19),
        ("veg", 4),
        ("people", 14),
        ("electrical_devices", 5),
        ("natural_scenes", 10),
    ],
)
def test_coarse_labels_by_the_names_of_the_papers(name, number):
    assert resolve((name,), CIFAR20, "class") == (number,)


@pytest.mark.parametrize(
    ("name", "number"), [("rocket", 69), ("mushroom", 51), ("baby", 2), ("lamp", 40), ("sea", 71)]
)
def test_fine_labels_by_name(name, number):
    assert resolve((name,), CIFAR100, "sub-class") == (number,)


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("class", {"classes": (12,)}, "class 12 does not exist: the dataset has 4"),
        ("class", {"classes": (-1,)}, "class -1 does not exist"),
        ("class", {"classes": ("wasp",)}, "unknown class 'wasp'"),
        ("class", {"classes": ()}, "forget set is empty"),
        ("class", {"classes": (0, 1, 2, 3)}, "retain set is empty"),
        ("random", {"fraction": 0.0}, "forget set is empty"),
        ("random", {"fraction": 1.0}, "retain set is empty"),
        ("random", {"count": 9}, "count is 9, and the training set has 4"),
        ("random", {"fractions": (0.5,)}, "one for each"),
        ("random", {"count": 2, "fractions": (0.5,) * 4}, "not both"),
        ("subclass", {}, "needs fine labels"),
        ("noisy_labels", {"classes": (1,), "labels": 1}, "labels is 1: it must be from 2 to 4"),
        ("noisy_labels", {"classes": (1,), "labels": 5}, "labels is 5: it must be from 2 to 4"),
        ("noisy_labels", {"classes": (1,), "fraction": 0.0}, "forget set is empty"),
    ],
)
def test_mistakes(name, fields, message):
    with pytest.raises(ConfigError, match=message):
        split(name, dataset([0, 1, 2, 3], [0]), **fields)


@pytest.mark.parametrize(
    ("seed", "name", "first", "total"),
    [
        (0, "cifar10", (31717, 6298, 11914, 37970), 124501722),
        (0, "cifar100", (9673, 35426, 7318, 33646), 125183610),
        (0, "tiny_imagenet", (86038, 19927, 30632, 61825), 505380499),
        (1, "cifar10", (39791, 8735, 15341, 19012), 125127373),
        (1, "cifar100", (22834, 7722, 23868, 4958), 125101089),
        (2, "cifar10", (42047, 12055, 13634, 14888), 125680347),
        (2, "tiny_imagenet", (88761, 44110, 10378, 14335), 498910528),
        (42, "cifar100", (29801, 24039, 19636, 18518), 124963207),
        (42, "tiny_imagenet", (94488, 88364, 28533, 53313), 505482805),
    ],
)
def test_released_lists(seed, name, first, total):
    numbers = released(seed, name)
    assert len(np.unique(numbers)) == len(numbers) == (10_000 if "tiny" in name else 5_000)
    assert tuple(numbers[:4]) == first and numbers.sum() == total


def cifar(number, labels=None):
    count = len(number)
    y = np.resize(np.arange(4), count)[::-1] if labels is None else labels
    made = dataset(y, [0, 1, 2, 3])._replace(name="cifar10")
    train = made.sources["train"]._replace(id=np.asarray(number, np.int32))
    return made._replace(sources={**made.sources, "train": train})


def test_released_lists_go_by_the_number_of_an_example():
    number = np.random.default_rng(0).permutation(50_000)
    s = split("random", cifar(number), released_seed=0)
    assert_partition(s, 50_000, 4)
    assert number[s.forget].sum() == 124501722
    assert len(s.forget_test) == 0


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (cifar(np.arange(25_000)), "this cifar10 has 25,000"),
        (cifar(np.arange(50_000) + 1), "not 0 to 49,999"),
        (cifar(np.arange(50_000), np.repeat(np.arange(4), 12_500)), "numbered class by class"),
        (dataset([0, 1, 2, 3], [0]), "none for made_up"),
        (dataset([0, 1, 2, 3], [0])._replace(name="cifar100"), "cifar100 has none here"),
    ],
)
def test_released_lists_need_the_whole_dataset_in_its_order(data, complaint):
    with pytest.raises(ConfigError, match=complaint):
        split("random", data, released_seed=0)


def test_released_lists_are_alone():
    with pytest.raises(ConfigError, match="no count or fractions"):
        SCENARIOS["random"].Config(released_seed=0, count=3)
