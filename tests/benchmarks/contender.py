"""A contender of the tests: sleeps, fails or dies as its configuration says."""

import os
import signal
import time

from benchmarks.turns import serve


def make(config):
    calls = []

    def function():
        calls.append(bytearray(config.get("bytes", 0)))
        with open(config["log"], "a") as log:
            log.write(f"{config['name']}\n")
        time.sleep(config.get("seconds", 0))
        if len(calls) > config.get("dies_after", 1000):
            os.kill(os.getpid(), signal.SIGKILL)
        if len(calls) > config.get("fails_after", 1000):
            raise ValueError("no more of it\nand why")

    if "package" in config:
        __import__(config["package"])
    print("a library says hello")
    facts = {"versions": {"contender": config["name"]}}
    if config.get("is_device"):
        # As a device has them: its memory, a wait for what it computes, and its kernels.
        facts["memory"] = lambda: (1, 2)
        facts["wait"] = lambda result: time.sleep(config["waits"])
        facts["profile"] = lambda function: {"kernel": 0.5}
    return function, facts


if __name__ == "__main__":
    serve(make)
