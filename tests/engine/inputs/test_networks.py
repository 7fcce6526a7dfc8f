"""Models and networks at the Python door, and what their outputs look like."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import junlearn
from junlearn import Variables
from junlearn.datasets import DATASETS
from junlearn.main import main
from tests.door import BOTH, DATA, KEY, MLP, MODEL, NORMED, Linear, Nnx, refused, several

ONE = "has 1 output: .*two outputs"


def nan_in(variables):
    return jax.tree.map(lambda a: a.at[(0,) * a.ndim].set(jnp.nan), variables)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (nan_in, r"\.params\['dense1'\]\['bias'\] holds NaN"),
        (lambda v: jax.tree.map(lambda a: a / 0, v), "NaN or infinite"),
        (several, r"\['bias'\] has shape \[2, 8\], and \[8\] is wanted.*junlearn.pick"),
        (lambda v: v._replace(params={"head": v.params["head"]}), r"has no \['dense1'\]\['bias'\]"),
        (lambda v: v._replace(params=v.params | {"more": jnp.ones(3)}), r"has \['more'\], and the"),
        (lambda v: jax.tree.map(lambda a: a[..., :1], v), r"\[1\], and \[8\] is wanted: .*another"),
        (lambda v: jax.tree.map(lambda a: a.astype(int), v), "is int32, and float32 is wanted"),
        (lambda v: jax.tree.map(lambda a: a.tolist(), v), "another network than the model's"),
        (lambda v: Variables({}, {}), "has no"),
        (lambda v: v.params, "a dict with 'dense1', 'head' in it"),
        (lambda v: 3, "this is int"),
        (lambda v: junlearn.Result(MODEL, v, [], {}, {}, {}), "is a Result: pass its .variables"),
        (
            lambda v: junlearn.Many(several(v), [], {}, "loop", 1, {}),
            r"pass junlearn.pick\(many, i\)",
        ),
    ],
)
@pytest.mark.usefixtures("unrun")
def test_wrong_networks(change, message, network):
    wrong = change(network)
    refused(f"^variables.*{message}", junlearn.unlearn, MODEL, wrong, DATA, [1], key=0)
    refused(
        f"^initial.*{message}", junlearn.unlearn, MODEL, network, DATA, [1], key=0, initial=wrong
    )
    for role in ("variables", "original", "retrain", "random"):
        networks = {"variables": network, role: wrong}
        refused(f"^{role}.*{message}", junlearn.evaluate, MODEL, data=DATA, split=[1], **networks)


def test_usual_networks(network):
    """Of numpy, of another width, with a collection more than the model has."""
    values = [
        junlearn.evaluate(MODEL, v, DATA, [1], metrics=["accuracy"])
        for v in (
            network,
            jax.tree.map(np.asarray, network),
            jax.tree.map(lambda a: np.asarray(a, np.float64), network),
            {**network.to_linen(), "intermediates": {}},
        )
    ]
    assert values == [values[0]] * 4


@pytest.mark.parametrize("stats", [{}, {"batch_stats": {}}, {"other": {"mean": jnp.ones(1)}}])
@pytest.mark.usefixtures("unrun")
def test_networks_without_their_statistics(stats):
    variables = NORMED.fresh(KEY, {"train": DATA})._replace(stats=stats)
    message = "no 'batch_stats'|has no .*mean"
    refused(message, junlearn.unlearn, NORMED, variables, DATA, [1], key=0)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Linear(), r"a Linear, not a junlearn.Model: junlearn.Model.from_linen\(module\)"),
        (Linear, r"the class Linear, .*from_linen\(Linear\(...\)\)"),
        (Nnx(nnx.Rngs(0)), r"from_nnx\(lambda rngs: Nnx\(..., rngs=rngs\)\)"),
        (Nnx, "the class Nnx, .*from_nnx"),
        ("mlp", "model is a str"),
        (MLP, "model is a Component"),
        (MODEL._replace(layers=["a"]), "its layers are a tuple"),
        (MODEL._replace(apply=3), "must be functions"),
        (
            MODEL._replace(init=lambda key, x: 1 / 0),
            r"fails on images of \[4, 4, 1\].*ZeroDivision",
        ),
        (
            MODEL._replace(apply=lambda v, x, **_: (x, {}, {})),
            r"gives \[1, 4, 4, 1\] for one image",
        ),
        (MODEL._replace(apply=lambda v, x, **_: x), "fails on images"),
        (junlearn.Model.from_linen(Linear(1)), ONE),
        (junlearn.Model.from_linen(Linear(1), input_shape=(4, 4, 1)), ONE),
        (MLP.make(MLP.Config(), 1, (4, 4, 1)), ONE),
    ],
)
@pytest.mark.usefixtures("unrun")
def test_wrong_models(model, message, network):
    refused(message, junlearn.train, model, DATA, key=0)
    refused(message, junlearn.initial, model, DATA, key=0)
    refused(message, junlearn.train_many, model, DATA, [[1]])
    refused(message, junlearn.unlearn, model, network, DATA, [1], key=0)
    refused(message, junlearn.evaluate, model, network, DATA, [1])


def test_a_dataset_of_one_class_is_refused_on_the_command_line(monkeypatch, tmp_path, capsys):
    digits = DATASETS["digits"]

    def one_class(*arguments, **options):
        return digits.make(*arguments, **options)._replace(classes=("zero",))

    monkeypatch.setitem(DATASETS, "digits", digits._replace(make=one_class))
    assert main(["--workdir", str(tmp_path / "w"), "--cache-dir", str(tmp_path / "c")]) == 2
    assert "dataset digits has 1 class: a network needs two or more" in capsys.readouterr().err


@pytest.mark.parametrize("probabilities", [True, False])
def test_probabilities_are_remarked_once(probabilities):
    model = junlearn.Model.from_linen(Linear(3, probabilities), input_shape=(4, 4, 1))
    variables = model.fresh(KEY, BOTH)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        references = {"original": variables, "random": variables}
        junlearn.evaluate(model, variables, BOTH, [1, 2], metrics="accuracy", **references)
    few, *found = [str(w.message) for w in caught if w.category is UserWarning]
    assert "the forget set has 2 examples" in few
    assert len(found) == probabilities and all("leave the softmax out" in text for text in found)
