"""Prints how far networks and blocks of the peers are from the numbers of their original code.

python -m benchmarks.golden
python -m benchmarks.golden --ports        # trunks in their publishers' files alone, a minute
KERAS_BACKEND=jax python -m benchmarks.golden --networks   # on a GPU too; needs no TensorFlow
"""

import argparse

import keras

from smallbig_keras.cli.models import format_table
from tests.models import golden_blocks, test_golden_peers, test_s3d, test_vov3d
from tests.peers_formula import CASES
from tests.publishers import golden
from tests.reference_formula import relative_error
from tests.weights import test_published_trunks as trunks

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


def port_rows():
    """Yields the networks that are loaded from a publisher's file."""
    yield ["file of", "network", "against", "relative error"]
    for name, network in trunks.NETS.items():
        error = relative_error(trunks.scores(name), golden(name))
        yield [name, network, "golden scores", f"{error:.1e}"]
        for of, smallbig, options in trunks.SMALLBIG:
            if of == name:
                error = trunks.smallbig_error(name, trunks.build(name, smallbig, **options))
                options = ", ".join(f"{key}={value!r}" for key, value in options.items())
                yield [name, f"{smallbig}({options})", network, f"{error:.1e}"]


def peer_rows(blocks):
    """Yields networks, and blocks too, with the worst of their errors."""
    yield ["case", "original", "numbers", "worst relative error", "of"]
    for name, errors_of in (*errors(), *(block_errors() if blocks else ())):
        found = errors_of()
        worst = max(found, key=found.get)
        source = CASES[name]["source"].split("@")[0].split(" (")[0]
        yield [name, source, str(len(found)), f"{found[worst]:.1e}", worst]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--networks", action="store_true", help="leave out blocks, whose gradients need TensorFlow"
    )
    parser.add_argument("--ports", action="store_true", help="published trunks alone")
    args = parser.parse_args()
    print(f"backend: {keras.backend.backend()}")
    for rows in (port_rows(),) if args.ports else (peer_rows(not args.networks), port_rows()):
        print("", format_table([*rows], markdown=True), sep="\n")


if __name__ == "__main__":
    main()
