"""The common part of the frozen descriptions of networks."""

import abc
import dataclasses


class Spec(abc.ABC):
    """A frozen description of a network; each family has a dataclass of its own.

    Its fields are the options of the network. Beside them, it has `classes`.
    """

    # Beginnings of the names of layers, for freezing and for features.
    stages = ()

    def idle(self):
        """Returns the options that change nothing here, a dict of names to what they need."""
        return {}

    def canonical(self):
        """Returns the spec that all specs of one network share."""
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        return dataclasses.replace(self, **{name: defaults[name] for name in self.idle()})

    def differences(self, row):
        """Returns the options that make this network of a row of a table.

        Args:
            row: Spec of the same family.

        Returns:
            dict of options, `classes` not among them.
        """
        network, other = self.canonical(), row.canonical()
        names = (field.name for field in dataclasses.fields(self))
        return {
            name: getattr(network, name)
            for name in names
            if name not in ("classes", *network.idle())
            and getattr(network, name) != getattr(other, name)
        }

    @abc.abstractmethod
    def check_input(self, shape):
        """Raises `SmallBigError` for a clip that the network cannot take.

        Args:
            shape: tuple `(frames, height, width, channels)`; `None` where a size is open.
        """

    @abc.abstractmethod
    def min_parameters(self):
        """Returns a number that the parameters reach at least, without building the network."""

    @abc.abstractmethod
    def title(self):
        """Returns the network in a few words, a str."""

    @abc.abstractmethod
    def parts(self):
        """Returns the parts of the network that tell it from others, a list of str."""
