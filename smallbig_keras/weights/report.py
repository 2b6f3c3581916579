"""What became of every variable when weights were loaded."""

import dataclasses

import numpy as np

from smallbig_keras.weights.sources import WeightsError


@dataclasses.dataclass(frozen=True)
class LoadReport:
    """What was loaded into a model.

    Args:
        source: str. Where the weights come from.
        loaded: list of str. Paths of variables that were set.
        new: list of str. Paths of variables that keep their initial values.
        skipped: dict of str to str. Names in the file that the model does not take, and why.
    """

    source: str
    loaded: list
    new: list
    skipped: dict

    def __str__(self):
        rows = [f"weights  {self.source}", f"loaded   {len(self.loaded)} variables"]
        reasons = {}
        for name, reason in self.skipped.items():
            reasons.setdefault(reason, []).append(name)
        rows += [f"skipped  {_few(names)}: {reason}" for reason, names in reasons.items()]
        kinds = {}
        for path in self.new:
            kinds.setdefault(_kind(path), []).append(path)
        rows += [f"new      {len(paths)} variables: {kind}" for kind, paths in kinds.items()]
        return "\n".join(rows)


def _few(names):
    return ", ".join(names) if len(names) < 4 else f"{names[0]}, ... {len(names)} in all"


def _kind(path):
    for word, meaning in (
        ("classifier", "classifier"),
        ("_extra", "extra units"),
        ("big_norm", "normalisations of the big view"),
    ):
        if word in path:
            return meaning
    return path


def assign(model, arrays, source, new=(), skipped=None):
    """Sets variables of a model, all or none.

    Args:
        model: `keras.Model`.
        arrays: dict of variables' paths to `(name, array)`, the name that the array has in its
            file and the array in the layout of Keras, or `None` where the file lacks it.
        source: str. Where the weights come from.
        new: sequence of str. Paths that may keep their values. Defaults to `()`.
        skipped: dict of names in the file to the reason why they are not taken; the empty
            reason is an error. Defaults to `None`.

    Returns:
        LoadReport.

    Raises:
        WeightsError: if arrays are missing, unexpected or of another shape; all are listed and
            nothing is changed.
    """
    variables = {variable.path: variable for variable in model.weights}
    skipped = skipped or {}
    problems = {
        "missing": [name for name, array in arrays.values() if array is None],
        "unexpected": [name for name, reason in skipped.items() if not reason],
        "of another shape": [
            f"{name} {array.shape} for {tuple(variables[path].shape)}"
            for path, (name, array) in arrays.items()
            if array is not None and array.shape != tuple(variables[path].shape)
        ],
    }
    if any(problems.values()):
        lines = [f"  {what}: {', '.join(names)}" for what, names in problems.items() if names]
        raise WeightsError(
            f"Weights must be those of {model.name}, all and no other. Received: {source}\n"
            + "\n".join(lines)
        )
    for path, (_, array) in arrays.items():
        variables[path].assign(np.asarray(array))
    return LoadReport(source, list(arrays), list(new), skipped)
