"""Vision transformers: ViT-B/16 as Google released it, and a small one to train from scratch on 32×32 images.

An image is cut into patches, each embedded linearly; a class token is put before them and learned positions are added;
then blocks of

    (1)  x <- x + Attention(LayerNorm(x))
    (2)  x <- x + W2 gelu(W1 LayerNorm(x) + b1) + b2          gelu exact

and the head reads the class token after a last LayerNorm. `vit_b16` has the layout of the checkpoint
`google/vit-base-patch16-224` (85,798,656 + 769 K parameters at 224×224, without its pooler, which nothing reads).
Kernels, class token and positions start from a normal of standard deviation 0.02, biases from zero.

Reference: Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn

from junlearn.errors import ConfigError
from junlearn.fields import Count, Fraction, Positive
from junlearn.models.linen import from_linen
from junlearn.models.modules import Dense, normal, parameter, zeros
from junlearn.models.weight_tables import Row, Table
from junlearn.models.weights import Pretrained, pretrained
from junlearn.types import Array, Model

__all__ = ["Vit", "VitBase16Config", "VitConfig", "make_vit"]

small_normal = partial(normal, std=0.02)


@dataclass(frozen=True, kw_only=True)
class VitConfig(Pretrained):
    """The sizes of `Vit`; the number of patches follows from the images of the dataset."""

    patch: Count = 4
    """Height and width of a patch."""
    width: Count = 192
    depth: Count = 6
    """Blocks."""
    heads: Count = 3
    """Attention heads, each width / heads wide."""
    mlp: Count = 768
    """Hidden width of the MLP in a block."""
    dropout: Fraction = 0.0
    """On the embedded patches, and on what each attention and MLP adds."""
    epsilon: Positive = 1e-12
    """Of every LayerNorm: 1e-12 in the checkpoints that Google released, 1e-6 in those of timm and torchvision."""


@dataclass(frozen=True, kw_only=True)
class VitBase16Config(VitConfig):
    """ViT-B/16; its images are 224×224 (`image_size` of the dataset)."""

    patch: Count = 16
    width: Count = 768
    depth: Count = 12
    heads: Count = 12
    mlp: Count = 3072


class Embedding(nn.Module):
    """Patches, a class token before them, and learned positions."""

    patch: int
    width: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """`[B,H,W,C] -> [B,1+N,D]` with N = HW / patch²."""
        batch, height, width, channels = x.shape
        size = self.patch
        x = x.reshape(batch, height // size, size, width // size, size, channels)
        x = x.swapaxes(2, 3).reshape(batch, -1, size * size * channels)
        x = _dense(self.width, "patch")(x)
        token = parameter(self, "token", small_normal, (1, 1, self.width))
        x = jnp.concatenate([jnp.broadcast_to(token, (batch, 1, self.width)), x], axis=1)
        return x + parameter(self, "positions", small_normal, (1, *x.shape[1:]))


class Attention(nn.Module):
    """Multi-head self-attention with biases."""

    heads: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """`[B,N,D] -> [B,N,D]`."""
        width = x.shape[-1]
        split = (*x.shape[:2], self.heads, width // self.heads)
        query, key, value = (
            _dense(width, name)(x).reshape(split) for name in ("query", "key", "value")
        )
        mixed = jax.nn.dot_product_attention(query, key, value)
        return _dense(width, "out")(mixed.reshape(x.shape))


class Block(nn.Module):
    """Equations 1 and 2."""

    heads: int
    mlp: int
    dropout: float
    epsilon: float = 1e-12

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """`[B,N,D] -> [B,N,D]`."""

        def drop(x: Array) -> Array:
            return nn.Dropout(self.dropout, deterministic=not train)(x)

        x = x + drop(Attention(self.heads, name="attention")(_norm(self.epsilon, "norm1")(x)))
        y = nn.gelu(_dense(self.mlp, "mlp1")(_norm(self.epsilon, "norm2")(x)), approximate=False)
        return x + drop(_dense(x.shape[-1], "mlp2")(y))


class Vit(nn.Module):
    """Embedded patches, blocks, a last LayerNorm, a linear head on the class token."""

    num_classes: int
    patch: int
    width: int
    depth: int
    heads: int
    mlp: int
    dropout: float = 0.0
    epsilon: float = 1e-12

    @nn.compact
    def __call__(
        self, x: Array, train: bool = False, mask: Array | None = None
    ) -> tuple[Array, dict[str, Array]]:
        """`x[B,H,W,C] -> (logits[B,K], {"block1", ..., "embedding"})`; a block's feature is `[B,1+N,D]`."""
        del mask
        features = {}
        x = Embedding(self.patch, self.width, name="embed")(x)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        block = partial(Block, self.heads, self.mlp, self.dropout, self.epsilon)
        for number in range(1, self.depth + 1):
            name = f"block{number}"
            x = features[name] = block(name=name)(x, train)
        x = _norm(self.epsilon, "norm")(x[:, 0])
        return _dense(self.num_classes, "head")(x), {**features, "embedding": x}


def make_vit(config: VitConfig, num_classes: int, input_shape: tuple[int, int, int]) -> Model:
    """A vision transformer for `input_shape` (H, W, C).

    Raises ConfigError where the patches do not tile the image or the heads do not divide the width, and as
    `junlearn.models.weights.load_weights` does.
    """
    height, width, _ = input_shape
    if height % config.patch or width % config.patch:
        raise ConfigError(
            f"model.patch must divide the height and width of the images, {height}×{width}; "
            f"it is {config.patch} (dataset.image_size resizes the images)"
        )
    if config.width % config.heads:
        raise ConfigError(
            f"model.heads must divide model.width {config.width}; it is {config.heads}"
        )
    module = Vit(
        num_classes,
        config.patch,
        config.width,
        config.depth,
        config.heads,
        config.mlp,
        config.dropout,
        config.epsilon,
    )
    blocks = [f"block{number}" for number in range(1, config.depth + 1)]
    model = from_linen(module, layers=("embed", *blocks, "norm", "head"), input_shape=input_shape)
    return pretrained(model, config, _tables(config))


def _tables(config: VitConfig) -> tuple[Table, ...]:
    """The names of Hugging Face, of timm, whose attention has one layer for three, and of torchvision."""
    return (_hugging_face(config), _timm(config), _torchvision(config))


def _hugging_face(config: VitConfig) -> Table:
    rows = _embedding(
        config,
        "embeddings.cls_token",
        "embeddings.position_embeddings",
        "embeddings.patch_embeddings.projection",
    )
    for number in range(config.depth):
        block, layer = f"block{number + 1}", f"encoder.layer.{number}"
        rows += [
            Row((block, "norm1"), (f"{layer}.layernorm_before",)),
            Row((block, "attention", "query"), (f"{layer}.attention.attention.query",)),
            Row((block, "attention", "key"), (f"{layer}.attention.attention.key",)),
            Row((block, "attention", "value"), (f"{layer}.attention.attention.value",)),
            Row((block, "attention", "out"), (f"{layer}.attention.output.dense",)),
            Row((block, "norm2"), (f"{layer}.layernorm_after",)),
            Row((block, "mlp1"), (f"{layer}.intermediate.dense",)),
            Row((block, "mlp2"), (f"{layer}.output.dense",)),
        ]
    rows.append(Row(("norm",), ("layernorm",)))
    # Its classifier has all but the head in `vit`; its bare network has no head.
    inner = [row._replace(whole="vit.") for row in rows]
    return Table("huggingface", (*inner, Row(("head",), ("classifier", "head"))))


def _timm(config: VitConfig) -> Table:
    rows = _embedding(config, "cls_token", "pos_embed", "patch_embed.proj")
    for number in range(config.depth):
        block, layer = f"block{number + 1}", f"blocks.{number}"
        rows += [
            Row((block, "norm1"), (f"{layer}.norm1",)),
            *_attention(block, Row((), (f"{layer}.attn.qkv",))),
            Row((block, "attention", "out"), (f"{layer}.attn.proj",)),
            Row((block, "norm2"), (f"{layer}.norm2",)),
            Row((block, "mlp1"), (f"{layer}.mlp.fc1",)),
            Row((block, "mlp2"), (f"{layer}.mlp.fc2",)),
        ]
    return Table("timm", (*rows, Row(("norm",), ("norm",)), Row(("head",), ("head",))))


def _torchvision(config: VitConfig) -> Table:
    rows = _embedding(config, "class_token", "encoder.pos_embedding", "conv_proj")
    for number in range(config.depth):
        block, layer = f"block{number + 1}", f"encoder.layers.encoder_layer_{number}"
        rows += [
            Row((block, "norm1"), (f"{layer}.ln_1",)),
            *_attention(block, Row((), (f"{layer}.self_attention.in_proj",), joint="_")),
            Row((block, "attention", "out"), (f"{layer}.self_attention.out_proj",)),
            Row((block, "norm2"), (f"{layer}.ln_2",)),
            Row((block, "mlp1"), (f"{layer}.mlp.0", f"{layer}.mlp.linear_1")),
            Row((block, "mlp2"), (f"{layer}.mlp.3", f"{layer}.mlp.linear_2")),
        ]
    return Table(
        "torchvision", (*rows, Row(("norm",), ("encoder.ln",)), Row(("head",), ("heads.head",)))
    )


def _embedding(config: VitConfig, token: str, positions: str, patch: str) -> list[Row]:
    reads = (config.patch, config.patch)
    return [
        Row(("embed", "token"), (token,)),
        Row(("embed", "positions"), (positions,)),
        Row(("embed", "patch"), (patch,), reads=reads, convolution=True),
    ]


def _attention(block: str, row: Row) -> list[Row]:
    """Query, key and value as the parts of one layer."""
    names = ("query", "key", "value")
    return [
        row._replace(path=(block, "attention", name), part=(number, 3))
        for number, name in enumerate(names)
    ]


def _dense(features: int, name: str) -> Dense:
    return Dense(features, kernel_init=small_normal, bias_init=zeros, name=name)


def _norm(epsilon: float, name: str) -> nn.LayerNorm:
    return nn.LayerNorm(epsilon, use_fast_variance=False, name=name)
