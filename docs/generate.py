"""Writes the pages of this folder that come from the code: layout, options, models, weights.

python docs/generate.py            # writes them
python docs/generate.py --check    # fails where one is out of date, or an import runs upwards
"""

import argparse
import ast
import graphlib
import pathlib
import sys

import grimp

from smallbig_keras.cli import COMMANDS, make_parser
from smallbig_keras.cli.models import format_table, weights_table
from smallbig_keras.models import get_model_function, list_models
from smallbig_keras.models.published import read_published
from smallbig_keras.options import default_text, fields_by_group, flag
from smallbig_keras.training.recipes import PAPER
from smallbig_keras.weights.records import builtin_records

DOCS = pathlib.Path(__file__).parent
ROOT = DOCS.parent
PACKAGE = "smallbig_keras"
# From the ground up. A part imports parts of lower floors alone.
FLOORS = (
    ("version", "errors"),
    ("files", "machine", "options", "replicas"),
    ("labels", "layers", "optimizers", "runs"),
    ("data",),
    ("weights",),
    ("models",),
    ("evaluation", "export"),
    ("classifier",),
    ("opening",),
    ("training",),
    ("cli",),
)


def read_imports():
    """Returns for every module of the package the modules of the package that it imports."""
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    # The face of the package lists names; it imports layers for Keras, when Keras is imported.
    names = sorted(graph.modules - {PACKAGE})
    return {name: sorted(graph.find_modules_directly_imported_by(name)) for name in names}


def part(module):
    """Returns the part of the package that a module belongs to."""
    return module.split(".")[1]


def find_problems(imports):
    """Returns a line for every import that runs upwards, and for a circle."""
    level = {name: number for number, floor in enumerate(FLOORS) for name in floor}
    problems = [f"{name} stands on no floor" for name in {part(m) for m in imports} - set(level)]
    for module, others in imports.items():
        for other in others:
            one, two = part(module), part(other) if other != PACKAGE else part(module)
            if one != two and level[two] >= level[one]:
                problems.append(f"{module} imports {other}, which does not stand below it")
            if other == PACKAGE:
                problems.append(f"{module} imports the face of the package")
    try:
        list(graphlib.TopologicalSorter(imports).static_order())
    except graphlib.CycleError as error:
        problems.append(f"a circle: {' -> '.join(error.args[1])}")
    return problems


def layout_page(imports):
    """Returns the page with a line a file, floor by floor."""
    lines = [
        "# Layout",
        "",
        "Made by `python docs/generate.py`. A part imports parts of lower floors alone, and no",
        "module imports in a circle; a test checks both.",
        "",
    ]
    for number, floor in reversed(list(enumerate(FLOORS, start=1))):
        lines += [f"## Floor {number}: {', '.join(floor)}", ""]
        for name in floor:
            modules = [module for module in imports if part(module) == name]
            below = {part(o) for m in modules for o in imports[m] if o != PACKAGE} - {name}
            lines += [
                f"`{name}` imports {', '.join(sorted(below)) or 'nothing of the package'}.",
                "",
            ]
            lines += ["| file | |", "|---|---|"]
            lines += [f"| `{_path(module)}` | {_summary(module)} |" for module in modules]
            lines += [""]
    return "\n".join(lines)


def _path(module):
    path = module.replace(".", "/")
    return f"{path}/__init__.py" if (ROOT / path).is_dir() else f"{path}.py"


def _summary(module):
    return ast.get_docstring(ast.parse((ROOT / _path(module)).read_text())).splitlines()[0]


def options_page():
    """Returns the page of all options of all commands."""
    lines = [
        "# Options",
        "",
        "Made by `python docs/generate.py`. `smallbig COMMAND --help` prints the same.",
        "",
    ]
    parts = [f"prepare {name}" for name in ("index", "shards", "check", "sample")]
    for name in (c for command in COMMANDS for c in (parts if command == "prepare" else [command])):
        _, module = make_parser(name)
        lines += [f"## smallbig {name}", "", module.__doc__.splitlines()[0], ""]
        recipes = PAPER if name == "fit" else None
        for title, fields in fields_by_group(module.Options).items():
            rows = [[title, "", "default"]]
            for field in fields:
                required = field.metadata["required"]
                shown = "required" if required else default_text(field, recipes)
                rows.append([_flag(field), field.metadata["help"], shown])
            escaped = [[cell.replace("|", "\\|") for cell in row] for row in rows]
            lines += [format_table(escaped, markdown=True), ""]
    return "\n".join(lines)


def _flag(field):
    if field.metadata["positional"]:
        return f"`{field.metadata['metavar']}`"
    return ", ".join(f"`{name}`" for name in (flag(field.name), *field.metadata["aliases"]))


def with_table(page, rows, name="table"):
    """Returns a page with another table between its marks."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, rest = page.split(begin)
    _, after = rest.split(end)
    return f"{before}{begin}{format_table(rows, markdown=True)}\n{end}{after}"


def models_rows():
    """Returns the table of networks: a row a variant."""
    rows = [["network", "variant", "parts", "parameters", "GMAC", "clip"]]
    for name in list_models():
        for number, (variant, row) in enumerate(get_model_function(name).variants.items()):
            what = "; ".join(filter(None, (row.note, *row.spec.parts())))
            clip = " x ".join(map(str, row.clips.shape[:3]))
            size = [f"{row.parameters:,}", f"{row.gmac:.2f}", clip]
            rows.append([f"`{name}`" if number == 0 else "", f"`{variant}`", what, *size])
    return rows


def publications_rows():
    """Returns the table of the publications that describe the networks."""
    names = {}
    for name in list_models():
        names.setdefault(get_model_function(name).publication, []).append(f"`{name}`")
    return [["networks", "described by"]] + [[", ".join(v), key] for key, v in names.items()]


def published_rows():
    """Returns the table of accuracies that others published."""
    rows = [["network", "variant", "dataset", "frames", "views", "top-1 / top-5", "source"]]
    for row in read_published():
        if row.top1 is None:
            continue
        variant = ", ".join((f"`{row.variant}`", *(f"`{k}={v}`" for k, v in row.options.items())))
        accuracy = f"{row.top1} / {'-' if row.top5 is None else row.top5}"
        rest = [row.dataset, str(row.frames), row.views, accuracy, row.source]
        rows.append([f"`{row.model}`", variant, *rest])
    return rows


def weights_rows():
    """Returns the table of weights that come with the package."""
    found = sorted(builtin_records(), key=lambda record: (record.name, record.model))
    return weights_table([{**vars(record), "available": False} for record in found])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--check", action="store_true", help="write nothing, fail where one differs"
    )
    args = parser.parse_args()
    imports = read_imports()
    problems = find_problems(imports)
    pages = {DOCS / "layout.md": layout_page(imports), DOCS / "options.md": options_page()}
    tables = (
        ("models.md", "table", models_rows()),
        ("models.md", "publications", publications_rows()),
        ("models.md", "published", published_rows()),
        ("weights.md", "table", weights_rows()),
    )
    for name, mark, rows in tables:
        page = pages.get(DOCS / name) or (DOCS / name).read_text(encoding="utf-8")
        pages[DOCS / name] = with_table(page, rows, mark)
    for file, text in pages.items():
        if args.check:
            if not file.is_file() or file.read_text(encoding="utf-8") != text:
                problems.append(f"{file.name} is out of date: python docs/generate.py")
        else:
            file.write_text(text, encoding="utf-8")
    if problems:
        sys.exit("\n".join(problems))
    print(f"{len(imports)} modules on {len(FLOORS)} floors: no import runs upwards, no circle")


if __name__ == "__main__":
    main()
