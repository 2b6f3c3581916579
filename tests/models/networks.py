"""The networks of all tables, each once, and small ones of every family."""

from smallbig_keras import models

# Small networks; of two blocks in a stage, most patterns of the tables still take some.
_SMALL = {"width": 8, "classes": 5}
_BLOCKS = {"blocks": (1, 2, 1, 1), **_SMALL}
TINY = {
    models.VideoResNetSpec: _BLOCKS,
    models.S3DSpec: _SMALL,
    models.VoV3DSpec: {**_BLOCKS, "layers": 2, "head_width": 16},
}
# Frames and pixels of small clips; the strides of S3D leave nothing of fewer; its
# own tests have more sizes.
SIZES = {
    models.VideoResNetSpec: ((1, 8, 8), (3, 33, 56)),
    models.S3DSpec: ((10, 34, 26),),
    models.VoV3DSpec: ((1, 8, 8), (3, 300, 33)),
}


def row(name, variant):
    """Returns the row of a table."""
    return models.get_model_function(name).variants[variant]


def family(name):
    """Returns the class of the specs of a network."""
    return type(row(name, "reference").spec)


def tiny(name):
    """Returns the options of a small network."""
    return TINY[family(name)]


def distinct_variants():
    """Returns `[(model, variant)]` of all tables; of those that are one if small, the first.

    Networks of few blocks differ in fewer ways than those of 50 and 101 layers.
    """
    found = {}
    for name in models.list_models():
        for variant in models.list_variants(name):
            spec = models.model_spec(name, variant, **tiny(name)).canonical()
            found.setdefault(spec, (name, variant))
    return list(found.values())


def frames_of(name, variant, frames):
    """Returns frames that the network's poolings over time divide, at least these."""
    spec = row(name, variant).spec
    if not isinstance(spec, models.VideoResNetSpec):
        return frames
    return frames * spec.stem_stride * spec.stem_pool * spec.time_pool


def tells_order(name, variant):
    """Tells whether a network has convolutions over time, which are not symmetric."""
    spec = row(name, variant).spec
    return not isinstance(spec, models.VideoResNetSpec) or bool(spec.temporal_stages)
