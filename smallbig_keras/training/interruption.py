"""Signals that end a training after the step that it is in."""

import contextlib
import os
import signal
import threading

from smallbig_keras.errors import Terminated

_MEANINGS = {signal.SIGTERM: Terminated, signal.SIGINT: KeyboardInterrupt}


class Interruption:
    """The signal that a training has received.

    Attributes:
        in_steps: bool. True while the training has a step to end before it stops.
        error: type of the exception that ends the training, or `None` while it goes on.
    """

    in_steps = False
    error = None

    def receive(self, number, _frame):
        """Notes a signal; a second one, and one outside of the steps, ends at once."""
        error, self.error = self.error, _MEANINGS[number]
        if error is not None or not self.in_steps:
            raise self.error
        # The signal may have come within a `print`, which cannot begin another one.
        with contextlib.suppress(OSError):
            os.write(2, b"\nstopping after this step, with a checkpoint; once more stops at once\n")


@contextlib.contextmanager
def interruption():
    """Yields an `Interruption`, which receives SIGTERM and Ctrl-C."""
    noted = Interruption()
    if threading.current_thread() is not threading.main_thread():
        # Python hands signals to its main thread only.
        yield noted
        return
    before = {number: signal.signal(number, noted.receive) for number in _MEANINGS}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
