"""Prepares data for training, and trained weights for others.

python training/prepare.py sample --out DIR
python training/prepare.py publish RUN --name k400 --out DIR
"""

import environment  # noqa: F401  # isort: skip
import sys

import keras

from smallbig_keras import cli, data, weights


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
    publish = commands.add_parser(
        "publish", help="the weights of a finished run and their record, a folder to upload"
    )
    publish.add_argument("run", metavar="RUN")
    publish.add_argument("--name", required=True, help="what weights= will be given: k400, ...")
    publish.add_argument("--out", default="published", metavar="DIR", help="default published")
    publish.add_argument("--licence", help="licence of the weights")
    publish.add_argument("--overwrite", action="store_true", help="replace files of that name")
    args = parser.parse_args(arguments)
    if args.command == "sample":
        data.make_sample(args.out, seed=args.seed, progress=progress_bar())
        print(args.out)
    else:
        publish_run(args)


def publish_run(args):
    """Publishes a run and prints how others load it."""
    record = weights.publish(args.run, args.name, args.out, args.licence, args.overwrite)
    accuracy = record.accuracy
    print(
        f"{args.out}/{record.file}: {record.bytes / 1e6:.1f} MB, top1={accuracy['top1']:.3f} "
        f"top5={accuracy['top5']:.3f} ({accuracy['protocol']}, "
        f"{accuracy['dataset']} in {accuracy['data_root']})"
    )
    print(f"here:    SMALLBIG_WEIGHTS={args.out}")
    print("served:  SMALLBIG_WEIGHTS_URL=http://...")
    print(f"then:    smallbig_keras.{record.model}(weights={record.name!r})")


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
