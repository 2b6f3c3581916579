"""Rules for the arguments of layers."""

import numbers

from smallbig_keras.errors import SmallBigError, did_you_mean


def check_count(name, value):
    """Returns an int of at least 1."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 1:
        raise SmallBigError(f"`{name}` must be an int of at least 1. Received: {name}={value!r}")
    return value


def check_counts(name, values, length, odd=False):
    """Returns a tuple of `length` ints of at least 1, or of odd ones."""
    counts = tuple(values) if isinstance(values, tuple | list) else ()
    valid = len(counts) == length and all(
        isinstance(n, numbers.Integral) and not isinstance(n, bool) and n > 0 and (n % 2 or not odd)
        for n in counts
    )
    if not valid:
        rule = "odd ints" if odd else "ints of at least 1"
        raise SmallBigError(f"`{name}` must be {length} {rule}. Received: {name}={values!r}")
    return counts


def check_choice(name, value, allowed):
    """Returns a value that is one of those allowed."""
    if value not in allowed:
        words = " or ".join(map(repr, allowed))
        raise SmallBigError(
            f"`{name}` must be {words}.{did_you_mean(value, allowed)} Received: {name}={value!r}"
        )
    return value


def check_clip_shape(layer, shape, needs_channels=True):
    """Checks the shape of the clips that a layer is built for."""
    if len(shape) != 5 or (needs_channels and shape[-1] is None):
        raise SmallBigError(
            f"Layer {layer.name!r} takes clips `(batch, frames, height, width, channels)`"
            f"{' of known channels' if needs_channels else ''}. Received: shape={tuple(shape)}"
        )
