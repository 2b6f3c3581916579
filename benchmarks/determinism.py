"""Times training steps with and without `--deterministic`, and tells if weights repeat.

    python benchmarks/determinism.py --pairs 4

Each measurement is a process of its own, as TensorFlow's switch has no way back; the two kinds
take turns. `sample` is an epoch of `smallbig fit --sample` after the first, with its loader.
`SmallBigR50` takes steps of 4 clips of 8 x 112 x 112. Prints Markdown.
"""

import argparse
import collections
import hashlib
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

_STEPS, _WARM_UP = 12, 3
_R50 = {
    **{"model": "SmallBigR50", "variant": "reference", "options": {}, "weights": "none"},
    **{"freeze": [], "sync_bn": False, "jit": "off", "epochs": 1, "schedule": "cosine"},
    **{"lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4, "mixup_mode": "none", "size": 112},
    **{"class_names": list("abcdefghij"), "frames": 8, "sampling": "segment", "stride": 8},
    "test_short_side": 112,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--child", nargs=2, metavar=("NETWORK", "on|off"))
    args = parser.parse_args()
    if args.child:
        network, flag = args.child
        print(json.dumps({"sample": sample, "SmallBigR50": resnet}[network](flag)))
        return
    print("| training | seconds a step | with `--deterministic` | ratio, each pair | weights |")
    print("|---|---|---|---|---|")
    for network in ("sample", "SmallBigR50"):
        found = collections.defaultdict(list)
        for pair in range(args.pairs):
            flags = ["off", "on"]
            for flag in flags if pair % 2 else reversed(flags):
                words = [sys.executable, __file__, "--child", network, flag]
                printed = subprocess.run(words, check=True, capture_output=True, text=True).stdout
                found[flag].append(json.loads(printed.splitlines()[-1]))
        times = {flag: [seconds for seconds, _ in runs] for flag, runs in found.items()}
        without, having = times["off"], times["on"]
        ratios = [b / a for a, b in zip(without, having, strict=True)]
        different = len({weights for _, weights in found["on"]})
        print(
            f"| {network} | {statistics.median(without):.3f} | {statistics.median(having):.3f} | "
            f"{' '.join(f'{ratio:.2f}' for ratio in ratios)}, median "
            f"{statistics.median(ratios):.2f} | {different} different of {args.pairs} |",
            flush=True,
        )


def sample(flag):
    """Returns the seconds of a step in the second epoch, and a digest of the weights."""
    from smallbig_keras import runs
    from smallbig_keras.cli import main as smallbig
    from smallbig_keras.opening import load

    switch = {"on": "--deterministic", "off": "--no-deterministic"}
    with tempfile.TemporaryDirectory() as folder:
        run = pathlib.Path(folder, "run")
        smallbig(["fit", "--sample", "--epochs", "2", "--output", str(run), switch[flag]])
        return runs.read_log(run)[1]["step_s"], digest(load(run).model)


def resnet(flag):
    """Returns the seconds of a step, and a digest of the weights."""
    import contextlib

    from smallbig_keras.machine import quiet_tensorflow

    tf = quiet_tensorflow()
    import keras

    from smallbig_keras.training import compiling

    keras.utils.set_random_seed(0)
    repeats = flag == "on"
    with compiling.deterministic_operations() if repeats else contextlib.nullcontext():
        model = compiling.make_model(dict(_R50), _STEPS)
        clips = tf.random.stateless_uniform((4, 8, 112, 112, 3), (0, 0), 0, 256, tf.int32)
        batch = tf.cast(clips, tf.uint8), tf.range(4)
        model.make_train_function()
        times = []
        for _ in range(_STEPS):
            start = time.perf_counter()
            float(model.train_function(iter([batch]))["loss"])
            times.append(time.perf_counter() - start)
    return statistics.median(times[_WARM_UP:]), digest(model)


def digest(model):
    """Returns a few digits of the SHA-256 of all weights."""
    whole = hashlib.sha256()
    for array in model.get_weights():
        whole.update(array.tobytes())
    return whole.hexdigest()[:12]


if __name__ == "__main__":
    main()
