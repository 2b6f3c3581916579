"""The rule for sizes of a big view, which specs check before a layer is built."""

from smallbig_keras.errors import SmallBigError


def check_pool_size(pool_size, strides=(1, 1, 1)):
    """Returns `(frames, height, width)` of odd ints as a tuple; frames may be `None` for all.

    Where `strides` are above 1, sizes may be even.
    """
    sizes = tuple(pool_size) if isinstance(pool_size, tuple | list) else ()
    axes = list(zip(sizes, strides, strict=False))
    checked = axes[1:] if sizes[:1] == (None,) else axes
    valid = all(isinstance(n, int) and n > 0 and (n % 2 or step > 1) for n, step in checked)
    if len(sizes) != 3 or not valid:
        raise SmallBigError(
            "`pool_size` must be three odd ints `(frames, height, width)`, with `None` for all "
            f"frames. Received: {pool_size=}"
        )
    return sizes
