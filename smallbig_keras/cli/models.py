"""Lists the networks, and the weights that there are for them.

smallbig models
smallbig models R50 --markdown
"""

import dataclasses

from smallbig_keras.errors import SmallBigError
from smallbig_keras.models.registry import get_model_function, list_models
from smallbig_keras.options import option
from smallbig_keras.weights.resolution import list_weights

NEEDS_TENSORFLOW = False


@dataclasses.dataclass(frozen=True)
class Options:
    """List"""

    filter: str = option(
        "", "part of a name", metavar="[FILTER]", positional=True, shown="all names"
    )
    weights_dir: str | None = option(None, "folder with published weights", metavar="DIR")
    markdown: bool = option(False, "print Markdown tables, as in the documentation")


def check(given):
    """Returns the options."""
    return Options(**given)


def run(args):
    """Prints both tables; returns the names of the networks."""
    names = [name for name in list_models() if args.filter.casefold() in name.casefold()]
    if not names:
        raise SmallBigError(
            f"No network has that in its name: leave it out to see all. Received: {args.filter}"
        )
    networks = [["network", "variant", "parameters", "GMAC", "clip", ""]]
    for name in names:
        function = get_model_function(name)
        summary = function.__doc__.splitlines()[0]
        for variant, row in function.variants.items():
            clip = " x ".join(map(str, row.clips.shape[:3]))
            size = [f"{row.parameters:,}", f"{row.gmac:.2f}", clip]
            networks.append([name, variant, *size, summary])
            name = summary = ""
    rows = [row for row in list_weights(args.weights_dir) if row["model"] in names]
    for table in (networks, weights_table(rows)):
        print(format_table(table, args.markdown) + "\n")
    return names


def weights_table(rows):
    """Returns the table of weights, from the dicts that `list_weights` gives."""
    heading = ["weights=", "network", "classes", "parameters", "GMAC", "clip", "top-1 / top-5", ""]
    return [heading, *map(_weights_row, rows)]


def _weights_row(row):
    accuracy = "not measured"
    if row["accuracy"]:
        protocol = ", ".join(filter(None, (row["accuracy"]["protocol"], row["accuracy"].get("by"))))
        # A publisher's figures with the digits that it prints.
        form = "{:.5g}%" if row["accuracy"].get("by") else "{:.1f}%"
        top1, top5 = (form.format(100 * row["accuracy"][name]) for name in ("top1", "top5"))
        accuracy = f"{top1} / {top5} ({protocol})"
    place = "on this machine" if row["available"] else row["url"] and "to download"
    variant = "" if row["variant"] == "reference" else f", {row['variant']}"
    return [
        row["name"],
        row["model"] + variant,
        str(row["classes"]),
        f"{row['parameters']:,}",
        f"{row['macs'] / 1e9:.2f}",
        " x ".join(str(n) for n in row["input_shape"][:3]),
        accuracy,
        place or "not published",
    ]


def format_table(rows, markdown=False):
    """Returns a table as text; its first row is the heading."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    if not markdown:
        return "\n".join("  ".join(line).rstrip() for line in lines)
    rule = ["-" * width for width in widths]
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])
