"""The networks of all tables, each once."""

from smallbig_keras import models


def row(name, variant):
    """Returns the row of a table."""
    return models.get_model_function(name).variants[variant]


def distinct_variants(**options):
    """Returns `[(model, variant)]` of all tables; of those that are one with `options`, the first.

    Networks of few blocks differ in fewer ways than those of 50 and 101 layers.
    """
    found = {}
    for name in models.list_models():
        for variant in models.list_variants(name):
            spec = models.model_spec(name, variant, **options).canonical()
            found.setdefault(spec, (name, variant))
    return list(found.values())
