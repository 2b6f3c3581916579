"""The rule for sizes of a big view, which specs check before a layer is built."""

from smallbig_keras.errors import SmallBigError


def check_pool_size(pool_size):
    """Returns `(frames, height, width)` of odd ints as a tuple; frames may be `None` for all."""
    sizes = tuple(pool_size) if isinstance(pool_size, tuple | list) else ()
    checked = sizes[1:] if sizes[:1] == (None,) else sizes
    if len(sizes) != 3 or not all(isinstance(n, int) and n > 0 and n % 2 for n in checked):
        raise SmallBigError(
            "`pool_size` must be three odd ints `(frames, height, width)`, with `None` for all "
            f"frames. Received: {pool_size=}"
        )
    return sizes
