"""Writes a model as an ONNX file.

    python export/to_onnx.py --weights runs/RUN --output model.onnx

--naive keeps the channels last inside, with transpositions: slower, to compare with.
"""

from common import add_output, load_source, make_parser  # isort: skip
from smallbig_keras import cli
from smallbig_keras.export.onnx_export import to_onnx


@cli.readable_errors
def main(arguments=None):
    parser = make_parser(__doc__)
    group = add_output(parser)
    group.add_argument("--naive", action="store_true", help="convert the Keras model as it is")
    args = parser.parse_args(arguments)
    source = load_source(args)
    path = to_onnx(
        source.model,
        args.output,
        source.class_names,
        source.short_side,
        naive=args.naive,
        overwrite=args.overwrite,
    )
    print(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
