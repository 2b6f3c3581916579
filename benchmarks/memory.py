"""The estimate of the memory of a training against the peak that is measured.

    python -m benchmarks.memory                              # all cases, most of an hour on 2 cores
    python -m benchmarks.memory sample SmallBigR50-112x4     # some
    python -m benchmarks.memory --output benchmarks/results/2026-11-26-memory.md

Every case is a process of its own, as memory is never given back within one, and trains on random
clips without the loader. Both numbers are of the whole process, in 10^9 bytes.
"""

import argparse
import dataclasses
import json
import pathlib
import subprocess
import sys

from benchmarks import flags
from smallbig_keras.cli.models import format_table
from smallbig_keras.machine import peak_memory, quiet_tensorflow
from smallbig_keras.training.resolution import resolve

SAMPLE = {"blocks": [1, 1, 1, 1], "width": 16, "temporal_stages": [2, 3, 4, 5]}
LONG = {"frames": 16, "size": 112}
CASES = {
    "sample": {
        **{"dataset": "sthv2", "model": "SmallBigSlowOnlyR50", "options": SAMPLE},
        **{"size": 64, "batch_size": 32},
    },
    "SmallBigR50-112x1": {"size": 112, "batch_size": 1},
    "SmallBigR50-112x4": {"size": 112, "batch_size": 4},
    "SmallBigR50-112x4-remat": {"size": 112, "batch_size": 4, "remat": True},
    "SmallBigR50-112x8": {"size": 112, "batch_size": 8},
    "SmallBigR50-224x2": {"batch_size": 2},
    "SmallBigR50-224x4": {"batch_size": 4},
    "SmallBigR50-112x4-bfloat16": {"size": 112, "batch_size": 4, "dtype": "mixed_bfloat16"},
    "SmallBigR50-112x8-frozen": {
        **{"size": 112, "batch_size": 8, "freeze": ("stem", "res2", "res3")}
    },
    "SmallBigR50-112x4-accumulated": {
        **{"size": 112, "batch_size": 4, "gradient_accumulation_steps": 2}
    },
    "SmallBigSlowOnlyR50-112x4": {"model": "SmallBigSlowOnlyR50", "size": 112, "batch_size": 4},
    "C2DR50-112x4": {"model": "C2DR50", "size": 112, "batch_size": 4},
    "S3DG-112x4": {"model": "S3DG", **LONG, "batch_size": 4},
    "S3DG-112x8": {"model": "S3DG", **LONG, "batch_size": 8},
    "S3DG-112x4-bfloat16": {
        **{"model": "S3DG", **LONG, "batch_size": 4, "dtype": "mixed_bfloat16"}
    },
    "VoV3DM-112x4": {"model": "VoV3DM", **LONG, "batch_size": 4},
}


def measure(case, steps=3):
    """Trains some steps of a case in this process; returns both numbers of bytes."""
    tf = quiet_tensorflow()
    import keras
    import numpy as np

    from smallbig_keras.training import compiling, memory

    options = resolve({"dataset": "k400", "weights": "none", **CASES[case]})
    config = {**dataclasses.asdict(options), "class_names": [str(i) for i in range(400)]}
    keras.config.set_dtype_policy(config["dtype"])
    model = compiling.make_model(config, steps)
    before = peak_memory()
    accumulates = config["gradient_accumulation_steps"] > 1
    step = memory.step_memory(model, accumulates, remat=config["remat"])
    estimated = before + step.of(config["batch_size"])
    rng = np.random.default_rng(0)
    clips = rng.integers(256, size=(config["batch_size"], *model.input_shape[1:]), dtype=np.uint8)
    labels = rng.integers(400, size=config["batch_size"])
    batches = tf.data.Dataset.from_tensors((clips, labels)).repeat(steps)
    model.fit(batches, shuffle=False, verbose=0)
    return estimated, peak_memory()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", nargs="*", metavar="CASE", help="default: all")
    parser.add_argument(
        "--output",
        type=flags.output,
        help="also write the table to a Markdown file",
        metavar="FILE",
    )
    parser.add_argument("--measure", choices=CASES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.measure)))
        return
    rows = [["case", "estimated, GB", "measured, GB", "ratio"]]
    for case in args.cases or CASES:
        command = [sys.executable, "-m", "benchmarks.memory", "--measure", case]
        output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        estimated, measured = json.loads(output.splitlines()[-1])
        cells = [f"{estimated / 1e9:.2f}", f"{measured / 1e9:.2f}", f"{estimated / measured:.2f}"]
        rows.append([case, *cells])
        print(*rows[-1], flush=True)
    text = format_table(rows, markdown=True)
    print(text)
    if args.output:
        pathlib.Path(args.output).parent.mkdir(parents=True, exist_ok=True)
        pathlib.Path(args.output).write_text(
            "# Memory of a training: estimated before it, and measured\n\n"
            "`python -m benchmarks.memory`: the process before the first step and "
            "`smallbig_keras.training.memory.step_memory` against its peak after three steps. A "
            "case is named network, size and clips of a step; S3DG and VoV3DM take 16 frames.\n\n"
            f"{text}\n",
            encoding="utf-8",
        )


if __name__ == "__main__":
    main()
