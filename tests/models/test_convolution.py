"""The CPU forms of convolution and pooling against `lax`, in every transformation."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from junlearn.models.convolution import conv2d, max_pool, written_as

CONVOLUTIONS = {
    # name: (B, H, W, C), (kh, kw, features), stride, padding: the layers of the registered models
    "laf conv1": ((4, 28, 28, 1), (5, 5, 16), 1, 2),
    "laf conv2": ((6, 14, 14, 16), (5, 5, 32), 1, 2),
    "digits": ((3, 8, 8, 1), (3, 3, 16), 1, 1),
    "cifar stem": ((2, 16, 16, 3), (3, 3, 8), 1, 1),
    "imagenet stem": ((2, 17, 17, 3), (7, 7, 8), 2, 3),
    "block": ((4, 8, 8, 16), (3, 3, 16), 1, 1),
    "more kernel than image": ((4, 4, 4, 16), (3, 3, 32), 1, 1),
    "down": ((4, 8, 8, 8), (3, 3, 16), 2, 1),
    "down, odd": ((3, 9, 7, 4), (3, 3, 8), 2, 1),
    "wide steps": ((2, 11, 7, 4), (4, 5, 8), 3, 1),
    "steps over pixels, padded": ((2, 6, 9, 4), (2, 1, 8), 3, 2),
    "one product for all columns": ((2, 16, 14, 32), (3, 3, 32), 1, 1),
    "few multiplications": ((4, 6, 8, 64), (3, 3, 64), 1, 1),
    "few multiplications, odd": ((3, 5, 7, 64), (3, 3, 96), 1, 1),
    "few multiplications, valid": ((2, 7, 6, 96), (3, 3, 64), 1, 0),
    "few multiplications, wide padding": ((1, 3, 2, 64), (3, 3, 64), 1, 2),
    "few multiplications between strides": ((2, 9, 8, 64), (5, 5, 64), 2, 1),
    "shortcut": ((4, 8, 8, 8), (1, 1, 16), 2, 0),
    "one image": ((1, 7, 5, 4), (3, 3, 8), 1, 1),
    "a column to spare": ((2, 13, 12, 4), (3, 3, 8), 1, 1),
    "valid": ((2, 14, 14, 4), (3, 3, 8), 1, 0),
    "even kernel": ((2, 13, 14, 4), (4, 2, 8), 1, 1),
    "patches of a ViT": ((2, 9, 8, 3), (4, 4, 8), 4, 0),
    "one channel, stride": ((2, 9, 8, 1), (3, 3, 8), 2, 1),
}
POOLS = {
    "2x2": ((3, 8, 8, 4), 2, None, 0),
    "2x2, rest left out": ((3, 7, 9, 4), 2, None, 0),
    "3x3, stride 2, padded": ((2, 9, 8, 4), 3, 2, 1),
}


def lax_conv(x, kernel, stride, pad):
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        ((pad, pad), (pad, pad)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def our_conv(x, kernel, stride, pad):
    return conv2d(x, kernel, strides=(stride, stride), padding=((pad, pad), (pad, pad)))


def lax_pool(x, size, stride, pad):
    stride = stride or size
    padding = ((0, 0), (pad, pad), (pad, pad), (0, 0))
    return lax.reduce_window(
        x, -jnp.inf, lax.max, (1, size, size, 1), (1, stride, stride, 1), padding
    )


def our_pool(x, size, stride, pad):
    return max_pool(x, size, stride=stride, padding=((pad, pad), (pad, pad)))


def assert_same(actual, expected):
    """Equal to 1e-5 of the largest entry, leaf by leaf."""
    chex.assert_trees_all_equal_shapes_and_dtypes(actual, expected)
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(
            a, b, atol=1e-5 * max(1.0, float(jnp.abs(b).max(initial=0))), rtol=0
        )


def normal(*shape):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


@pytest.fixture(params=CONVOLUTIONS)
def problem(request):
    """Both convolutions, an input, a kernel, and a direction for each."""
    shape, (height, width, features), stride, pad = CONVOLUTIONS[request.param]
    depth = height * width * shape[-1]
    x, dx = normal(2, *shape)
    kernel, dkernel = normal(2, height, width, shape[-1], features) / depth**0.5
    ours = partial(our_conv, stride=stride, pad=pad)
    theirs = partial(lax_conv, stride=stride, pad=pad)
    return ours, theirs, (x, kernel), (dx, dkernel)


def loss(conv, x, kernel):
    return jnp.square(jnp.tanh(conv(x, kernel))).sum()


def test_values_gradients_and_hessian_vector_products_are_those_of_lax(problem):
    ours, theirs, primals, tangents = problem

    @partial(jax.jit, static_argnums=0)
    def everything(conv, primals, tangents):
        gradient = jax.grad(partial(loss, conv), (0, 1))
        product = jax.jvp(gradient, primals, tangents)[1]
        return conv(*primals), jax.jvp(conv, primals, tangents)[1], gradient(*primals), product

    assert_same(everything(ours, primals, tangents), everything(theirs, primals, tangents))


# One product for some columns at once, one plain convolution, one with a column to spare, one with a stride, those of
# which a row or all of the kernel is taken at a time, and Winograd's.
SOME = pytest.mark.parametrize(
    "problem",
    [
        "digits",
        "block",
        "a column to spare",
        "down, odd",
        "laf conv2",
        "one product for all columns",
        "few multiplications, odd",
    ],
    indirect=True,
)


@SOME
def test_vmap_over_examples_and_over_kernels(problem):
    ours, theirs, (x, kernel), (_, dkernel) = problem
    kernels = jnp.stack([kernel, dkernel])

    @partial(jax.jit, static_argnums=0)
    def mapped(conv):
        gradient = jax.grad(partial(loss, conv), (0, 1))
        per_example = jax.vmap(lambda row: gradient(row[None], kernel))(x)
        per_kernel = jax.vmap(gradient, in_axes=(None, 0))(x, kernels)
        return per_example, per_kernel

    assert_same(mapped(ours), mapped(theirs))


@SOME
def test_patches_and_kernels_over_kernels(problem):
    ours, theirs, (x, kernel), (_, dkernel) = problem
    kernels = jnp.stack([kernel, dkernel])

    def mapped(conv):
        return jax.vmap(jax.grad(partial(loss, conv), (0, 1)), in_axes=(None, 0))(x, kernels)

    with written_as("patches"):
        actual = jax.jit(partial(mapped, ours))()
        assert "conv_general_dilated" not in str(jax.make_jaxpr(partial(mapped, ours))())
    assert_same(actual, jax.jit(partial(mapped, theirs))())


def test_written_as_lax_it_is_that_of_lax():
    x, kernel = normal(2, 8, 8, 4), normal(3, 3, 4, 4)

    def both(conv, pool):
        return str(jax.make_jaxpr(lambda x: pool(conv(x, kernel, 1, 1), 2, None, 0))(x))

    with written_as("lax"):
        assert both(our_conv, our_pool) == both(lax_conv, lax_pool)
    assert both(our_conv, our_pool) != both(lax_conv, lax_pool)


@SOME
def test_descent_in_a_scan(problem):
    ours, theirs, (x, kernel), _ = problem

    @partial(jax.jit, static_argnums=0)
    def descend(conv):
        def step(kernel, _):
            value, grad = jax.value_and_grad(partial(loss, conv), 1)(x, kernel)
            return kernel - 1e-3 * grad, value

        return lax.scan(step, kernel, None, length=3)

    assert_same(descend(ours), descend(theirs))


@pytest.mark.parametrize(
    ("channels", "features", "plain"), [(64, 64, False), (63, 64, True), (64, 63, True)]
)
def test_kernels_of_many_channels_leave_the_plain_convolution(channels, features, plain):
    x, kernel = normal(2, 6, 6, channels), normal(3, 3, channels, features)
    gradient = jax.grad(partial(loss, partial(our_conv, stride=1, pad=1)), (0, 1))
    assert ("conv_general_dilated" in str(jax.make_jaxpr(gradient)(x, kernel))) is plain


def test_fewer_multiplications_give_the_same_sums():
    with jax.enable_x64(True):
        x, kernel, g = (
            jnp.asarray(normal(*shape), jnp.float64)
            for shape in ((4, 5, 6, 64), (3, 3, 64, 96), (4, 5, 6, 96))
        )

        @partial(jax.jit, static_argnums=0)
        def everything(conv):
            y, pullback = jax.vjp(partial(conv, stride=1, pad=1), x, kernel)
            return y, *pullback(g)

        actual, expected = everything(our_conv), everything(lax_conv)
    chex.assert_trees_all_equal_shapes_and_dtypes(actual, expected)
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12 * np.abs(b).max(), rtol=0)


def test_gradient_of_a_gradient_in_reverse_mode():
    x, kernel = normal(2, 6, 6, 2), normal(3, 3, 2, 4) / 4

    def penalty(conv, kernel):
        grads = jax.grad(lambda k: loss(partial(conv, stride=1, pad=1), x, k))(kernel)
        return jnp.square(grads).sum()

    actual, expected = (
        jax.jit(jax.grad(partial(penalty, conv)))(kernel) for conv in (our_conv, lax_conv)
    )
    assert_same(actual, expected)


def test_kernel_gradient_of_a_batch_spread_over_devices():
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    x, kernel = normal(8, 6, 6, 2), normal(3, 3, 2, 4) / 4
    spread = jax.device_put(x, jax.NamedSharding(mesh, jax.P("data")))
    grad = jax.jit(jax.grad(lambda x, k: loss(partial(our_conv, stride=1, pad=1), x, k), (0, 1)))
    assert_same(grad(spread, kernel), grad(x, kernel))


@pytest.mark.parametrize("form", ["fast", "patches"])
@pytest.mark.parametrize(
    "shape, stride",
    [
        ((0, 4, 4, 64), 1),
        ((2, 2, 4, 64), 1),
        ((2, 4, 2, 8), 2),
        ((2, 1, 2, 1), 1),
        ((2, 0, 3, 3), 1),
    ],
)
def test_a_convolution_without_output_is_empty(form, shape, stride):
    """No image, or one that is smaller than the kernel: as with `lax`, for few and many channels."""
    x, kernel = jnp.ones(shape), jnp.ones((3, 3, shape[-1], 64))

    def values_and_gradients(convolve):
        y, transpose = jax.vjp(lambda x, kernel: convolve(x, kernel, stride, 0), x, kernel)
        return y, transpose(y)

    with written_as(form):
        outcome = values_and_gradients(our_conv)
    assert outcome[0].size == 0
    assert_same(outcome, values_and_gradients(lax_conv))


@pytest.mark.parametrize("name", POOLS)
def test_max_pool_is_that_of_lax(name):
    shape, *window = POOLS[name]
    x, dx = normal(2, *shape)

    @partial(jax.jit, static_argnums=0)
    def everything(pool):
        gradient = jax.grad(lambda x: jnp.square(pool(x, *window)).sum())
        return pool(x, *window), gradient(x), jax.jvp(gradient, (x,), (dx,))[1]

    assert_same(everything(our_pool), everything(lax_pool))


def test_among_equal_values_the_first_gets_the_gradient():
    x = jnp.zeros((1, 4, 4, 1))
    actual, expected = (
        jax.grad(lambda x, pool=pool: pool(x, 2, None, 0).sum())(x) for pool in (our_pool, lax_pool)
    )
    assert actual.sum() == 4
    assert_same(actual, expected)


def test_max_pool_keeps_nan():
    for row, column in np.ndindex(2, 2):
        x = np.zeros((1, 4, 4, 1), np.float32)
        x[0, row, column, 0] = np.nan
        pooled = np.asarray(max_pool(x, 2))
        assert np.isnan(pooled[0, 0, 0, 0]) and np.isfinite(pooled.ravel()[1:]).all()
