"""Fine-tunes on small sets: the recipe `finetune` against a start from nothing and frozen features.

    python -m benchmarks.small_sets --footage DIR --out SETS
    python -m benchmarks.fine_tuning --sets SETS --weights runs/SAMPLE

Every number is the top-1 of the validation clips, whose footage no training has seen. A seed
chooses the clips of a class and seeds the training. `finetune` is `smallbig fit --dataset folder
--data-root DIR --weights RUN --seed SEED` and nothing else; `scratch` is the same network and
recipe with `--weights none`; `linear` is scikit-learn's logistic regression on the features of
RUN. The flags of
`--flags` are added to `finetune`, to compare recipes.
"""

import argparse
import collections
import json
import multiprocessing
import os
import pathlib
import random
import statistics
import tempfile
import time

METHODS = ("finetune", "scratch", "linear")


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", required=True, type=pathlib.Path)
    parser.add_argument("--weights", required=True, type=pathlib.Path)
    parser.add_argument("--clips", type=int, nargs="+", default=[4, 8, 18])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--only", nargs="+", help="names of sets")
    parser.add_argument("--flags", default="", help="flags that finetune adds")
    args = parser.parse_args(arguments)
    names = args.only or sorted(path.name for path in args.sets.iterdir())
    # A fresh process for each set: the memory of hundreds of trainings is not given back.
    context = multiprocessing.get_context("spawn")
    rows = []
    for name in names:
        with context.Pool(1) as pool:
            rows += pool.apply(measure_set, (args.sets / name, args))
    print_table(rows)


def measure_set(folder, args):
    """Trains on parts of a set; returns and prints a row for every training."""
    rows = []
    for count in args.clips:
        for method in args.methods:
            for seed in range(args.seeds):
                with tempfile.TemporaryDirectory(dir=folder.parent.parent) as work:
                    root = take_part(folder, pathlib.Path(work, "data"), count, seed)
                    start = time.perf_counter()
                    found = globals()[method](root, work, args, seed)
                row = {"set": folder.name, "clips": count, "method": method, "seed": seed}
                row |= {**found, "seconds": time.perf_counter() - start}
                rows.append(row)
                print(json.dumps(row), flush=True)
    return rows


def take_part(folder, root, count, seed):
    """Makes a dataset of `count` training clips a class and all that validate."""
    for split in ("train", "val"):
        for source in sorted((folder / split).iterdir()):
            files = sorted(source.iterdir())
            if split == "train":
                files = random.Random(f"{seed} {source.name}").sample(files, count)
            (root / split / source.name).mkdir(parents=True)
            for file in files:
                os.link(file, root / split / source.name / file.name)
    return root


def finetune(root, work, args, seed, *more):
    """Returns the best and the last top-1 of the command of the README."""
    import contextlib
    import io

    import keras

    from smallbig_keras import cli, runs

    keras.utils.clear_session()
    words = ["fit", "--dataset", "folder", "--data-root", str(root), "--output", f"{work}/run"]
    weights = [] if more else ["--weights", str(args.weights), *args.flags.split()]
    with contextlib.redirect_stdout(io.StringIO()):
        best = cli.main([*words, "--seed", str(seed), *weights, *more])
    log = runs.read_log(pathlib.Path(work, "run"))
    return {"top1": best["val_top1"], "last": log[-1]["val_top1"], "epochs": len(log)}


def scratch(root, work, args, seed):
    """The same from random weights."""
    from smallbig_keras.weights.description import read_description

    known = read_description(args.weights)
    clips = known.clips
    return finetune(
        *(root, work, args, seed, "--weights", "none"),
        *("--model", known.model, "--variant", known.variant),
        *("--options", json.dumps(known.options), "--frames", str(clips.frames)),
        *("--size", str(clips.size), "--sampling", clips.sampling),
        *("--test-short-side", str(clips.short_side)),
        *("--short-side", *map(str, clips.training_short_sides())),
    )


def linear(root, work, args, seed):
    """A linear classifier on the features of the clips, which are not trained."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    import smallbig_keras
    from smallbig_keras.data import read_annotations

    classifier = smallbig_keras.load(args.weights)
    (train, labels), (val, truth) = (
        (classifier.features(videos), [video.label for video in videos])
        for videos in (read_annotations("folder", root, split)[0] for split in ("train", "val"))
    )
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    top1 = model.fit(train, labels).score(val, truth)
    return {"top1": top1, "last": top1, "epochs": 0}


def print_table(rows):
    """Prints the median of the seeds, and the lowest, for every set, number of clips and method."""
    groups = collections.defaultdict(list)
    for row in rows:
        groups[row["set"], row["clips"], row["method"]].append(row)
    print("\n| set | clips a class | method | median top-1 | lowest (seed) | median seconds |")
    print("|---|---|---|---|---|---|")
    for (name, clips, method), group in groups.items():
        lowest = min(group, key=lambda row: row["top1"])
        print(
            f"| {name} | {clips} | {method} "
            f"| {statistics.median(row['top1'] for row in group):.3f} "
            f"| {lowest['top1']:.3f} ({lowest['seed']}) "
            f"| {statistics.median(row['seconds'] for row in group):.0f} |"
        )


if __name__ == "__main__":
    main()
