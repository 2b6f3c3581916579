"""The rows of the tables that are Inception-v1 on clips: S3D, S3D-G and I3D."""

import dataclasses

from smallbig_keras.models import S3DSpec, get_model_function, list_models

# Fields of a row beside the defaults of the spec.
ROWS = {
    f"{name} {variant}": {
        field.name: getattr(row.spec, field.name)
        for field in dataclasses.fields(S3DSpec)
        if getattr(row.spec, field.name) != field.default
    }
    for name in list_models()
    for variant, row in get_model_function(name).variants.items()
    if isinstance(row.spec, S3DSpec)
}


def build(row, input_shape, **options):
    """The model of a row, with options of its own."""
    name, variant = row.split()
    return get_model_function(name)(variant=variant, input_shape=input_shape, **options)
