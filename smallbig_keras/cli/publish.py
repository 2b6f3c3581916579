"""Writes the weights of a finished run and their record, a folder to upload.

smallbig publish runs/RUN --name k400 --out published
"""

import dataclasses

from smallbig_keras import runs
from smallbig_keras.files import check_writable
from smallbig_keras.options import option


@dataclasses.dataclass(frozen=True)
class Options:
    """Weights"""

    run: str | None = option(
        None, "folder of a finished run", metavar="RUN", positional=True, required=True
    )
    name: str | None = option(None, "what weights= is given, such as k400", required=True)
    out: str = option("published", "folder of the files", metavar="DIR")
    licence: str | None = option(None, "licence of the weights")
    overwrite: bool = option(False, "replace files of that name")


def check(given):
    """Returns the options."""
    args = Options(**given)
    runs.read_config(args.run)
    check_writable(args.out)
    return args


def run(args):
    """Publishes a run, prints how others load it, and returns its record."""
    from smallbig_keras.training.publishing import publish

    record = publish(args.run, args.name, args.out, args.licence, args.overwrite)
    accuracy = record.accuracy
    print(
        f"{args.out}/{record.file}: {record.bytes / 1e6:.1f} MB, top1={accuracy['top1']:.3f} "
        f"top5={accuracy['top5']:.3f} ({accuracy['protocol']}, "
        f"{accuracy['dataset']} in {accuracy['data_root']})"
    )
    print(f"here:    SMALLBIG_WEIGHTS={args.out}")
    print("served:  SMALLBIG_WEIGHTS_URL=http://...")
    print(f"then:    smallbig_keras.{record.model}(weights={record.name!r})")
    return record
