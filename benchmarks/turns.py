"""Contenders as processes of their own, which load once and are measured by turns.

A contender reads a line for each measurement and answers with a line of JSON, so that its memory
is its own and an idle one takes no processor. Nothing here needs a package: contenders of other
environments import it, too.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import resource
import select
import statistics
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = pathlib.Path(__file__).parent.parent
WARMUPS = 2
# The threads of the contender before keep a core busy for a while.
PAUSE = 0.2
# Seconds to load and to warm up, and to measure once.
PATIENCE = 900


def memory():
    """Returns the present and the largest memory of this process, in bytes."""
    # Linux counts in `getrusage` what the process was before its program began.
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii") as file:
        values = dict(line.split(":", 1) for line in file)
        return tuple(int(values[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak *= 1 if sys.platform == "darwin" else 1024
    return peak, peak


def serve(make):
    """Runs a contender: `make` of its configuration gives the function to time, and facts.

    The configuration is JSON, the first argument of the process. Its `calls` are those that are
    timed together, 1 by default. Of the facts, `memory` is a function like the one above, `wait`
    one that waits for a result that a device still computes, and `profile` one that gives the
    seconds of each kernel in a call of a function, for `kernels` of the configuration; they are
    not passed on.
    """
    # Libraries write to the standard output as they like.
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(**values):
        channel.write(json.dumps(values) + "\n")
        channel.flush()

    try:
        config = json.loads(sys.argv[1])
        function, facts = make(config)
        calls, measure = config.get("calls", 1), facts.pop("memory", memory)
        wait = facts.pop("wait", lambda result: None)
        profile = facts.pop("profile", None)
        loaded, _ = measure()
        for _ in range(WARMUPS):
            wait(function())
        if profile and config.get("kernels"):
            facts["kernels"] = profile(lambda: wait(function()))
        answer(loaded=loaded, **facts)
        for _ in sys.stdin:
            start = time.perf_counter()
            for _ in range(calls):
                result = function()
            wait(result)
            answer(seconds=(time.perf_counter() - start) / calls, peak=measure()[1])
    except Exception as error:
        traceback.print_exc()
        first = str(error).strip().partition("\n")[0][:500]
        answer(error=f"{type(error).__name__}: {first}")
    # Threads of some libraries hold a process back.
    sys.stderr.flush()
    os._exit(0)


class ContenderError(Exception):
    """A contender could not load or be measured; says why."""


class Contender:
    """The parent's end of a contender.

    Args:
        command: list of str, which the configuration as JSON follows.
        config: dict.

    Attributes:
        facts: dict of what it says of itself, once it is loaded.
    """

    def __init__(self, command, config):
        self._errors = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [*command, json.dumps(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=ROOT,
            text=True,
        )
        self.facts = None

    def load(self):
        """Waits until it has loaded; raises ContenderError if it cannot."""
        self.facts = self._answer()

    def measure(self):
        """Returns the seconds of one call, and the largest memory so far."""
        try:
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None
        values = self._answer()
        return values["seconds"], values["peak"]

    def close(self):
        """Ends the process."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def _answer(self):
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
        if not ready:
            self._process.kill()
            raise ContenderError(f"no answer in {PATIENCE} seconds")
        line = self._process.stdout.readline()
        if not line:
            raise self._ended()
        values = json.loads(line)
        if "error" in values:
            raise ContenderError(values["error"])
        return values

    def _ended(self):
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        # A process that memory runs out for is killed.
        kind = f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"
        return ContenderError(f"{kind}: {lines[-1][:200] if lines else 'no message'}")


@dataclasses.dataclass
class Result:
    """The measurements of a contender, or why there are none.

    Args:
        seconds: list of float.
        loaded: int. Bytes before the first call.
        peak: int. Largest number of bytes.
        facts: dict of what the contender says of itself.
        error: str, empty if it was measured.
    """

    seconds: list = dataclasses.field(default_factory=list)
    loaded: int = 0
    peak: int = 0
    facts: dict = dataclasses.field(default_factory=dict)
    error: str = ""

    @property
    def median(self):
        return statistics.median(self.seconds)

    @property
    def quartiles(self):
        """The first and the third: what else a machine does makes long tails."""
        if len(self.seconds) < 2:
            return self.median, self.median
        first, _, third = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return first, third


def race(entries, rounds, say=print, together=False):
    """Measures contenders by turns, `rounds` times each; the failure of one ends no other.

    Args:
        entries: dict of names to `(command, config)`, as of a `Contender`.
        rounds: int.
        say: function that is told of the progress. Defaults to `print`.
        together: bool. Whether all load at the same time. Defaults to `False`.

    Returns:
        dict of names to Result.
    """
    results, running = {name: Result() for name in entries}, {}
    try:
        if together:
            running = {name: Contender(*entry) for name, entry in entries.items()}
        for name, entry in entries.items():
            say(f"loading {name}")
            contender = running.get(name) or Contender(*entry)
            running[name] = contender
            try:
                contender.load()
            except ContenderError as error:
                _fail(results, name, error, say)
                running.pop(name).close()
                continue
            results[name].facts = running[name].facts
            results[name].loaded = running[name].facts.pop("loaded")
        for turn in range(1, rounds + 1):
            if not running:
                break
            say(f"round {turn} of {rounds}")
            for name in list(running):
                time.sleep(PAUSE)
                try:
                    seconds, peak = running[name].measure()
                except ContenderError as error:
                    _fail(results, name, error, say)
                    running.pop(name).close()
                    continue
                results[name].seconds.append(seconds)
                results[name].peak = peak
    finally:
        for contender in running.values():
            contender.close()
    return results


def _fail(results, name, error, say):
    results[name].error = str(error)
    say(f"{name}: {error}")
