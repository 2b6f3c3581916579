"""Prints how far networks and blocks of the peers are from the numbers of their original code.

python -m benchmarks.golden
KERAS_BACKEND=jax python -m benchmarks.golden --networks   # on a GPU too; needs no TensorFlow
"""

import argparse

import keras

from smallbig_keras.cli.models import format_table
from tests.models import golden_blocks, test_golden_peers, test_s3d, test_vov3d
from tests.peers_formula import CASES

MODULES = (test_golden_peers, test_s3d, test_vov3d)


def errors():
    """Yields the networks, each with a function that gives its errors."""
    for module in MODULES:
        for name in module.NETS:
            yield name, lambda name=name, module=module: module.network_errors(name)


def block_errors():
    """Yields the blocks in the same way."""
    for module in MODULES:
        for name, block in module.BLOCKS.items():
            yield name, lambda name=name, block=block: golden_blocks.block_errors(name, *block)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--networks", action="store_true", help="leave out blocks, whose gradients need TensorFlow"
    )
    args = parser.parse_args()
    rows = [["case", "original", "numbers", "worst relative error", "of"]]
    for name, errors_of in (*errors(), *(() if args.networks else block_errors())):
        found = errors_of()
        worst = max(found, key=found.get)
        source = CASES[name]["source"].split("@")[0].split(" (")[0]
        rows.append([name, source, str(len(found)), f"{found[worst]:.1e}", worst])
    print(f"backend: {keras.backend.backend()}\n")
    print(format_table(rows, markdown=True))


if __name__ == "__main__":
    main()
