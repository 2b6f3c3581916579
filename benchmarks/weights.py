"""Time of a clip of each network that published weights are for, as a multiple of C2DR50's.

    python benchmarks/weights.py             # several minutes, 5 GB of memory
    python benchmarks/weights.py --rounds 21 --filter R50

Random weights, the clips of the records, TensorFlow graphs, all by turns. Prints a Markdown table.
"""

import argparse
import statistics
import time

from smallbig_keras.machine import quiet_tensorflow


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--filter", default="", help="part of the names of networks")
    args = parser.parse_args()

    quiet_tensorflow()
    import numpy as np

    import smallbig_keras
    from smallbig_keras.cli.models import format_table
    from smallbig_keras.models.inference import output_function
    from smallbig_keras.weights.records import builtin_records

    found = {}
    for record in builtin_records():
        shape = record.description.clips.shape
        if record.file and record.name != "imagenet" and args.filter in record.model:
            found.setdefault((record.model, shape), []).append(record)
    calls = {}
    for model, shape in found:
        network = getattr(smallbig_keras, model)(input_shape=shape)
        clip = np.zeros((1, *shape), "float32")
        calls[model, shape] = (output_function(network, ("probabilities",))[0], clip)
    for call, clip in calls.values():
        call(clip)
    seconds = {key: [] for key in calls}
    for _ in range(args.rounds):
        for key, (call, clip) in calls.items():
            start = time.perf_counter()
            call(clip)
            seconds[key].append(time.perf_counter() - start)
    medians = {key: statistics.median(values) for key, values in seconds.items()}
    unit = medians[next(key for key in medians if key[0] == "C2DR50")]
    rows = [["network", "clip", "GMAC", "times C2DR50", "s", "weights="]]
    for key in sorted(medians, key=medians.get):
        records = found[key]
        names = ", ".join(sorted(record.name for record in records))
        rows.append(
            [
                key[0],
                " x ".join(map(str, key[1][:3])),
                f"{records[0].macs / 1e9:.1f}",
                f"{medians[key] / unit:.2f}",
                f"{medians[key]:.3f}",
                names,
            ]
        )
    print(format_table(rows, markdown=True))


if __name__ == "__main__":
    main()
