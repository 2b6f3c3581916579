"""Trains one network of each system on the sample set, with one budget and several seeds.

python benchmarks/systems.py --folder FOLDER
python benchmarks/systems.py --folder FOLDER --output benchmarks/results/2026-11-26-systems.md

Every run is `smallbig fit --sample` with the options below; finished runs in FOLDER are kept, so
that the command goes on where it was stopped.
"""

import argparse
import csv
import json
import pathlib
import statistics
import subprocess
import sys
import time

from smallbig_keras.cli.models import format_table

# The trunk of the ResNets; the others are as small by the recipe of the sample set. Dropout is for
# long schedules.
RESNET = {"blocks": [1, 2, 2, 1], "width": 16, "dropout": 0.0}
OWN = {"dropout": 0.0}
SYSTEMS = {
    "C2D": ("C2DR50", "reference", RESNET),
    "I3D (3x1x1)": ("I3DR50", "paper", RESNET),
    "SlowOnly": ("SlowOnlyR50", "reference", RESNET),
    "Non-local on I3D": ("NonLocalR50", "reference", RESNET),
    "TSM": ("TSMR50", "reference", RESNET),
    "CoST(b)": ("CoSTR50", "reference", RESNET),
    "SmallBig on SlowOnly": ("SmallBigSlowOnlyR50", "paper", RESNET),
    "S3D": ("S3D", "reference", OWN),
    "S3D-G": ("S3DG", "reference", OWN),
    "I3D (Inception)": ("I3D", "reference", OWN),
    "VoV3D-M": ("VoV3DM", "something", OWN),
}


def train(folder, model, variant, options, seed, epochs):
    """Trains a network unless it was, and returns its run's folder and the seconds it took."""
    run = folder / f"{model}-{variant}-{seed}"
    done = run / "seconds.json"
    if not done.is_file():
        command = [pathlib.Path(sys.executable).with_name("smallbig"), "fit"]
        if run.is_dir():
            command += ["--resume", run]
        else:
            command += ["--sample", "--model", model, "--variant", variant, "--seed", str(seed)]
            command += ["--epochs", str(epochs), "--options", json.dumps(options), "--output", run]
        start = time.monotonic()
        with (folder / f"{run.name}.log").open("a") as log:
            subprocess.run(command, check=True, stdout=log, stderr=log)
        done.write_text(json.dumps(time.monotonic() - start))
    return run, json.loads(done.read_text())


def best_top1(run):
    """Returns the best validation accuracy in the log of a run."""
    (log,) = run.glob("*.csv")
    with log.open() as file:
        return max(float(row["val_top1"]) for row in csv.DictReader(file))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", required=True, type=pathlib.Path, help="of the runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--output", help="also write the table to a Markdown file", metavar="FILE")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    found = {name: [] for name in SYSTEMS}
    # Seed by seed: what else the machine does falls on all systems alike.
    for seed in args.seeds:
        for name, network in SYSTEMS.items():
            run, seconds = train(args.folder, *network, seed, args.epochs)
            found[name].append(best_top1(run))
            print(f"{name} seed={seed} top1={found[name][-1]:.3f} {seconds:.0f} s", flush=True)
    seeds = [f"seed {seed}" for seed in args.seeds]
    rows = [["system", "network", *seeds, "median"]]
    for name, scores in found.items():
        cells = [f"{score:.3f}" for score in (*scores, statistics.median(scores))]
        rows.append([name, " ".join(SYSTEMS[name][:2]), *cells])
    text = format_table(rows, markdown=True)
    print(text)
    if args.output:
        pathlib.Path(args.output).write_text(
            f"# One network of each system on the sample set\n\n`python benchmarks/systems.py "
            f"--folder FOLDER`: {args.epochs} epochs, options {json.dumps(RESNET)} of the ResNets, "
            "top-1 of the best epoch on the 300 validation clips, six classes.\n\n"
            f"{text}\n",
            encoding="utf-8",
        )


if __name__ == "__main__":
    main()
