"""Clips with the frames folded into the batch and the channels before the pixels."""

import tensorflow as tf

FORMAT = "NCHW"


class Clips:
    """Images `(batch * frames, channels, height, width)` by whose `frames` they unfold."""

    # ONNX Runtime adds two images of equal shape inside the convolution that one of them comes
    # from, but not one frame to each of many. So such a frame, the big view of a unit that pools
    # over all frames, waits as `context` until the sum with the shortcut of the block, and is
    # added to that.

    def __init__(self, images, frames, context=None):
        self._images = images
        self._context = context
        self.frames = frames

    @property
    def images(self):
        """Tensor `(batch * frames, channels, height, width)`."""
        if self._context is not None:
            total = self._unfold(self._images) + tf.expand_dims(self._context, 1)
            self._images, self._context = fold(total)._images, None
        return self._images

    def unfold(self):
        """Returns the tensor `(batch, frames, channels, height, width)`."""
        return self._unfold(self.images)

    def _unfold(self, images):
        return tf.reshape(images, (-1, self.frames, *images.shape[1:]))

    def map(self, function):
        """Returns the clips that a function of `images` makes."""
        return Clips(function(self.images), self.frames)

    def __add__(self, other):
        if self.frames != other.frames:
            one, each = sorted((self, other), key=lambda clips: clips.frames)
            return each._with_context(one.images)
        if self._context is None and other._context is None:
            return Clips(self._images + other._images, self.frames)
        term, rest = (other, self) if self._context is None else (self, other)
        rest = rest._with_context(term._context).images
        # Pooling over one pixel changes nothing, but ONNX Runtime then has the sum in the layout
        # of its convolutions and adds it inside of one: 2 % of the time of SmallBigR50.
        rest = tf.nn.max_pool2d(rest, 1, 1, "VALID", FORMAT)
        return Clips(term._images + rest, self.frames)

    def _with_context(self, context):
        if self._context is not None:
            context = self._context + context
        return Clips(self._images, self.frames, context)


def fold(clips):
    """Makes `Clips` of a tensor `(batch, frames, channels, height, width)`."""
    return Clips(tf.reshape(clips, (-1, *clips.shape[2:])), clips.shape[1])


def global_view(clips, pool):
    """One vector a clip: the maximum of each channel, or its mean."""
    pool = tf.reduce_max if pool == "max" else tf.reduce_mean
    # In two steps: the first is an operation of ONNX, GlobalMaxPool or GlobalAveragePool.
    frames = clips.map(lambda images: pool(images, axis=(2, 3), keepdims=True))
    return fold(pool(frames.unfold(), axis=1, keepdims=True))
