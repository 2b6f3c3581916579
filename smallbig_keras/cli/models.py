"""Lists the networks, and the weights that there are for them.

smallbig models
smallbig models R50 --markdown
"""

import dataclasses

from smallbig_keras.errors import SmallBigError
from smallbig_keras.models.registry import get_model_function, list_models
from smallbig_keras.options import option
from smallbig_keras.weights.catalogue import list_weights, stand_in
from smallbig_keras.weights.records import FIELDS, WeightsRecord

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
    """Returns the table of weights, from the dicts that `list_weights` gives: a row a file."""
    heading = ["weights=", "networks", "classes", "whose", "top-1 / top-5 (theirs)", "clip"]
    files = {}
    for row in rows:
        # Of a name that is kept for several networks, each is a row until there is a file.
        files.setdefault((row["name"], row["file"] or row["model"]), []).append(row)
    return [[*heading, "MB", "licence", ""], *map(_weights_row, files.values())]


def _weights_row(rows):
    # The trunk itself before the networks that take it up.
    row, *others = sorted(rows, key=lambda row: row["parameters"])
    record = WeightsRecord(**{field: row[field] for field in FIELDS})
    variant = "" if record.variant == "reference" else f", {record.variant}"
    # Of a file that nobody here has seen, by its numbers.
    size = f"{record.bytes / 1e6:.0f}" if record.bytes else f"about {record.parameters * 4e-6:.0f}"
    return [
        record.name,
        ", ".join((record.model + variant, *(other["model"] for other in others))),
        str(record.classes),
        record.publisher or "",
        record.figures or "not measured",
        " x ".join(map(str, record.description.clips.shape[:3])),
        size if record.file else "",
        record.licence or "",
        _place(row, record),
    ]


def _place(row, record):
    if row["available"]:
        return "on this machine"
    if record.url:
        return "to download"
    trunk = stand_in(record.name, record.model)
    return f"not published, until then {trunk.name}" if trunk else "not published"


def format_table(rows, markdown=False):
    """Returns a table as text; its first row is the heading."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    if not markdown:
        return "\n".join("  ".join(line).rstrip() for line in lines)
    rule = ["-" * width for width in widths]
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])
