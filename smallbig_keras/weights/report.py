"""The fate of every variable when weights are loaded."""

import dataclasses

import numpy as np

from smallbig_keras.weights.fetching import WeightsError


@dataclasses.dataclass(frozen=True)
class LoadReport:
    """The variables that were loaded into a model, and those that were not.

    Args:
        source: str. Where the weights come from.
        loaded: list of str. Paths of variables that were set.
        new: list of str. Paths of variables that keep their initial values.
        skipped: dict of str to str. Names in the file that the model does not take, and why.
        other: str. Why the model computes something else than the network of the weights, before it
            is trained. Defaults to `None` where it computes the same.
    """

    source: str
    loaded: list
    new: list
    skipped: dict
    other: str | None = None

    def warning(self, model, origin=""):
        """Says of a model that was loaded what is not of the weights' network, a str or `None`.

        Args:
            model: str. Name of the network.
            origin: str. Whose weights they are. Defaults to `""` where nobody tells.
        """
        parts = {_kind(path) for path in self.new}
        if "classifier" in parts:
            return f"{model} starts with a new classifier{origin and f' on {origin}'}.\n{self}"
        whose = (
            f"{model} has no trained weights of its own here: these are {origin or self.source}."
        )
        if self.other:
            return f"{whose} {self.other}: train it.\n{self}"
        if not parts or not (origin or any(_kind(p) == "classifier" for p in self.loaded)):
            return None
        return (
            f"{whose} Its {' and '.join(sorted(parts))} are new, at scale 0, and change nothing "
            "yet: until it is trained, it computes what the plain network of these weights does in "
            f"less time.\n{self}"
        )

    def __str__(self):
        rows = [f"weights  {self.source}", f"loaded   {len(self.loaded)} variables"]
        reasons = {}
        for name, reason in self.skipped.items():
            reasons.setdefault(reason, []).append(name)
        rows += [f"skipped  {_few(names, 3)}: {reason}" for reason, names in reasons.items()]
        kinds = {}
        for path in self.new:
            kinds.setdefault(_kind(path), []).append(path)
        rows += [f"new      {len(paths)} variables: {kind}" for kind, paths in kinds.items()]
        return "\n".join(rows)


def _few(names, most, shown=1):
    """Joins names; of more than `most` only the first are shown, and their number."""
    if len(names) <= most:
        return ", ".join(names)
    return f"{', '.join(names[:shown])}, ... {len(names)} in all"


def _kind(path):
    for word, meaning in (
        ("classifier", "classifier"),
        ("_extra", "extra units"),
        ("big_norm", "normalisations of the big view"),
        ("_nonlocal", "non-local blocks"),
        ("alpha", "coefficients of CoST"),
        ("channel_kernel", "coefficients of CoST"),
        ("view_kernel", "coefficients of CoST"),
    ):
        if word in path:
            return meaning
    return path


def assign(model, arrays, source, new=(), skipped=None):
    """Sets variables of a model, all or none; returns a LoadReport or raises `WeightsError`.

    `arrays` maps the variables' paths to `(name in the file, array or None)`; `skipped` maps
    names in the file to why they are not taken, and an empty reason is an error.
    """
    variables = {variable.path: variable for variable in model.weights}
    skipped = skipped or {}
    problem = f"These weights are not those of {model.name} with its variant and options. "
    wanted = {path: (variables[path], *found) for path, found in arrays.items()}
    for variable, array in read_fitting(wanted, skipped, f"{problem}Received: {source}"):
        variable.assign(array)
    return LoadReport(source, list(arrays), list(new), skipped)


def read_fitting(wanted, skipped, problem):
    """Reads the arrays for variables after all shapes are compared, or raises `WeightsError`.

    Args:
        wanted: dict of any keys to `(variable, name in the file, array or None)`. An array may
            be anything with a shape that becomes one.
        skipped: dict of names in the file to why they are not taken; an empty reason is an error.
        problem: str. What the error begins with.

    Returns:
        list of `(variable, array)`.
    """
    problems = {
        "missing": [name for _, name, array in wanted.values() if array is None],
        "unexpected": [name for name, reason in skipped.items() if not reason],
        "of another shape": [
            f"{name} {array.shape} for {tuple(variable.shape)}"
            for variable, name, array in wanted.values()
            if array is not None and array.shape != tuple(variable.shape)
        ],
    }
    if any(problems.values()):
        lines = [f"{what}: {_few(names, 20, 5)}" for what, names in problems.items() if names]
        raise WeightsError("\n".join((problem, *lines)))
    # A damaged array ends the reading before a variable is set.
    return [(variable, np.asarray(array)) for variable, _, array in wanted.values()]
