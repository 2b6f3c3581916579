"""Prints how far networks and blocks of the peers are from the numbers of their original code.

python -m benchmarks.golden
"""

from smallbig_keras.cli.models import format_table
from tests.models.test_golden_peers import BLOCKS, NETS, block_errors, network_errors
from tests.peers_formula import CASES


def main():
    rows = [["case", "original", "numbers", "worst relative error", "of"]]
    for names, errors_of in ((NETS, network_errors), (BLOCKS, block_errors)):
        for name in names:
            errors = errors_of(name)
            worst = max(errors, key=errors.get)
            source = CASES[name]["source"].split("@")[0].split(" (")[0]
            rows.append([name, source, str(len(errors)), f"{errors[worst]:.1e}", worst])
    print(format_table(rows, markdown=True))


if __name__ == "__main__":
    main()
