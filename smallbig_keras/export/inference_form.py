"""The form of a model that converts well: the same outputs, inference only."""

import keras
import numpy as np
from keras import ops

from smallbig_keras.layers import ClipPooling, SmallBigUnit
from smallbig_keras.layers.folding import fold_frames, unfold_frames


def inference_form(model):
    """Copies a model into float32 layers that convert well; outputs are equal but for rounding."""
    after_relu = {
        id(layer.output)
        for layer in model.layers
        if getattr(layer, "activation", None) is keras.activations.relu
    }

    def copy_layer(layer):
        kind = type(layer)
        if kind is SmallBigUnit and layer.share_weights and layer.normalization == "individual":
            kind = _SharedKernelUnit
        elif kind is ClipPooling and layer.strides > 1 and id(layer.input) in after_relu:
            kind = _ZeroPaddedPooling
        return kind.from_config({**layer.get_config(), "dtype": "float32"})

    copy = keras.models.clone_model(model, clone_function=copy_layer)
    copy.set_weights(model.get_weights())
    for layer in copy.layers:
        if isinstance(layer, _SharedKernelUnit):
            layer.fold()
    return copy


class _SharedKernelUnit(SmallBigUnit):
    """A unit for inference whose normalisations leave one kernel for both views."""

    # With normalisations `a * z + b` and `c * z + d`, the kernel takes up `a`, and the big view
    # keeps the factor `c / a`. Where `a` is so small that this would blow up rounding errors, the
    # kernel takes up `c`, and the small view keeps `a / c`.

    def fold(self):
        """Takes the normalisations up into the kernel and the constants of `call`."""
        (a, b), (c, d) = _scale_and_offset(self.norm), _scale_and_offset(self.big_norm)
        scale = np.where(4 * np.abs(a) >= np.abs(c), a, c)
        scale = np.where(scale == 0, 1, scale)
        kernel = np.float64(ops.convert_to_numpy(self.conv.kernel))
        self.conv.kernel.assign(np.float32(kernel * scale))
        self.factors = np.float32(a / scale), np.float32(c / scale)
        self.offset = np.float32(b + d)

    def call(self, clips, training=None):
        small, big = self.conv(clips), self.conv(self.big_view(clips))
        # On clips, not on frames: there the converter would multiply the kernel by a factor and
        # store it once more.
        factor, big_factor = self.factors
        if np.any(factor != 1):
            small = small * factor
        # On frames, so that the converter makes it the bias of the convolution.
        small = unfold_frames(fold_frames(small) + self.offset, ops.shape(small)[1])
        return self.activation(small + big * big_factor)


class _ZeroPaddedPooling(ClipPooling):
    """Strided maximum of what is not negative: zeros for a border need no infinite range."""

    def _pool(self, images, size, strides):
        height, width = (length // 2 for length in size)
        images = ops.pad(images, ((0, 0), (height, height), (width, width), (0, 0)))
        return ops.max_pool(images, size, strides, "valid", data_format="channels_last")


def _scale_and_offset(norm):
    weights = (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
    gamma, beta, mean, variance = (np.float64(ops.convert_to_numpy(w)) for w in weights)
    scale = gamma / np.sqrt(variance + norm.epsilon)
    return scale, beta - mean * scale
