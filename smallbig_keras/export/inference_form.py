"""The form of a model that converts well: the same outputs, inference only."""

import keras
import numpy as np
from keras import ops

from smallbig_keras.layers import ChannelGate, ClipPooling, CoSTConv, SmallBigUnit
from smallbig_keras.layers.convolution import convolve
from smallbig_keras.layers.folding import (
    axis_sizes,
    fold_frames,
    fold_space,
    unfold_frames,
    unfold_space,
)


def inference_form(model):
    """Copies a model into float32 layers that convert well; outputs are equal but for rounding."""
    not_negative = _not_negative(model)

    def copy_layer(layer):
        kind = type(layer)
        if kind is SmallBigUnit and layer.share_weights and layer.normalization == "individual":
            kind = _SharedKernelUnit
        elif kind is ClipPooling and max(layer.steps) > 1 and id(layer.input) in not_negative:
            kind = _ZeroPaddedPooling
        elif kind is CoSTConv:
            kind = _SharedKernelCoSTConv
        return kind.from_config({**layer.get_config(), "dtype": "float32"})

    copy = keras.models.clone_model(model, clone_function=copy_layer)
    copy.set_weights(model.get_weights())
    for layer in copy.layers:
        if isinstance(layer, _SharedKernelUnit):
            layer.fold()
    return copy


def _not_negative(model):
    """Returns the ids of the tensors that are not negative: after a ReLU, and what keeps that."""
    found = set()
    for layer in model.layers:
        if isinstance(layer, _KEEP_SIGN):
            inputs = layer.input if isinstance(layer.input, list) else [layer.input]
            if all(id(tensor) in found for tensor in inputs):
                found.add(id(layer.output))
        elif getattr(layer, "activation", None) is keras.activations.relu:
            found.add(id(layer.output))
    return found


_KEEP_SIGN = (ChannelGate, ClipPooling, keras.layers.Concatenate)


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
        small = unfold_frames(fold_frames(small) + self.offset, *axis_sizes(small, 1))
        return self.activation(small + big * big_factor)


class _ZeroPaddedPooling(ClipPooling):
    """Strided maximum of what is not negative: zeros for a border need no infinite range."""

    _outside = 0.0


class _SharedKernelCoSTConv(CoSTConv):
    """A CoST convolution of one kernel in one shape, so that it is stored once."""

    # With the neighbours in width or height stacked on the channels, each view is a convolution
    # over one other axis, rows or frames. Kernels of the same numbers in different shapes would be
    # stored once, too, but the quantisation to int8 would leave one of them in float32.

    def _views(self, clips):
        size, step = self.kernel_size, self.strides
        kernel = ops.reshape(ops.convert_to_tensor(self.kernel), (size, 1, -1, self.filters))
        (frames,), images = axis_sizes(clips, 1), fold_frames(clips)
        wide = _stack_pixels(images, 2, size, step)
        high = _stack_pixels(images[:, :, ::step], 1, size, step)
        return (
            unfold_frames(convolve(wide, kernel, (step, 1)), frames),
            _convolve_over_time(unfold_frames(wide[:, ::step], frames), kernel),
            _convolve_over_time(unfold_frames(high, frames), kernel),
        )


def _convolve_over_time(clips, kernel):
    height, width = axis_sizes(clips, 2, 3)
    return unfold_space(convolve(fold_space(clips), kernel), height, width)


def _stack_pixels(images, axis, size, step):
    """Puts `size` neighbours along an axis on the channels of the middle one."""
    half, length = size // 2, images.shape[axis]
    padded = ops.pad(images, [(half, half) if i == axis else (0, 0) for i in range(4)])
    taps = [
        padded[(slice(None),) * axis + (slice(tap, tap + length, step),)] for tap in range(size)
    ]
    return ops.concatenate(taps, axis=-1)


def _scale_and_offset(norm):
    weights = (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
    gamma, beta, mean, variance = (np.float64(ops.convert_to_numpy(w)) for w in weights)
    scale = gamma / np.sqrt(variance + norm.epsilon)
    return scale, beta - mean * scale
