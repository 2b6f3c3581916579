"""Kills one training at random moments, and compares it with one that nothing interrupted.

    python benchmarks/interruptions.py --kills 20

Both train the sample set with the same seed, deterministic, while another process keeps the
processors busy. Weights, optimiser and log must be equal to the bit. Prints Markdown.
"""

import argparse
import csv
import multiprocessing
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

import h5py

from smallbig_keras import runs

# Seconds in which a process is killed, from when it has its model: tracing comes first.
_MOMENTS = 1, 40
# Columns of the log that time and memory make differ.
_MEASURED = ("step_s", "data_s", "clips_per_s", "memory_gb", "eta_min")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=0.1, help="--checkpoint-every")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    args = parser.parse_args()
    busy = [multiprocessing.Process(target=work, daemon=True) for _ in range(os.cpu_count())]
    for process in busy:
        process.start()
    with tempfile.TemporaryDirectory() as folder:
        whole, killed = (pathlib.Path(folder, name) for name in ("whole", "killed"))
        begin = ["--sample", "--epochs", args.epochs, "--checkpoint-every", args.minutes]
        subprocess.run(command(*begin, "--output", whole), check=True, stdout=subprocess.DEVNULL)
        print("| kill -9 | after | the next process begins at |\n|---|---|---|", flush=True)
        kill(begin, killed, args.kills, random.Random(args.seed))
        report(whole, killed)


def work():
    """Keeps a processor busy."""
    while True:
        sum(range(100_000))


def command(*words):
    """Returns the words of a command of this package."""
    # Lines are to be read as they are printed.
    code = "import sys; sys.stdout.reconfigure(line_buffering=True)\n"
    code += "from smallbig_keras.cli import console; console()"
    return [sys.executable, "-c", code, "fit", *map(str, words)]


def kill(begin, run, kills, moments):
    """Trains in as many processes as there are kills, and one more to the end."""
    number, begun = 0, False
    while True:
        words = ["--resume", run] if begun else [*begin, "--output", run]
        process = subprocess.Popen(command(*words), stdout=subprocess.PIPE, text=True, bufsize=1)
        for line in process.stdout:
            if place := re.search(r"from (epoch .*)", line):
                print(f"{place[1]} |" if number else "", flush=True)
                break
        seconds = moments.uniform(*_MOMENTS)
        try:
            process.communicate(timeout=seconds if number < kills else None)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        begun = (run / runs.CONFIG).exists()
        if process.returncode == 0:
            print(f"\n{number} kills; the last process ended the training.")
            return
        if process.returncode != -signal.SIGKILL:
            raise SystemExit(f"exit code {process.returncode}")
        number += 1
        print(f"| {number} | {seconds:.1f} s | ", end="", flush=True)


def report(whole, killed):
    """Compares the files of two runs."""
    for name in (runs.BEST, runs.LAST):
        one, other = (numbers(run / name) for run in (whole, killed))
        different = [key for key in one | other if one.get(key) != other.get(key)]
        print(f"{name}: {len(one)} arrays, {len(different)} differ", *different[:5])
    one, other = (rows(run) for run in (whole, killed))
    print(f"log.csv: {len(one)} rows, {'equal' if one == other else 'DIFFERENT'}")


def numbers(path):
    """Returns the bytes of the arrays of a file by name."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: (
                found.update({name: item[()].tobytes()}) if isinstance(item, h5py.Dataset) else None
            )
        )
    return found


def rows(run):
    """Returns the rows of a log without what is measured."""
    with (run / runs.LOG).open() as lines:
        return [
            {key: value for key, value in row.items() if key not in _MEASURED}
            for row in csv.DictReader(lines)
        ]


if __name__ == "__main__":
    start = time.monotonic()
    main()
    print(f"{(time.monotonic() - start) / 60:.0f} minutes")
