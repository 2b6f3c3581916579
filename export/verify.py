"""Proves artifacts equal to the Keras model they came from, on real clips.

    python export/verify.py --weights runs/RUN models/smallbig model.tflite model.onnx
    python export/verify.py --weights runs/RUN --clips 300 --output table.md model-int8.tflite

Prints a table and ends with an error when an artifact is out of tolerance: a float32 one by more
than 1e-4 of a probability, float16 1e-2, dynamic with fewer than 97 % of the clips the same best
class, int8 95 %. The clips are the validation videos of the run, its dataset or --videos.
"""

from common import add_clips, load_clips, load_source, make_parser  # isort: skip
import pathlib

from smallbig_keras import cli, exports


@cli.readable_errors
def main(arguments=None):
    parser = make_parser(__doc__)
    parser.add_argument("artifacts", nargs="+", metavar="ARTIFACT")
    parser.add_argument("--output", metavar="FILE", help="write the table here, too")
    parser.add_argument("--rounds", type=int, default=11, help="timed calls of each")
    parser.add_argument("--threads", type=int, help="of LiteRT and ONNX Runtime; default all")
    add_clips(parser, 64)
    args = parser.parse_args(arguments)
    if args.rounds < 1:
        parser.error(f"--rounds must be at least 1. Received: {args.rounds}")

    source = load_source(args)
    runners = [exports.open_artifact(path, args.threads) for path in args.artifacts]
    clips = load_clips(args, source, "validation")
    latency, comparisons = exports.compare(source.model, runners, clips, rounds=args.rounds)
    table = exports.format_table(latency, comparisons)
    print(f"{len(clips)} clips\n\n{table}")
    if args.output:
        pathlib.Path(args.output).write_text(table + "\n", encoding="utf-8")
    failed = [c.name for c in comparisons if not c.passed]
    if failed:
        raise SystemExit(f"error: out of tolerance: {', '.join(failed)}")


if __name__ == "__main__":
    main()
