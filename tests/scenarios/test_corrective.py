"""Manipulated training sets: who is manipulated, what is shown, and how a repair is judged."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn import outputs
from junlearn.engine.augment import make_views
from junlearn.errors import ConfigError
from junlearn.metrics import Context, Outputs
from junlearn.metrics.corrective import corrective
from junlearn.scenarios import SCENARIOS, manipulation
from junlearn.scenarios.manipulation import Manipulation, manipulate, orders
from junlearn.scenarios.poisoning import brightest, triggered_views
from junlearn.types import Data, Dataset, Split

KINDS = ("poisoning", "interclass_confusion", "random_swap")


def made_up(labels, images=None, mean=(0.0,), std=(1.0,), augmentation="none", classes=10):
    labels = np.asarray(labels, np.int32)
    rng = np.random.default_rng(0)
    if images is None:
        images = rng.integers(0, 256, (len(labels), 8, 8, 1)).astype(np.uint8)
    test = Data(images[::-1].copy(), labels[::-1].copy())
    return Dataset(
        name="made_up",
        version="1",
        fingerprint="0",
        sources={"train": Data(images, labels), "test": test},
        views=make_views(mean, std, None, augmentation),
        classes=tuple(map(str, range(classes))),
    )


def apply(name, dataset, seed=0, **fields):
    scenario = SCENARIOS[name]
    return scenario.make(scenario.Config(**fields), dataset, jax.random.key(seed))


@pytest.mark.parity
@pytest.mark.parametrize(
    ("name", "prefix", "fields"),
    [
        ("poisoning", "poison", {"target": "target"}),
        ("random_swap", "swap", {}),
        ("interclass_confusion", "interclass", {"classes": ("class_a", "class_b")}),
    ],
)
@pytest.mark.parametrize("draw", ["released", "released_cached"])
def test_the_released_sets(golden, name, prefix, fields, draw, monkeypatch):
    case = golden("scar_corrective/09_manipulation_sets")
    monkeypatch.setattr(manipulation, "RELEASED_SEED", int(case["seed"]))
    options = {
        key: tuple(int(case[v]) for v in value) if isinstance(value, tuple) else int(case[value])
        for key, value in fields.items()
    }
    made, split = apply(
        name,
        made_up(case["labels"], classes=int(case["labels"].max()) + 1),
        manipulated=int(case[f"{prefix}_M"]),
        identified=int(case["d"]),
        draw=draw,
        **options,
    )
    expected = np.array(case["labels"])
    expected[case[f"{prefix}_map_keys"]] = case[f"{prefix}_map_values"]
    suffix = {"released": "fresh", "released_cached": "cached"}[draw]
    np.testing.assert_array_equal(split.manipulated, np.sort(case[f"{prefix}_S_m"]))
    np.testing.assert_array_equal(made.sources["train"].y, expected)
    np.testing.assert_array_equal(made.sources["train"].clean, case["labels"])
    np.testing.assert_array_equal(split.forget, np.sort(case[f"{prefix}_S_f_{suffix}"]))
    np.testing.assert_array_equal(split.retain, case[f"{prefix}_S_r_{suffix}"])
    untouched = np.setdiff1d(np.arange(int(case["n"])), split.manipulated)
    np.testing.assert_array_equal(untouched, case[f"{prefix}_untouched"])


def test_the_released_draw_of_poisoned_cifar():
    """Seed 0 of 50,000 begins so; the sum is that of the first 100."""
    drawn = orders(Manipulation(draw="released"), 50_000, jax.random.key(3)).examples
    assert drawn[:6].tolist() == [11841, 19602, 45519, 25747, 42642, 31902]
    assert drawn[:100].sum() == 2_465_051
    assert drawn[:1000].sum() == 25_167_135


def test_a_swap_by_hand():
    """Labels i mod 5 for i < 20, six of them; the draw of NumPy's generator with seed 0 is 18 1 19 8 10 17."""
    made, _ = apply("random_swap", made_up(np.arange(20) % 5), manipulated=6, draw="released")
    changed = {i: int(made.sources["train"].y[i]) for i in (1, 8, 10, 17, 18, 19)}
    assert changed == {1: 3, 8: 1, 10: 4, 17: 3, 18: 0, 19: 2}


@pytest.mark.parametrize("name", KINDS)
def test_sets_are_nested_and_drawn_by_keys_of_their_own(name):
    dataset = made_up(np.arange(60) % 6)

    def sets(seed=0, **fields):
        split = apply(name, dataset, seed, **fields)[1]
        assert set(split.forget) <= set(split.manipulated)
        assert sorted([*split.forget, *split.retain]) == list(range(60))
        return set(split.manipulated), set(split.forget)

    whole = sets(manipulated=12)
    assert whole[0] == whole[1]
    half, third = sets(manipulated=12, share=0.5), sets(manipulated=12, identified=4)
    assert half[0] == third[0] == whole[0]
    assert len(half[1]) == 6 and len(third[1]) == 4 and third[1] < half[1] < whole[1]
    assert sets(manipulated=6)[0] < whole[0]
    assert sets(seed=1, manipulated=12)[0] != whole[0]


def test_interclass_confusion_exchanges_two_classes():
    labels = np.arange(60) % 6
    made, split = apply("interclass_confusion", made_up(labels), manipulated=8, classes=(3, 5))
    now = made.sources["train"].y
    assert sorted(labels[split.manipulated]) == [3] * 4 + [5] * 4
    np.testing.assert_array_equal(now[split.manipulated], 8 - labels[split.manipulated])
    others = np.setdiff1d(np.arange(60), split.manipulated)
    np.testing.assert_array_equal(now[others], labels[others])
    test = made.sources["test"].y
    assert set(test[split.forget_test]) == {3, 5} and not set(test[split.retain_test]) & {3, 5}


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("poisoning", {"manipulated": 61}, "there are 60 training examples"),
        ("poisoning", {"manipulated": 60}, "retain set is empty"),
        ("poisoning", {"manipulated": 6, "target": 10}, "does not exist"),
        ("poisoning", {"manipulated": 6, "patch": 9}, "8×8 pixels"),
        ("interclass_confusion", {"manipulated": 7}, "must be even"),
        ("interclass_confusion", {"manipulated": 22}, "there are 20 examples of the two classes"),
        ("interclass_confusion", {"manipulated": 4, "classes": (3, 3)}, "two different ones"),
        ("random_swap", {"manipulated": 5, "identified": 6}, "no more can be known"),
    ],
)
def test_what_cannot_be_manipulated_is_refused(name, fields, message):
    with pytest.raises(ConfigError, match=message):
        apply(name, made_up(np.arange(60) % 6), **fields)


@pytest.mark.parity
def test_the_trigger(golden):
    case = golden("scar_corrective/10_trigger")
    classes = max(*case["labels"].tolist(), int(case["target"])) + 1
    dataset = made_up(case["labels"], case["images"], case["mean"], case["std"], classes=classes)
    value, patch = brightest(dataset), int(case["patch_size"])
    assert value == pytest.approx(float(case["max_val"]), rel=1e-6)
    target, rows = int(case["target"]), np.sort(case["S_m"])
    order = np.concatenate([np.flatnonzero(rows == i) for i in case["S_f"]])
    config = Manipulation(manipulated=len(rows), identified=len(order))
    made, split = manipulate(
        config, dataset, jax.random.key(0), rows, np.full(len(rows), target), order
    )
    marks = np.isin(np.arange(len(case["labels"])), rows)
    train = jax.tree.map(jnp.asarray, made.sources["train"]._replace(triggered=marks))
    views = triggered_views(dataset.views, value, patch)
    shown = {name: view(train, None) for name, view in views.items()}
    for name, expected in {
        "eval": "train_images",
        "clean": "test_images",
        "triggered": "triggered_images",
    }.items():
        np.testing.assert_allclose(shown[name], case[expected], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(train.y, case["train_labels"])
    np.testing.assert_array_equal(np.isin(np.arange(len(marks)), split.forget), case["train_flag"])
    np.testing.assert_array_equal(marks, case["pretrain_flag"])


def test_the_trigger_in_the_pixels_of_cifar():
    """(1 - 0.4822) / 0.2435 of the green channel; in [0, 1] units of each channel outside of what 8 bits can hold."""
    mean, std = np.array([0.4914, 0.4822, 0.4465]), np.array([0.2470, 0.2435, 0.2616])
    images = np.full((4, 8, 8, 3), 255, np.uint8)
    value = brightest(made_up(np.arange(4), images, tuple(mean), tuple(std)))
    assert value == pytest.approx(2.1264887, rel=1e-6)
    np.testing.assert_allclose(mean + std * value, [1.016643, 1.0, 1.002789], rtol=1e-6)


def test_augmentation_leaves_the_trigger_where_it_is():
    made, split = apply(
        "poisoning", made_up(np.arange(40) % 4, augmentation="crop_flip"), manipulated=20, patch=2
    )
    train = jax.tree.map(jnp.asarray, made.sources["train"])
    keys = jax.random.split(jax.random.key(1), 40)
    shown = np.asarray(made.views["augment"](train, keys))
    marked = np.isin(np.arange(40), split.manipulated)
    assert (shown[marked][:, -2:, -2:] == brightest(made)).all()
    assert not (shown[~marked][:, -2:, -2:] == brightest(made)).all((1, 2, 3)).any()
    # The images are stored without it.
    np.testing.assert_array_equal(train.x, made_up(np.arange(40) % 4).sources["train"].x)


def one_hot(answers, classes=4):
    return np.eye(classes)[np.asarray(answers)] * 3.0


def test_repair_of_a_backdoor_is_judged_on_triggered_images():
    labels = np.array([0, 1, 2, 3])
    context = Context(
        Outputs(
            {
                "test": one_hot([0, 1, 2, 0]),
                "test_triggered": one_hot([0, 0, 2, 0]),
                "forget_train": one_hot([0, 1]),
                "validation": one_hot([1, 1]),
            }
        ),
        {
            "test": labels,
            "test_triggered": labels,
            "forget_train": np.array([0, 0]),
            "validation": np.array([1, 2]),
            "manipulated_train": np.array([0, 0, 0]),
        },
        target=0,
    )
    assert corrective(context) == pytest.approx(
        {
            "corrective/corrected": 0.5,
            "corrective/retained": 0.75,
            "corrective/attack_success": 2 / 3,
            "corrective/corrected_others": 1 / 3,
            "corrective/oracle": 0.625,
            "corrective/developer": 0.5,
        }
    )


def test_repair_of_labels_is_judged_where_they_were_wrong():
    labels = {
        "forget_test": np.array([1, 2]),
        "retain_test": np.array([0, 3]),
        "test": np.array([1, 2, 0, 3]),
        "manipulated_train": np.array([2, 1]),
    }
    logits = {
        "forget_test": one_hot([1, 1]),
        "retain_test": one_hot([0, 3]),
        "test": one_hot([1, 1, 0, 3]),
    }
    confused = corrective(Context(Outputs(logits), labels))
    assert confused == {
        "corrective/corrected": 0.5,
        "corrective/retained": 1.0,
        "corrective/oracle": 0.75,
    }
    only = {name: labels[name] for name in ("test", "manipulated_train")}
    swapped = corrective(Context(Outputs({"test": logits["test"]}), only))
    assert swapped == {"corrective/corrected": 0.75, "corrective/oracle": 0.75}
    del only["manipulated_train"]
    assert corrective(Context(Outputs({"test": logits["test"]}), only)) == {}


def test_places_of_a_poisoned_set(mlp):
    made, split = apply("poisoning", made_up(np.arange(40) % 4), manipulated=8, share=0.25)
    names = outputs.labels(made.sources, split, made.views)
    assert set(names) == {
        *("retain_train", "forget_train", "test", "retain_test"),
        *("manipulated_train", "unidentified_train", "manipulated_untriggered"),
        *("train_untriggered", "train_triggered", "test_triggered"),
    }
    assert len(names["forget_train"]) == 2 and len(names["unidentified_train"]) == 6
    assert not names["manipulated_train"].any()
    true = np.asarray(made.sources["train"].clean)
    np.testing.assert_array_equal(names["manipulated_untriggered"], true[split.manipulated])
    np.testing.assert_array_equal(names["train_triggered"], true)
    plain = Split(split.forget, split.retain, split.forget_test, split.retain_test)
    assert set(outputs.labels(made.sources, plain, made.views)) == {
        *("retain_train", "forget_train", "test", "retain_test")
    }
