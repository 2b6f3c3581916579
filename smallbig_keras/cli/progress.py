"""Progress of a long work: a bar on a terminal, else a line now and then."""

import sys
import time

# Seconds between two lines.
_LINE_EVERY = 10


def progress_bar(unit):
    """Returns a function of `(done, total)` that draws a bar, or where none can be prints lines."""
    import keras

    bars, start, printed = [], time.monotonic(), [time.monotonic()]

    def show(done, total):
        now = time.monotonic()
        if sys.stdout.isatty():
            if not bars:
                bars.append(keras.utils.Progbar(total, unit_name=unit))
            bars[0].update(done)
        elif done == total or now - printed[0] > _LINE_EVERY:
            printed[0] = now
            left = (now - start) / done * (total - done)
            print(f"{done}/{total} {unit}s, {left:.0f} s left", flush=True)

    return show
