"""Measurements of `benchmarks.speed` as a table, a picture and a file."""

import collections
import datetime
import json
import os
import pathlib
import platform
import re
import shlex
import sys

from benchmarks.contenders import CONTENDERS
from smallbig_keras.cli.models import format_table

_COLOURS = {"ours": "tab:blue", "twin": "tab:orange", "other": "tab:gray"}
# Stand-ins for files in a command.
_PLACES = {"--peer-python": "PEERS/bin/python", "--output": "PATH", "--exports": "FOLDER"}
# Kernels in a table.
_KERNELS = 15
# A step goes forward once and, for the gradients of inputs and of weights, twice as far back.
PASSES = {"inference": 1, "training": 3}


def describe_machine():
    """Returns what the machine is, a dict."""
    from smallbig_keras.machine import num_processors

    info = pathlib.Path("/proc/cpuinfo")
    text = info.read_text() if info.is_file() else ""
    model = re.search(r"model name\s*: (.*)", text)
    flags = re.search(r"flags\s*: (.*)", text)
    known = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")
    return {
        "processor": model[1] if model else platform.processor(),
        "cores": num_processors(),
        "instructions": [flag for flag in known if flags and flag in flags[1].split()],
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.system(),
    }


def describe_command(module, arguments=None):
    """Returns the command that repeats a run, without the places of files on this machine.

    Args:
        module: str. The benchmark.
        arguments: list of str. Defaults to `None` for those of this process.
    """
    shown = []
    for word in sys.argv[1:] if arguments is None else arguments:
        before = shown[-1] if shown else ""
        shown.append(_PLACES.get(before, word))
    return shlex.join(["python", "-m", f"benchmarks.{module}", *shown])


def matrix_rate(results, side):
    """Returns the best operations a second of the matrix products, or `None`."""
    seconds = [s for name, r in results.items() if _kind(name) == "matrix" for s in r.seconds]
    return 2 * side**3 / min(seconds) if seconds else None


def best_peer(results):
    """Returns the median of PyTorch's fastest form of the network, or `None`."""
    is_twin = {n: _kind(n) == "twin" and CONTENDERS[n].is_peer for n in results}
    found = [r.median for name, r in results.items() if is_twin[name] and not r.error]
    return min(found, default=None)


def _kind(name):
    return CONTENDERS[name].kind


def speed_rows(results, settings, macs):
    """Returns the table of a race, a list of lists of str with the heading first.

    Args:
        results: dict of contenders to Result.
        settings: dict with `task`, `batch` and `matrix`.
        macs: int. Multiply-adds of our network on one clip.
    """
    rate, best = matrix_rate(results, settings["matrix"]), best_peer(results)
    heading = ["contender", "median, s", "quartiles, s", "clips/s", "loaded, GB", "peak, GB"]
    heading += ["times PyTorch's best", "times PyTorch's export", "of the matrix rate"]
    rows = [heading]
    for name, result in results.items():
        row = CONTENDERS[name]
        clip = result.facts.get("clip", "") if row.kind == "other" else ""
        title = f"{row.title} ({clip})" if clip else row.title
        if result.error:
            rows.append([title, "failed", *[""] * (len(heading) - 2)])
            continue
        own, is_matrix = result.median, row.kind == "matrix"
        operations = 2 * result.facts.get("macs", macs) * settings["batch"]
        operations *= PASSES[settings["task"]]
        if is_matrix:
            operations = 2 * settings["matrix"] ** 3
        rival = results.get(row.rival)
        rows.append(
            [
                title,
                _seconds(own),
                spread(result),
                "" if is_matrix else f"{settings['batch'] / own:.2f}",
                f"{result.loaded / 1e9:.2f}",
                f"{result.peak / 1e9:.2f}",
                "" if best is None or row.kind not in ("ours", "twin") else f"{best / own:.2f}",
                f"{rival.median / own:.2f}" if rival and not rival.error else "",
                "" if rate is None else f"{operations / own / rate:.0%}",
            ]
        )
    return rows


def family_rows(found):
    """Returns the table of the families: ours against PyTorch in channels-last."""
    heading = ["network", "clip", "ours, s", "PyTorch, s", "times PyTorch"]
    rows = [[*heading, "ours, GB", "PyTorch, GB", "of its memory"]]
    for name, clip, results in found:
        ours, theirs = results["tensorflow"], results["torch-channels-last"]
        if ours.error or theirs.error:
            sides = ["failed" if side.error else f"{side.median:.3f}" for side in (ours, theirs)]
            rows.append([name, clip, *sides, *[""] * 4])
            continue
        cells = [f"{ours.median:.3f}", f"{theirs.median:.3f}", f"{theirs.median / ours.median:.2f}"]
        memory = [ours.peak, theirs.peak]
        cells += [f"{n / 1e9:.2f}" for n in memory] + [f"{memory[0] / memory[1]:.2f}"]
        rows.append([name, clip, *cells])
    return rows


def check_twins(results):
    """Ends the program if contenders of one network differ in their parameters."""
    found = {
        CONTENDERS[name].title: result.facts["parameters"]
        for name, result in results.items()
        if _kind(name) in ("ours", "twin") and "parameters" in result.facts
    }
    if len(set(found.values())) > 1:
        raise SystemExit(f"these are not one network, by their parameters: {found}")


def spread(result):
    """Returns the quartiles of a result as text."""
    return " to ".join(map(_seconds, result.quartiles))


def _seconds(value):
    return f"{value:.3f}" if value >= 0.1 else f"{value:.5f}"


def failures(results):
    """Returns why contenders could not be measured, a list of str."""
    return [f"{CONTENDERS[n].title}: {r.error}" for n, r in results.items() if r.error]


def kernel_tables(groups):
    """Yields a table for each contender that told of the kernels of a GPU, as text."""
    for results in groups:
        for name, result in results.items():
            found = collections.Counter()
            for kernel, seconds in result.facts.get("kernels", {}).items():
                # Numbers tell apart the same kernel of several layers.
                found[re.sub(r"[._]?\d+$", "", kernel)[:60]] += seconds
            if found:
                total = sum(found.values())
                rows = [["kernels", "ms a call", "share"], ["all", f"{total * 1e3:.2f}", ""]]
                for kernel, seconds in found.most_common(_KERNELS):
                    rows.append([kernel, f"{seconds * 1e3:.2f}", f"{seconds / total:.0%}"])
                yield f"\n\n{CONTENDERS[name].title}\n\n{format_table(rows, markdown=True)}"


def versions(groups):
    """Returns the versions of all packages that took part, a dict."""
    found = {}
    for results in groups:
        for result in results.values():
            found |= result.facts.get("versions", {})
    return found


def write(path, data, table, draw):
    """Writes `path` with the suffixes `.json`, `.md` and `.png`.

    Args:
        path: str.
        data: dict of all numbers, with `title`, `note`, `command` and `versions`; today's date and
            the machine are added.
        table: str.
        draw: function of matplotlib's axes that draws the picture.
    """
    data = {"date": datetime.date.today().isoformat(), "machine": describe_machine(), **data}
    text = json.dumps(data, indent=1) + "\n"
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(f"{path}.json").write_text(text, encoding="utf-8")
    machine = data["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in sorted(data["versions"].items()))
    pathlib.Path(f"{path}.md").write_text(
        f"# {data['title']}\n\n"
        f"`{data['command']}`, {data['date']}, {machine['cores']} cores of {machine['processor']} "
        f"({', '.join(machine['instructions'])}), {machine['memory'] / 2**30:.0f} GiB. {packages}. "
        f"{data['note']}\n\n![]({pathlib.Path(path).name}.png)\n\n"
        f"{table}\n",
        encoding="utf-8",
    )
    from matplotlib.figure import Figure

    height = max(2.5, 0.35 * len(table.splitlines()) + 1.2)
    figure = Figure(figsize=(8, height), layout="constrained")
    draw(figure.add_subplot())
    figure.savefig(f"{path}.png", dpi=120)


def draw_speed(results, title):
    """Returns the function that draws medians as bars, with the spread."""
    shown = [(n, r) for n, r in results.items() if not r.error and _kind(n) != "matrix"]

    def draw(axes):
        medians = [r.median for _, r in shown]
        low = [r.median - r.quartiles[0] for _, r in shown]
        high = [r.quartiles[1] - r.median for _, r in shown]
        colours = [_COLOURS[_kind(n)] for n, _ in shown]
        places = range(len(shown))
        axes.barh(places, medians, xerr=(low, high), color=colours, ecolor="black", capsize=2)
        axes.set_yticks(places, [CONTENDERS[n].title for n, _ in shown])
        axes.invert_yaxis()
        axes.set_xlabel("seconds: median and quartiles")
        axes.set_title(title, fontsize=10)

    return draw


def draw_families(found, title):
    """Returns the function that draws the seconds of both sides of each family."""
    shown = [(n, r) for n, _, r in found if not any(x.error for x in r.values())]

    def draw(axes):
        for shift, name in ((-0.2, "tensorflow"), (0.2, "torch-channels-last")):
            places = [place + shift for place in range(len(shown))]
            row = CONTENDERS[name]
            medians = [results[name].median for _, results in shown]
            axes.barh(places, medians, 0.4, color=_COLOURS[row.kind], label=row.title)
        axes.set_yticks(range(len(shown)), [name for name, _ in shown])
        axes.invert_yaxis()
        axes.set_xlabel("seconds, median")
        axes.set_title(title, fontsize=10)
        axes.figure.legend(loc="outside lower center", ncols=2)

    return draw
