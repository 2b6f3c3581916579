"""Clips with the frames folded into the batch and the channels before the pixels.

The frames come first: an image is found by frame, then by clip. A step over time then takes
whole parts of the first axis, which needs no transposition and no tensor of five axes.
"""

import functools

import tensorflow as tf

FORMAT = "NCHW"


class Clips:
    """Images `(frames * batch, channels, height, width)` of clips of so many `frames`."""

    def __init__(self, images, frames):
        self.images = images
        self.frames = frames

    @classmethod
    def join(cls, frames):
        """Makes clips of a list of their frames."""
        return cls(frames[0] if len(frames) == 1 else tf.concat(frames, axis=0), len(frames))

    @functools.cached_property
    def each(self):
        """List of the frames, `(batch, channels, height, width)` each."""
        return [self.images] if self.frames == 1 else tf.split(self.images, self.frames)

    def at(self, place):
        """Returns the frame at `place`, or zeros beyond both ends."""
        return self.each[place] if 0 <= place < self.frames else tf.zeros_like(self.each[0])

    def take(self, places):
        """Returns the clips of the frames at `places`."""
        places = list(places)
        all_ = places == list(range(self.frames))
        return self if all_ else Clips.join([self.at(place) for place in places])

    def map(self, function):
        """Returns the clips that a function of `images` makes."""
        return Clips(function(self.images), self.frames)

    def __add__(self, other):
        one, many = sorted((self, other), key=lambda clips: clips.frames)
        return many.map(lambda images: images + one.repeat(many.frames).images)

    def repeat(self, frames):
        """Returns clips of so many frames, each the one that these are."""
        return self if self.frames == frames else Clips.join(self.each * frames)


def over_time(function, clips):
    """Makes one frame of all, by a function that reduces an axis of a tensor."""
    one = function(tf.reshape(clips.images, (clips.frames, -1)), axis=0)
    return Clips(tf.reshape(one, (-1, *clips.images.shape[1:])), 1)


def global_view(clips, pool):
    """One vector a clip: the maximum of each channel, or its mean."""
    pool = tf.reduce_max if pool == "max" else tf.reduce_mean
    # In two steps: the first is an operation of ONNX, GlobalMaxPool or GlobalAveragePool.
    return over_time(pool, clips.map(lambda images: pool(images, axis=(2, 3), keepdims=True)))
