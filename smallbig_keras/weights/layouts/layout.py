"""The names of one code: how a variable of ours is called in its state dicts."""

import dataclasses
import re
from collections.abc import Callable

_CLASSIFIER = {"classifier/kernel": "weight", "classifier/bias": "bias"}
_KINDS = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
    "alpha": "alpha",
    "channel_kernel": "fc1.weight",
    "view_kernel": "fc2.weight",
}


@dataclasses.dataclass(frozen=True, eq=False)
class Layout:
    """The names of one code.

    Args:
        code: str. Whose names they are, in messages.
        sign: str. Pattern that names of this code begin with, and no others.
        translate: function from the name of a layer of ours, `_` for `/`, to that of their
            module, or `None` where the code has none.
        classifier: str. The module of the classifier.
        aliases: tuple of pairs. Patterns in names of a file, and what stands for them in
            the modules. Defaults to `()`.
        attention: dict of options of its non-local blocks that the code does not leave open.
            Defaults to none.
        others: str. Pattern that names of what is no part of the network begin with. Defaults
            to none.
    """

    code: str
    sign: str
    translate: Callable
    classifier: str
    aliases: tuple = ()
    attention: dict = dataclasses.field(default_factory=dict)
    others: str = r"(?!)"

    def name(self, path):
        """Returns the name of the variable at a path, or `None` if the code has none."""
        if path in _CLASSIFIER:
            return f"{self.classifier}.{_CLASSIFIER[path]}"
        layer, _, kind = path.rpartition("/")
        # A layer inside a unit and one of a plain unit differ in the separator only.
        module = self.translate(layer.replace("/", "_")) if kind in _KINDS else None
        return module and f"{module}.{_KINDS[kind]}"

    def simplify(self, state):
        """Returns a state dict under names without wrappers, those that `name` gives."""
        names = {}
        for name in state:
            short = name
            for pattern, replacement in self.aliases:
                short = re.sub(pattern, replacement, short)
            # Two of one name: the second is unexpected under its own.
            names[name if short in names else short] = name
        return {short: state[name] for short, name in names.items()}
