"""The network that a checkpoint of another code is of, told by names and shapes alone."""

from smallbig_keras.models.families import FAMILIES, RESNET, family_of
from smallbig_keras.weights.catalogue import IMAGENET
from smallbig_keras.weights.fetching import WeightsError
from smallbig_keras.weights.layouts import find_layout
from smallbig_keras.weights.state_dicts import SUFFIXES, read_state_dict


def check_weights_name(weights, spec, name):
    """Refuses ImageNet's weights, which are of a ResNet, for a network of another family."""
    if weights == IMAGENET and family_of(spec) is not RESNET:
        raise WeightsError(
            f"Weights of ImageNet are of a ResNet, and {name} is none: train it from random "
            f"weights (weights=None, --weights none), or name its own. Received: {weights}"
        )


def check_checkpoint(path, spec, name):
    """Refuses a checkpoint of another network before ours is built.

    Torchvision's ResNets start every ResNet, and files of Keras and runs have a description.

    Args:
        path: pathlib.Path. File of weights.
        spec: the network to load it into, one of `smallbig_keras.models.specs`.
        name: str. Model function.

    Raises:
        WeightsError: it is of another family or stem, or looks through time in other blocks or
            in another way.
    """
    if path.suffix not in SUFFIXES:
        return
    found = read_network(read_state_dict(path))
    if found is None:
        return
    family, fields = found
    wanted, own = spec, family_of(spec)
    if family is own:
        if fields is None:
            return
        canonical = spec.canonical()
        wanted = {field: getattr(canonical, field) for field in fields}
        if wanted.get("nonlocal_pool", "") is None:
            # A pooling has no weights.
            fields["nonlocal_pool"] = None
        if wanted == fields:
            return
        wanted = own.spec(**wanted)
    theirs = family.name if fields is None else _describe(family.spec(**fields))
    raise WeightsError(
        f"These weights are of {theirs}; {name} with its options is {_describe(wanted)}. "
        f"Received: {path}"
    )


def _describe(spec):
    return ", ".join((spec.title(), *spec.parts()))


def read_network(state):
    """Reads what names and shapes tell of a network.

    Args:
        state: dict of names to arrays in PyTorch's layout.

    Returns:
        `(family, fields)`, the Family and a dict of fields of its spec, which is `None` where
        nothing tells them, as of torchvision's ResNet; or `None` for no known code.
    """
    layout = find_layout(state)
    if layout is None:
        return None
    family = next(family for family in FAMILIES if layout in family.layouts)
    return family, family.reading.read_network(layout, state)
