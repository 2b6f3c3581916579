"""Seconds until something can be done: import, help, building a network, the first prediction.

    python -m benchmarks.startup
    python -m benchmarks.startup --rounds 3 --model SmallBigR23 --output benchmarks/results/NAME

Each round starts a process for each case, one case after the other; a figure is the median. The
first prediction is that of a clip by a classifier or an artifact that was just loaded; the second
is what the others take.
"""

import argparse
import importlib.metadata
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import textwrap

from benchmarks import flags, reports
from smallbig_keras.cli.models import format_table

TIMED = """
import json, os, pathlib, sys, time
laps, start = {}, time.perf_counter()
def lap(name):
    global start
    laps[name] = time.perf_counter() - start
    start = time.perf_counter()
folder, model = pathlib.Path(sys.argv[1]), sys.argv[2]
"""
CASES = {
    "import": """
        import keras
        lap("Keras and its backend")
        import smallbig_keras
        for name in dir(smallbig_keras):
            getattr(smallbig_keras, name)
        lap("the whole API of this package, after it")
    """,
    "help": """
        import subprocess
        code = "from smallbig_keras.cli import console; console()"
        subprocess.run([sys.executable, "-c", code, "--help"], check=True, capture_output=True)
        lap("smallbig --help")
    """,
    "build": """
        import keras, smallbig_keras
        start = time.perf_counter()
        getattr(smallbig_keras, model)()
        lap("building")
        getattr(smallbig_keras, model)()
        lap("building once more")
    """,
}
# Sources of `smallbig_keras.load` in the folder, and what they are.
SOURCES = {
    "saved": "classifier",
    "exported": "SavedModel",
    "exported.tflite": "LiteRT",
    "exported.onnx": "ONNX Runtime",
}
PREDICTION = """
    import keras, numpy, smallbig_keras
    video = numpy.random.default_rng(0).integers(0, 256, (32, 256, 320, 3), numpy.uint8)
    start = time.perf_counter()
    classifier = smallbig_keras.load(folder / {file!r})
    lap("{title}: load")
    classifier.predict(video)
    lap("{title}: first prediction")
    classifier.predict(video)
    lap("{title}: second prediction")
"""


def write_sources(folder, model):
    """Saves and exports a classifier with random weights."""
    import smallbig_keras
    from smallbig_keras.data import ClipConfig

    clips = ClipConfig()
    network = getattr(smallbig_keras, model)(input_shape=clips.shape)
    names = [str(i) for i in range(network.output_shape[-1])]
    classifier = smallbig_keras.VideoClassifier(network, clips, names)
    classifier.save(folder / "saved")
    for file in list(SOURCES)[1:]:
        classifier.export(folder / file)


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model", type=flags.model, default="SmallBigR50", help="default: %(default)s"
    )
    parser.add_argument("--rounds", type=flags.count, default=5)
    flags.add_output(parser)
    args = parser.parse_args(arguments)
    cases = list(CASES.values())
    cases += [PREDICTION.format(file=file, title=title) for file, title in SOURCES.items()]
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        write_sources(pathlib.Path(folder), args.model)
        for _ in range(args.rounds):
            for case in cases:
                for name, value in time_case(case, folder, args.model).items():
                    seconds.setdefault(name, []).append(value)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    rows = [["until", "median, s", "least, s", "most, s"]]
    for name, values in seconds.items():
        rows.append([name, *(f"{n:.2f}" for n in (medians[name], min(values), max(values)))])
    table = format_table(rows, markdown=True)
    title = f"Start-up with {args.model}"
    print(f"{title}\n\n{table}")
    if not args.output:
        return
    data = {
        "title": title,
        "note": f"{args.rounds} processes of each case, by turns; files were read before.",
        "command": reports.describe_command("startup", arguments),
        "versions": {name: importlib.metadata.version(name) for name in ("keras", "tensorflow")},
        "seconds": seconds,
    }

    def draw(axes):
        axes.barh(list(medians)[::-1], list(medians.values())[::-1])
        axes.set_xlabel("seconds, median")
        axes.set_title(title, fontsize=10)

    reports.write(args.output, data, table, draw)


def time_case(case, folder, model):
    """Runs a case in a new process; returns the seconds of its laps."""
    script = TIMED + textwrap.dedent(case) + "print(json.dumps(laps), flush=True)\nos._exit(0)\n"
    output = subprocess.run(
        [sys.executable, "-c", script, str(folder), model],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ).stdout
    return json.loads(output.splitlines()[-1])


if __name__ == "__main__":
    main()
