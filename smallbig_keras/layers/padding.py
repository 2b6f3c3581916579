"""Sizes and borders of what steps over an axis."""

PADDINGS = ("symmetric", "tensorflow", "zeros")


def output_length(length, size, stride, padding):
    """Returns the positions of a window along an axis, `None` for an open length."""
    if length is None:
        return None
    if padding == "symmetric":
        return (length + 2 * ((size - 1) // 2) - size) // stride + 1
    return -(-length // stride)


def borders(length, size, stride, padding):
    """Returns the numbers of positions to add before and after an axis.

    - `"symmetric"`: half a window on both sides, as in PyTorch; an even window has one less;
    - `"tensorflow"`: its "same", as many as `ceil(length / stride)` windows need, a last odd one
      after the axis;
    - `"zeros"`: half of `size - stride` before the axis, whatever its length, and enough after it
      for `ceil(length / stride)` windows.

    `length` may be a tensor for `"tensorflow"`. Of the last two, windows must be as large as
    the stride.
    """
    if padding == "symmetric":
        return (size - 1) // 2, (size - 1) // 2
    if padding == "zeros":
        before = (size - stride) // 2
        # Enough for any length; no window begins in the rest.
        return before, size - 1 - before
    total = size - 1 - (length - 1) % stride
    return total // 2, total - total // 2


def pooling_borders(length, size, stride, padding):
    """Returns two pairs: the zeros before and after an axis, and the positions of no value.

    Zeros count where a window overlaps the next. What else `borders` adds only fills windows.
    """
    sides = borders(length, size, stride, padding)
    has_zeros = padding == "zeros" and size > stride
    return (sides, (0, 0)) if has_zeros else ((0, 0), sides)
