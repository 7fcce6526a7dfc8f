"""Class statistics and the distances made of them: reference numbers in float64, identities, files, bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from junlearn.engine.batches import PLAIN_VIEWS
from junlearn.errors import ConfigError, DataError
from junlearn.parts import class_statistics as cs
from junlearn.parts import whitening
from junlearn.parts.class_statistics import Moments, TukeyPower
from junlearn.parts.whitening import Shrinkage
from tests.golden_nets import close


def streamed(features, labels, classes, power, batch=9):
    """The moments over batches of `batch` rows, the last one padded with rows that must not count."""
    moments = cs.empty(classes, features.shape[1], features.dtype)
    step = jax.jit(cs.accumulate)
    for start in range(0, len(features), batch):
        rows, own = features[start : start + batch], labels[start : start + batch]
        missing = batch - len(rows)
        rows = np.concatenate([rows, np.full((missing, features.shape[1]), np.nan)])
        own = np.concatenate([own, np.zeros(missing, own.dtype)])
        mask = np.arange(batch) < batch - missing
        moments = step(moments, cs.tukey(jnp.asarray(rows), power), jnp.asarray(own), mask)
    return moments


def reference_metric(case):
    """The whitening that belongs to given means and inverse correlations: inv = W^T W."""
    matrix = np.linalg.cholesky(case["inv"]).swapaxes(1, 2)
    unit = case["mean"] / np.linalg.norm(case["mean"], axis=1, keepdims=True)
    offset = np.einsum("kde,ke->kd", matrix, unit)
    return whitening.Whitening(*map(jnp.asarray, (np.ones(len(offset)), offset, matrix)))


@pytest.mark.parity
def test_reference_statistics(golden, float64):
    case = golden("scar_corrective/01_class_statistics")
    power, classes = TukeyPower(float(case["delta"])), len(case["mean"])
    close(cs.tukey(jnp.asarray(case["features"]), power), case["tukey"])
    moments = streamed(case["features"], case["labels"], classes, power)
    close(moments.mean, case["mean"])
    covariance = moments.scatter / (moments.count - 1)[:, None, None]
    close(covariance, case["cov"])
    for times, name in ((1, "once"), (2, "twice")):
        how = Shrinkage(float(case["gamma1"]), float(case["gamma2"]), times, v2_mask=True)
        close(
            jax.vmap(lambda c, how=how: whitening.shrink(c, how))(covariance),
            case[f"shrunk_{name}"],
        )
        made = whitening.whiten(moments, how, jnp.zeros(classes, bool))
        close(jnp.einsum("kde,kdf->kef", made.matrix, made.matrix), case[f"inv_{name}"])


@pytest.mark.parity
def test_reference_distances(golden, float64):
    case = golden("scar_corrective/02_metric_loss")
    metric, power = reference_metric(case), TukeyPower(float(case["delta"]))
    labels = jnp.asarray(case["labels"])

    def loss(z, targets):
        d = whitening.distances(metric, cs.tukey(z, power))
        return case["lambda1"] * whitening.picked(d, targets).mean()

    for inputs, suffix, gradient in (
        ("emb", "", "grad_emb"),
        ("pre_relu", "_relu", "grad_pre_relu"),
    ):
        z = jnp.asarray(case[inputs])
        into = jax.nn.relu if suffix else lambda z: z
        d = whitening.distances(metric, cs.tukey(into(z), power))
        close(d, case[f"D{suffix}"])
        targets = whitening.assign(d, labels)
        np.testing.assert_array_equal(targets, case[f"target{suffix}"])
        value, slope = jax.value_and_grad(lambda z, into=into, t=targets: loss(into(z), t))(z)
        close(value, case[f"loss{suffix}"])
        close(slope, case[gradient])


def test_streaming_is_accurate_in_float32():
    """Far from zero, sums of products would lose the covariance to cancellation."""
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(400, 3)) * [1, 2, 3] + 1000).astype(np.float32)
    moments = streamed(x, np.zeros(400, np.int32), 1, TukeyPower(1.0), batch=32)
    exact = np.cov(x.astype(np.float64).T)
    np.testing.assert_allclose(moments.scatter[0] / 399, exact, rtol=1e-3, atol=1e-3)


def test_two_shrinkages_are_a_larger_one():
    rng = np.random.default_rng(1)
    covariance = jnp.asarray(np.cov(rng.normal(size=(5, 30))), jnp.float32)
    twice = whitening.shrink(covariance, Shrinkage(3, 3, 2))
    np.testing.assert_allclose(twice, whitening.shrink(covariance, Shrinkage(15, 15, 1)), rtol=1e-5)


def test_distance_is_the_quadratic_form_in_every_chunk(monkeypatch):
    rng = np.random.default_rng(2)
    x = np.abs(rng.normal(size=(90, 5))).astype(np.float32)
    y = np.resize(np.arange(6), 90).astype(np.int32)
    moments = streamed(x, y, 6, TukeyPower())
    removed = jnp.arange(6) == 4
    how = Shrinkage(times=1)
    made = whitening.whiten(moments, how, removed)
    u = np.sqrt(x[:7])
    ours = whitening.distances(made, jnp.asarray(u))
    assert np.isinf(ours[:, 4]).all()
    for k in (0, 1, 2, 3, 5):
        c = np.asarray(whitening.shrink(jnp.asarray(np.cov(np.sqrt(x[y == k]).T)), how), float)
        s = np.sqrt(np.diag(c))
        m = np.sqrt(x[y == k]).mean(0)
        gap = u / np.linalg.norm(u, axis=1, keepdims=True) - m / np.linalg.norm(m)
        expected = np.einsum("bd,de,be->b", gap, np.linalg.inv(c / np.outer(s, s)), gap)
        np.testing.assert_allclose(ours[:, k], expected, rtol=1e-4)
    monkeypatch.setattr(whitening, "CHUNK", 4)  # chunks of three classes
    np.testing.assert_allclose(whitening.distances(made, jnp.asarray(u)), ours, rtol=1e-6)


def test_the_nearest_class_is_never_the_own_or_a_removed_one():
    d = jnp.array([[0.1, 0.2, jnp.inf, 0.3], [0.5, 0.1, jnp.inf, 0.2], [0.3, 0.2, jnp.inf, 0.1]])
    assert whitening.assign(d, jnp.array([0, 2, 3])).tolist() == [1, 1, 1]


def test_power_at_zero_and_below():
    assert jax.grad(lambda z: cs.tukey(z, TukeyPower()).sum())(jnp.array([0.0, 4.0])).tolist() == [
        0,
        0.25,
    ]
    assert np.isnan(cs.tukey(jnp.array([-1.0]), TukeyPower())).all()
    signed = TukeyPower(signed=True)
    np.testing.assert_allclose(cs.tukey(jnp.array([-4.0, 0, 9]), signed), [-2, 0, 3])
    slope = jax.grad(lambda z: cs.tukey(z, signed).sum())(jnp.array([-4.0, 0.0]))
    np.testing.assert_allclose(slope, [0.25, 0])


def test_a_zero_feature_has_a_distance_and_a_gradient():
    x = np.abs(np.random.default_rng(3).normal(size=(20, 4))).astype(np.float32)
    made = whitening.whiten(
        streamed(x, np.zeros(20, np.int32), 1, TukeyPower()), Shrinkage(), jnp.zeros(1, bool)
    )
    value, slope = jax.value_and_grad(lambda z: whitening.distances(made, z).sum())(
        jnp.zeros((2, 4))
    )
    assert np.isfinite(value) and np.isfinite(slope).all()


def class_problem(rows, width=3):
    rng = np.random.default_rng(4)
    count = jnp.asarray([float(rows), 12.0])
    scatter = rng.normal(size=(2, width, 12))
    return Moments(
        count, jnp.ones((2, width)), jnp.asarray(scatter @ scatter.swapaxes(1, 2), jnp.float32)
    )


def test_a_singular_matrix_gets_jitter_and_a_constant_one_is_refused():
    moments = class_problem(5)
    ones = moments.scatter.at[0].set(1.0)  # rank 1
    no = Shrinkage(0.0, 0.0, 1)
    made = whitening.whiten(moments._replace(scatter=ones), no, jnp.zeros(2, bool))
    whitening.check_whitening(made)
    constant = moments._replace(scatter=moments.scatter.at[0].set(0.0))
    made = whitening.whiten(constant, no, jnp.zeros(2, bool))
    with pytest.raises(ConfigError, match="class 0 is degenerate"):
        whitening.check_whitening(made)
    # What is removed is not looked at.
    whitening.check_whitening(whitening.whiten(constant, no, jnp.array([True, False])))
    with pytest.raises(ConfigError, match="any class that stays"):
        whitening.check_whitening(whitening.whiten(constant, no, jnp.ones(2, bool)))


def test_a_class_of_one_and_negative_features_are_refused():
    with pytest.raises(ConfigError, match="one only of class 0"):
        cs.check_moments(class_problem(1), TukeyPower())
    x = np.random.default_rng(5).normal(size=(8, 3)).astype(np.float32)
    negative = streamed(x, np.zeros(8, np.int32), 1, TukeyPower())
    with pytest.raises(ConfigError, match="signed=True"):
        cs.check_moments(negative, TukeyPower())
    cs.check_moments(streamed(x, np.zeros(8, np.int32), 1, TukeyPower(2.0)), TukeyPower(2.0))


def test_collected_statistics_come_back_from_a_file(mlp, tmp_path):
    power = TukeyPower(0.5)
    data, rows = mlp.sources["train"], mlp.split.retain
    moments = cs.collect(
        mlp.model, mlp.variables, data, rows, view=PLAIN_VIEWS["eval"], power=power, batch_size=16
    )
    z = np.asarray(mlp.model.apply(mlp.variables, jnp.asarray(data.x))[1]["embedding"]) ** 0.5
    own = z[rows][data.y[rows] == 3]
    np.testing.assert_allclose(moments.mean[3], own.mean(0), rtol=1e-5)
    np.testing.assert_allclose(moments.scatter[3] / (len(own) - 1), np.cov(own.T), atol=1e-5)
    assert moments.count[1] == 0
    path = tmp_path / "statistics.npz"
    cs.save(path, moments, power)
    again, how = cs.load(path)
    assert how == power
    for ours, theirs in zip(moments, again, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert [file.name for file in tmp_path.iterdir()] == ["statistics.npz"]


def test_files_that_are_none(tmp_path):
    good = tmp_path / "good.npz"
    cs.save(good, class_problem(5), TukeyPower())
    whole = good.read_bytes()

    def refused(content, match, name="bad.npz"):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(DataError, match=match):
            cs.load(path)

    refused(None, "no such file", name="absent.npz")
    refused(whole[: len(whole) // 2], "bad.npz")
    refused(b"", "bad.npz")
    refused(b"something else", "not a file of class statistics")
    flipped = bytearray(whole)
    flipped[whole.index(b"scatter.npy") + 200] ^= 255
    refused(bytes(flipped), "bad.npz")

    def written(**change):
        arrays = {
            "format": 1,
            "delta": 0.5,
            "signed": False,
            **class_problem(5)._asdict(),
            **change,
        }
        path = tmp_path / "other.npz"
        np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
        return path.read_bytes()

    refused(written(format=2), "format 2, not 1")
    refused(written(scatter=None), "scatter")
    refused(written(mean=np.ones((3, 3))), "shapes")
    refused(written(mean=np.full((2, 3), np.nan)), "not finite")
    refused(written(mean=np.array([{}])), "not a file of class statistics")
