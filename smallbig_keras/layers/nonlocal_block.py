"""The non-local block: every position of a clip looks at all others."""

import math

import keras
from keras import ops

from smallbig_keras.layers.arguments import check_choice, check_clip_shape
from smallbig_keras.layers.convolution import FrameConv
from smallbig_keras.layers.folding import axis_sizes, fold_frames, unfold_frames
from smallbig_keras.layers.normalization import FusedBatchNormalization

MODES = ("embedded_gaussian", "dot_product")
POOLS = ("before", "after", None)


@keras.saving.register_keras_serializable(package="smallbig_keras")
class NonLocalBlock(keras.layers.Layer):
    """The non-local block (Wang et al., CVPR 2018; paper, equation 3).

    `y = x + norm(out(attention(theta(x), phi(x)) g(x)))` with 1x1x1 convolutions to half of the
    channels and back. The normalisation starts at scale 0, so that a new block passes the clip
    on unchanged.

    Args:
        mode: `"embedded_gaussian"`, a softmax over the positions, or `"dot_product"`, the
            product divided by their number. Defaults to `"embedded_gaussian"`.
        scale: bool. Whether the product is divided by the square root of the inner channels before
            the softmax, as in the authors' code; without effect on `"dot_product"`. Defaults to
            `True`.
        pool: where the positions that are looked at are halved in height and width, by a maximum:
            `"before"` the convolutions phi and g (the authors, PySlowFast), `"after"` them (TSM,
            OpenMMLab), which is another function; or `None` for nowhere. A last odd row or column
            is left out. Defaults to `"before"`.
        use_bias: bool. Whether `out` has a bias beside its normalisation. Defaults to `True`.
        **kwargs: the arguments of `keras.layers.Layer`.

    Input shape: `(batch, frames, height, width, channels)`.

    Output shape: that of the input.

    Raises:
        ValueError: for a value outside those above, or fewer than two channels.

    Example:

    >>> NonLocalBlock().compute_output_shape((2, 4, 8, 8, 16))
    (2, 4, 8, 8, 16)
    """

    def __init__(
        self, mode="embedded_gaussian", scale=True, pool="before", use_bias=True, **kwargs
    ):
        super().__init__(**kwargs)
        self.mode = check_choice("mode", mode, MODES)
        self.scale = check_choice("scale", scale, (True, False))
        self.pool = check_choice("pool", pool, POOLS)
        self.use_bias = check_choice("use_bias", use_bias, (True, False))

    def build(self, input_shape):
        check_clip_shape(self, input_shape)
        channels, dtype = input_shape[-1], self.dtype_policy
        self.inner = max(1, channels // 2)
        for name in ("theta", "phi", "g"):
            conv = FrameConv(self.inner, 1, use_bias=True, name=name, dtype=dtype)
            conv.build(input_shape)
            setattr(self, name, conv)
        self.out = FrameConv(channels, 1, use_bias=self.use_bias, name="out", dtype=dtype)
        self.out.build((*input_shape[:-1], self.inner))
        self.norm = FusedBatchNormalization(gamma_initializer="zeros", name="norm", dtype=dtype)
        self.norm.build(input_shape)
        self.built = True

    def call(self, clips, training=None):
        context = _halve(clips) if self.pool == "before" else clips
        phi, g = self.phi(context), self.g(context)
        if self.pool == "after":
            phi, g = _halve(phi), _halve(g)
        attended = self._attend(*(self._flatten(x) for x in (self.theta(clips), phi, g)))
        attended = ops.reshape(attended, (-1, *axis_sizes(clips, 1, 2, 3), self.inner))
        return clips + self.norm(self.out(attended), training=training)

    def _flatten(self, clips):
        """From a clip to `(batch, positions, channels)`."""
        frames, height, width = axis_sizes(clips, 1, 2, 3)
        return ops.reshape(clips, (-1, frames * height * width, self.inner))

    def _attend(self, queries, keys, values):
        products = ops.matmul(queries, ops.swapaxes(keys, 1, 2))
        if self.mode == "dot_product":
            # In float32: there may be more positions than float16 can count.
            share = 1 / ops.cast(*axis_sizes(keys, 1), "float32")
            return ops.matmul(products * ops.cast(share, products.dtype), values)
        if self.scale:
            products = products * self.inner**-0.5
        # Keras warns of a softmax over one position, which is 1.
        is_one = keys.shape[1] == 1
        shares = ops.ones_like(products) if is_one else ops.softmax(products, axis=-1)
        return ops.matmul(shares, values)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape)

    def count_macs(self, input_shape):
        """Returns the multiply-adds of one clip of `input_shape` (batch axis first)."""
        context = self._context_shape(input_shape)
        seen = context if self.pool == "before" else input_shape
        convolutions = self.theta.count_macs(input_shape) + 2 * self.phi.count_macs(seen)
        convolutions += self.out.count_macs((*input_shape[:-1], self.inner))
        return convolutions + self.count_products(input_shape)

    def count_products(self, input_shape):
        """Returns those of its multiply-adds that are of no convolution: the attention."""
        context = self._context_shape(input_shape)
        return 2 * math.prod(input_shape[1:4]) * math.prod(context[1:4]) * self.inner

    def _context_shape(self, input_shape):
        batch, frames, *image, channels = input_shape
        image = image if self.pool is None else (max(1, n // 2) for n in image)
        return (batch, frames, *image, channels)

    def get_config(self):
        config = {
            "mode": self.mode,
            "scale": self.scale,
            "pool": self.pool,
            "use_bias": self.use_bias,
        }
        return {**super().get_config(), **config}


def _halve(clips):
    """Maximum of two by two pixels; an axis of one pixel stays."""
    frames, *sizes = axis_sizes(clips, 1, 2, 3)
    if all(isinstance(size, int) for size in sizes):
        padding, window = "valid", tuple(min(size, 2) for size in sizes)
    else:
        padding, window = "same", 2
        height, width = (ops.maximum(size // 2 * 2, 1) for size in sizes)
        clips = clips[:, :, :height, :width]
    images = fold_frames(clips)
    images = ops.max_pool(images, window, window, padding, data_format="channels_last")
    return unfold_frames(images, frames)
