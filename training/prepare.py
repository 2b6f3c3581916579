"""Prepares data for training.

python training/prepare.py sample --out DIR
"""

import environment  # noqa: F401  # isort: skip
import sys

import keras

from smallbig_keras import cli, data


@cli.readable_errors
def main(arguments=None):
    parser = cli.make_parser(__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    sample = commands.add_parser(
        "sample",
        help="real footage through a moving virtual camera, laid out as Something-Something V2",
    )
    sample.add_argument("--out", required=True, metavar="DIR", help="folder to make")
    sample.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    data.make_sample(args.out, seed=args.seed, progress=progress_bar())
    print(args.out)


def progress_bar():
    """Returns a function of `(done, total)` that draws a bar, or one line where none can be."""
    bars = []

    def show(done, total):
        if not bars:
            verbose = 1 if sys.stdout.isatty() else 2
            bars.append(keras.utils.Progbar(total, verbose=verbose, unit_name="clip"))
        bars[0].update(done)

    return show


if __name__ == "__main__":
    main()
