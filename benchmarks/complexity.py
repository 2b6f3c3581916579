"""Prints parameters and multiply-adds of every network beside what was published.

python benchmarks/complexity.py
python benchmarks/complexity.py --output benchmarks/results/2026-11-26-complexity.md
"""

import argparse
import math
import pathlib

import smallbig_keras
from smallbig_keras.cli.models import format_table
from smallbig_keras.models import get_model_function, list_models
from smallbig_keras.models.published import Published, read_published


def count(row):
    """Returns parameters, multiply-adds, and those of them that are products of attention."""
    function = get_model_function(row.model)
    model = function(
        input_shape=(row.frames, row.size, row.size, 3), variant=row.variant, **row.options
    )
    products = sum(
        layer.count_products(tuple(layer.input.shape))
        for layer in model.layers
        if hasattr(layer, "count_products")
    )
    parameters, macs = smallbig_keras.complexity(model)
    return parameters, macs, products


def is_reproduced(value, printed):
    """Tells whether a number rounds to a printed one; `None` is printed by nobody."""
    if printed is None:
        return True
    digits = len(printed.partition(".")[2])
    return math.isclose(round(value, digits), float(printed), abs_tol=10**-9)


def rows():
    """Returns the networks at their own shapes, and what is published."""
    own = []
    for name in list_models():
        for variant, row in get_model_function(name).variants.items():
            shape = row.clips.frames, row.clips.size
            own.append(Published(name, variant, "", *shape))
    printed = [row for row in read_published() if row.parameters or row.gmac]
    known = {(_network(row), row.frames, row.size) for row in printed}
    own = [row for row in own if (_network(row), row.frames, row.size) not in known]
    seen = {}
    for row in (*printed, *own):
        key = _network(row), row.frames, row.size, row.source, row.gmac, row.parameters
        seen.setdefault(key, row)
    return sorted(seen.values(), key=lambda row: (*_network(row), row.frames, row.size))


def _network(row):
    options = (f"{name}={value}" for name, value in row.options.items())
    return row.model, ", ".join((row.variant, *options))


def table():
    """Returns the table, a list of rows of str."""
    lines = [
        [
            *("network", "variant", "clip", "parameters", "published M", "GMAC"),
            *("of it products", "published G", "agrees", "source"),
        ]
    ]
    for row in rows():
        parameters, macs, products = count(row)
        agrees = is_reproduced(parameters / 1e6, row.parameters) and is_reproduced(
            macs / 1e9, row.gmac
        )
        is_printed = row.parameters or row.gmac
        note = "yes" if agrees else f"no: {row.note}"
        lines.append(
            [
                *_network(row),
                f"{row.frames} x {row.size} x {row.size}",
                f"{parameters:,}",
                row.parameters or "",
                f"{macs / 1e9:.2f}",
                f"{products / 1e9:.2f}" if products else "",
                row.gmac or "",
                note if is_printed else "",
                row.source,
            ]
        )
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", help="also write the table to a Markdown file", metavar="FILE")
    args = parser.parse_args()
    text = format_table(table(), markdown=True)
    print(text)
    if args.output:
        head = (
            "# Parameters and multiply-adds\n\n`python benchmarks/complexity.py`. A multiply-add "
            "counts 1; normalisation, activation and pooling do not count. `published` is as "
            "printed by the source.\n\n"
        )
        pathlib.Path(args.output).write_text(f"{head}{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
