"""One training step of SmallBigR50 with the fused normalisation, with Keras' own and with none.

    python benchmarks/normalization.py                 # 4 clips of 8 x 112 x 112, float32
    python benchmarks/normalization.py --rounds 5

Each round starts one process a kind, one after the other, as memory is never given back within
a process. Prints the median step in seconds, the peak memory in GB, and the ratios. The step
without normalisation is what no normalisation can better.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

KINDS = ("fused", "keras", "none")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4, help="measured steps a process")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--kind", choices=KINDS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.kind:
        print(json.dumps(measure(args)))
        return

    results = {kind: [] for kind in KINDS}
    for _ in range(args.rounds):
        for kind in KINDS:
            command = [sys.executable, __file__, *sys.argv[1:], "--kind", kind]
            settings = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
            environment = {"TF_ENABLE_ONEDNN_OPTS": "1", **os.environ, **settings}
            output = subprocess.run(
                command, env=environment, stdout=subprocess.PIPE, text=True, check=True
            ).stdout
            results[kind].append(json.loads(output.splitlines()[-1]))
    table = {}
    print("| normalisation | step, s | peak memory, GB |\n|---|---|---|")
    for kind, rounds in results.items():
        seconds = statistics.median(s for r in rounds for s in r["seconds"])
        memory = statistics.median(r["memory"] for r in rounds)
        table[kind] = seconds, memory
        print(f"| {kind} | {seconds:.2f} | {memory:.2f} |")
    print("\nagainst keras:")
    for kind in ("fused", "none"):
        speed, memory = table["keras"][0] / table[kind][0], table[kind][1] / table["keras"][1]
        print(f"{kind}: speed {speed:.2f} times, memory {memory:.2f} times")


def measure(args):
    """Trains in this process and returns the seconds of each step and the peak memory in GB."""
    import keras
    import numpy as np

    import smallbig_keras

    layer = smallbig_keras.layers.FusedBatchNormalization
    if args.kind == "keras":
        layer.call = keras.layers.BatchNormalization.call
    elif args.kind == "none":
        layer.call = lambda self, inputs, training=None, mask=None: inputs
    model = smallbig_keras.SmallBigR50(input_shape=(args.frames, args.size, args.size, 3))
    optimizer = smallbig_keras.optimizers.SGDWithL2(0.01)
    model.compile(optimizer, "sparse_categorical_crossentropy", jit_compile=False)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((args.batch_size, *model.input_shape[1:])).astype("float32")
    y = rng.integers(400, size=args.batch_size)
    seconds = []
    for step in range(args.steps + 2):
        start = time.perf_counter()
        model.train_on_batch(x, y)
        if step >= 2:
            seconds.append(time.perf_counter() - start)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return {"seconds": seconds, "memory": memory}


if __name__ == "__main__":
    main()
