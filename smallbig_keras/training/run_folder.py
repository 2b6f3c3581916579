"""The folder of a new run."""

import contextlib
import datetime
import pathlib

from smallbig_keras import runs
from smallbig_keras.errors import SmallBigError
from smallbig_keras.files import folder_lock, make_folder
from smallbig_keras.options import command_line


@contextlib.contextmanager
def new_folder(options):
    """Makes the folder of a run, kept to this process; removes it if nothing was begun."""
    there = options.output is not None and pathlib.Path(options.output).exists()
    run = _free_folder(options) if options.output is None else make_folder(options.output)
    try:
        with folder_lock(run):
            if (run / runs.CONFIG).exists():
                command = command_line("smallbig fit", {"resume": str(run)})
                raise SmallBigError(
                    f"This folder holds a run. Continue it with {command}, or choose another "
                    f"--output. Received: {run}"
                )
            yield run
    except BaseException:
        if not there:
            # Fails for a folder that holds anything, such as the run of another process.
            with contextlib.suppress(OSError):
                run.rmdir()
        raise


def _free_folder(options):
    """Makes the folder of a run that was given none: no two processes get the same."""
    time = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    name = f"{options.dataset}-{options.model}-{time}"
    parent = make_folder("runs")
    for number in range(1, 1000):
        run = parent / (name if number == 1 else f"{name}-{number}")
        try:
            run.mkdir()
            return run
        except FileExistsError:
            continue
    raise SmallBigError(f"A run needs a free name in {parent}: add --output. Received: {name}")
