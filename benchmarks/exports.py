"""Size and latency of the exported artifacts of SmallBigR50, 8 frames of 224 x 224.

    python benchmarks/exports.py                       # several minutes, 2 GB of disk
    python benchmarks/exports.py --size 112 --rounds 21

Random weights. All runtimes are timed by turns on the same clip. Writes the artifacts to a
temporary folder, prints a Markdown table.
"""

import argparse
import pathlib
import tempfile

from smallbig_keras.machine import quiet_tensorflow


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--model", default="SmallBigR50")
    parser.add_argument("--no-extra", action="store_true", help="without extra units")
    args = parser.parse_args()

    quiet_tensorflow()
    import numpy as np

    import smallbig_keras
    from smallbig_keras import export
    from smallbig_keras.export.comparison import median_latencies

    options = {"extra": None} if args.no_extra else {}
    model = getattr(smallbig_keras, args.model)(
        input_shape=(args.frames, args.size, args.size, 3), **options
    )
    rng = np.random.default_rng(0)
    clips = rng.integers(0, 256, (16, *model.input_shape[1:]), np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        paths = [
            export.to_saved_model(model, folder / "saved_model"),
            export.to_onnx(model, folder / "model.onnx"),
            export.to_onnx(model, folder / "naive.onnx", naive=True),
        ]
        for precision in ("float32", "float16", "dynamic", "int8"):
            representative = clips.astype("float32") if precision == "int8" else None
            path = folder / f"{precision}.tflite"
            paths.append(export.to_tflite(model, path, precision, representative))
        runners = [export.open_artifact(path) for path in paths]
        functions = [runner.predict for runner in runners]
        seconds = median_latencies(functions, clips[:1], args.rounds)
        print_table(model, runners, seconds)


def print_table(model, runners, seconds):
    import smallbig_keras

    parameters = smallbig_keras.complexity(model).parameters
    print(f"{model.name} {model.input_shape[1:]}, {parameters:,} parameters\n")
    print("| artifact | MB | bytes a parameter | Transpose nodes | s | times TensorFlow graph |")
    print("|---|---|---|---|---|---|")
    for runner, own in zip(runners, seconds, strict=True):
        nodes = count_transposes(runner.path) if runner.kind == "ONNX" else ""
        print(
            f"| {runner.kind} {runner.name} | {runner.bytes / 1e6:.1f} "
            f"| {runner.bytes / parameters:.2f} | {nodes} | {own:.3f} "
            f"| {seconds[0] / own:.2f} |"
        )


def count_transposes(path):
    import onnx

    graph = onnx.load(str(path), load_external_data=False).graph
    return sum(node.op_type == "Transpose" for node in graph.node)


if __name__ == "__main__":
    main()
