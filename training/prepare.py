"""Prepares data for training.

    python training/prepare.py sample --out DIR
"""

import argparse

from smallbig_keras import data


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    sample = commands.add_parser(
        "sample",
        help="real footage through a moving virtual camera, laid out as Something-Something V2",
    )
    sample.add_argument("--out", required=True, metavar="DIR", help="folder to make")
    sample.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    data.make_sample(args.out, seed=args.seed)
    print(args.out)


if __name__ == "__main__":
    main()
