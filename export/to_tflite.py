"""Writes a model as a TFLite file with labels and preprocessing inside.

    python export/to_tflite.py --weights runs/RUN --output model.tflite
    python export/to_tflite.py --weights runs/RUN --output model.tflite --precision dynamic
    python export/to_tflite.py --weights runs/RUN --output model.tflite --precision int8
    python export/to_tflite.py --weights FILE.keras --output model.tflite --precision int8 \\
        --input-dtype uint8 --videos FOLDER

int8 takes the ranges of its activations from real clips: the training videos of the run, those
of --data-root or --videos. Validation videos would flatter what is measured on them afterwards.
"""

from common import add_clips, add_output, load_clips, load_source, make_parser  # isort: skip
import smallbig_keras
from smallbig_keras import cli
from smallbig_keras.export import artifacts, tflite


@cli.readable_errors
def main(arguments=None):
    parser = make_parser(__doc__)
    group = add_output(parser)
    group.add_argument("--precision", choices=tflite.PRECISIONS, default="float32")
    group.add_argument(
        "--input-dtype",
        choices=("float32", "uint8"),
        default="float32",
        help="uint8: RGB values as they are, for int8",
    )
    add_clips(parser, 64)
    args = parser.parse_args(arguments)
    int8 = args.precision == "int8"
    if not int8 and (args.videos or args.data_root):
        parser.error(f"clips are for --precision int8. Received: --precision {args.precision}")

    artifacts.check_new(args.output, args.overwrite)
    source = load_source(args)
    path = tflite.to_tflite(
        source.model,
        args.output,
        args.precision,
        load_clips(args, source, "train") if int8 else None,
        args.input_dtype,
        source.class_names,
        source.short_side,
        overwrite=args.overwrite,
    )
    size = path.stat().st_size
    parameters = smallbig_keras.complexity(source.model).parameters
    print(f"{path} ({size / 1e6:.1f} MB, {size / parameters:.2f} bytes a parameter)")


if __name__ == "__main__":
    main()
