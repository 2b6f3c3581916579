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
        "",
        "part of the name of a network, weights or a publisher",
        metavar="[FILTER]",
        positional=True,
        shown="all names",
    )
    weights_dir: str | None = option(None, "folder with published weights", metavar="DIR")
    markdown: bool = option(False, "print Markdown tables, as in the documentation")


def check(given):
    """Returns the options."""
    return Options(**given)


def run(args):
    """Prints both tables; returns the names of the networks."""
    wanted = args.filter.casefold()
    names = [name for name in list_models() if wanted in name.casefold()]
    rows = list_weights(args.weights_dir)
    if names:
        rows = [row for row in rows if row["model"] in names]
    else:
        rows = [r for r in rows if wanted in f"{r['name']} {r['publisher'] or ''}".casefold()]
        names = sorted({row["model"] for row in rows})
    if not names:
        raise SmallBigError(
            "No network, weights or publisher has that in its name: leave it out to see all. "
            f"Received: {args.filter}"
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
    ordered = sorted(files.values(), key=lambda rows: (rows[0]["name"], _smallest(rows)))
    return [[*heading, "MB", "licence", ""], *map(_weights_row, ordered)]


def _smallest(rows):
    return min(row["parameters"] for row in rows)


def _weights_row(rows):
    # The trunk itself before the networks that take it up.
    row, *others = sorted(rows, key=lambda row: row["parameters"])
    record = WeightsRecord(**{field: row[field] for field in FIELDS})
    variant = "" if record.variant == "reference" else f", {record.variant}"
    # Of a file that nobody here has seen, by its numbers.
    size = f"{record.bytes / 1e6:.0f}" if record.bytes else f"about {record.parameters * 4e-6:.0f}"
    return [
        record.name + (f" ({record.stands_for})" if record.stands_for else ""),
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
