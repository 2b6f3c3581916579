"""The families of networks: the spec of each, its builder, and how it is recognised."""

import dataclasses
import importlib
import types

from smallbig_keras.errors import OptionError, did_you_mean
from smallbig_keras.models.reading import (
    resnet as resnet_reading,
    s3d as s3d_reading,
    vov3d as vov3d_reading,
)
from smallbig_keras.models.specs.s3d import S3DSpec
from smallbig_keras.models.specs.video_resnet import VideoResNetSpec
from smallbig_keras.models.specs.vov3d import VoV3DSpec
from smallbig_keras.weights.layouts import (
    resnet as resnet_layouts,
    s3d as s3d_layouts,
    vov3d as vov3d_layouts,
)


@dataclasses.dataclass(frozen=True, eq=False)
class Family:
    """Networks that one spec describes and one module builds.

    Args:
        name: str. A network of it, in messages.
        spec: type. The class of its descriptions.
        builder: str. The function that builds it, of `smallbig_keras.models`.
        reading: module with `read_options` of a model's layers and `read_network` of a
            checkpoint.
        layouts: tuple of Layout. The names that other codes give to its variables.
    """

    name: str
    spec: type
    builder: str
    reading: types.ModuleType
    layouts: tuple

    def build(self, spec, **arguments):
        """Returns the `keras.Model` of a spec; Keras is imported here."""
        return getattr(importlib.import_module(__package__), self.builder)(spec, **arguments)


RESNET = Family("a ResNet", VideoResNetSpec, "VideoResNet", resnet_reading, resnet_layouts.LAYOUTS)
S3D = Family("an Inception-v1", S3DSpec, "VideoInception", s3d_reading, s3d_layouts.LAYOUTS)
VOV3D = Family("a VoV3D", VoV3DSpec, "VoV3D", vov3d_reading, vov3d_layouts.LAYOUTS)
FAMILIES = (RESNET, S3D, VOV3D)

# Arguments of the model functions, which are no options of a network.
_ARGUMENTS = ("include_top", "weights", "input_tensor", "input_shape", "pooling", "classes")
_ARGUMENTS += ("classifier_activation", "name", "variant", "model")


def family_of(spec):
    """Returns the Family of a spec."""
    return next(family for family in FAMILIES if isinstance(spec, family.spec))


def option_names(family=None):
    """Returns the options of the networks of a Family, or of all: the fields of their specs."""
    families = FAMILIES if family is None else (family,)
    names = (field.name for one in families for field in dataclasses.fields(one.spec))
    return tuple(name for name in dict.fromkeys(names) if name != "classes")


def check_option_names(options, beside=()):
    """Refuses what is an option of no network, by its name.

    Args:
        options: iterable of str.
        beside: iterable of str. Names that may have been meant. Defaults to none.

    Raises:
        OptionError: names the options that there are, and the nearest one.
    """
    names = option_names()
    unknown = sorted(set(options) - set(names))
    if unknown:
        hint = did_you_mean(unknown[0], (*beside, *names))
        if unknown[0] in _ARGUMENTS:
            hint = f" The data or a flag of its own gives `{unknown[0]}`."
        raise OptionError(
            f"A network has the options {', '.join(names)}.{hint} Received: {', '.join(unknown)}"
        )
