"""Writes a model as a SavedModel for TensorFlow Serving, NAME/1/.

    python export/to_saved_model.py --weights runs/RUN --output models/smallbig
    python export/to_saved_model.py --weights runs/RUN --output models/smallbig --version 2

Signatures: clips (serving_default), JPEG frames (jpeg), several views of a video (views); see
docs/serving.md.
"""

from common import add_output, load_source, make_parser  # isort: skip
from smallbig_keras import cli, exports


@cli.readable_errors
def main(arguments=None):
    parser = make_parser(__doc__)
    group = add_output(parser)
    group.add_argument("--version", type=int, help="add this version to those at PATH")
    group.add_argument("--input-dtype", choices=("uint8", "float32"), default="uint8")
    args = parser.parse_args(arguments)
    source = load_source(args)
    path = exports.to_saved_model(
        source.model,
        args.output,
        source.class_names,
        source.short_side,
        input_dtype=args.input_dtype,
        version=args.version,
        overwrite=args.overwrite,
    )
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    print(f"{path} ({size / 1e6:.1f} MB)")


if __name__ == "__main__":
    main()
