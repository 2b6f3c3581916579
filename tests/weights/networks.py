"""Small networks of the tests of weights."""

import numpy as np

import smallbig_keras

TINY = {"blocks": [1, 1, 1, 1], "width": 8, "smallbig_stages": [5]}
SHAPE = (2, 32, 32, 3)
NAMES = ["up", "down", "left"]


def tiny(name="SmallBigR50", **options):
    return getattr(smallbig_keras, name)(
        **{"input_shape": SHAPE, "classes": len(NAMES), **TINY, **options}
    )


def equal(one, other):
    values = zip(one.weights, other.weights, strict=True)
    return all(a.path == b.path and np.array_equal(a, b) for a, b in values)
