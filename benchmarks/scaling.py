"""Latency and memory of the TensorFlow graph against frames, resolution and batch.

    python -m benchmarks.scaling
    python -m benchmarks.scaling --axes frames --model S3DG --output benchmarks/results/NAME

Each point is a process of its own. Growth is the exponent of a power, the slope of the logarithms:
of the seconds, and of the memory above that of the loaded network. Points for which the memory of
the machine is not enough, as told from the smaller ones, are left out.
"""

import argparse
import json

from benchmarks import flags, reports, speed
from benchmarks.turns import race
from smallbig_keras.cli.models import format_table
from smallbig_keras.machine import available_memory

AXES = {
    "frames": (4, 8, 16, 32, 64),
    "size": (112, 160, 224, 256, 320),
    "batch": (1, 2, 4, 8, 16),
}


def exponent(points, values):
    """Returns the slope of the logarithms of values against points; `None` of one point."""
    import numpy as np

    if len(points) < 2:
        return None
    return float(np.polyfit(np.log(points), np.log(values), 1)[0])


def expected_peak(found, point, axis):
    """Returns the bytes that a point takes, told from the largest of those before, or 0."""
    if not found:
        return 0
    before, result = max(found.items())
    growth = (point / before) ** (2 if axis == "size" else 1)
    return result.loaded + growth * (result.peak - result.loaded)


def measure(axis, points, config, rounds):
    """Measures the points of an axis, the smallest first.

    Returns:
        dict of points to Result, and a list of str about those that were left out.
    """
    found, left_out = {}, []
    for point in points:
        needed, there = expected_peak(found, point, axis), available_memory()
        if there is not None and needed > there:
            left_out.append(
                f"{axis} {point}: needs about {needed / 1e9:.1f} GB, {there / 1e9:.1f} GB are there"
            )
            continue
        entry = speed.entry("tensorflow", {**config, axis: point}, None)
        result = race({f"{axis} {point}": entry}, rounds, speed.say)[f"{axis} {point}"]
        if result.error:
            left_out.append(f"{axis} {point}: {result.error}")
        else:
            found[point] = result
    return found, left_out


def growth(found):
    """Returns the exponents of seconds and of memory."""
    points = list(found)
    seconds = exponent(points, [r.median for r in found.values()])
    return seconds, exponent(points, [max(1, r.peak - r.loaded) for r in found.values()])


def table_rows(measured):
    """Returns the table, a list of lists of str with the heading first."""
    rows = [
        ["axis", "value", "median, s", "quartiles, s", "peak, GB", "growth: s", "growth: memory"]
    ]
    for axis, found in measured.items():
        exponents = ["" if e is None else f"{e:.2f}" for e in growth(found)]
        for point, result in found.items():
            cells = [f"{result.median:.3f}", reports.spread(result), f"{result.peak / 1e9:.2f}"]
            rows.append([axis, str(point), *cells, *exponents])
            axis, exponents = "", ["", ""]
    return rows


def draw(measured, title):
    """Returns the function that draws the seconds against each axis, on logarithmic scales."""

    def draw(axes):
        for axis, found in measured.items():
            slope, _ = growth(found)
            label = axis if slope is None else f"{axis}: exponent {slope:.2f}"
            smallest = min(found)
            relative = [point / smallest for point in found]
            axes.loglog(relative, [r.median for r in found.values()], "o-", label=label)
        axes.set_xlabel("value against the smallest")
        axes.set_ylabel("seconds, median")
        axes.set_title(title, fontsize=10)
        axes.legend()

    return draw


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--axes", nargs="+", choices=AXES, default=list(AXES))
    parser.add_argument("--task", choices=speed.SIZES, default="inference")
    parser.add_argument("--model", type=flags.model, default="SmallBigR50")
    parser.add_argument("--options", type=json.loads, default={}, help="JSON")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--rounds", type=flags.count, default=5)
    flags.add_output(parser)
    args = parser.parse_args(arguments)
    given = [args.task, "--model", args.model, "--options", json.dumps(args.options)]
    given += ["--dtype", args.dtype, "--contenders", "tensorflow"]
    config = speed.shared_config(speed.parse(given))
    size, batch = config["size"], config["batch"]
    measured, left_out = {}, []
    for axis in args.axes:
        measured[axis], missing = measure(axis, AXES[axis], config, args.rounds)
        left_out += missing
    measured = {axis: found for axis, found in measured.items() if found}
    if not measured:
        raise SystemExit("\n".join(["no point could be measured", *left_out]))
    rows = table_rows(measured)
    lines = [format_table(rows, markdown=True)]
    lines += ["", *(f"- left out, {line}" for line in left_out)] if left_out else []
    table = "\n".join(lines)
    title = f"{args.task.capitalize()} of {args.model} by frames, pixels and clips, {args.dtype}"
    print(f"{title}\n\n{table}")
    if not args.output:
        return
    data = {
        "title": title,
        "note": f"{batch} x 8 x {size} x {size} but for the axis; {args.rounds} calls of each.",
        "command": reports.describe_command("scaling", arguments),
        "versions": reports.versions(measured.values()),
        "settings": config,
        "left_out": left_out,
        "results": {axis: speed.as_data(found) for axis, found in measured.items()},
    }
    reports.write(args.output, data, table, draw(measured, title))


if __name__ == "__main__":
    main()
