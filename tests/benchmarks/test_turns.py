"""Contenders are measured by turns, each in a process of its own, and fail alone."""

import sys

import pytest

from benchmarks.turns import WARMUPS, race

COMMAND = [sys.executable, "-m", "tests.benchmarks.contender"]


@pytest.fixture
def run(tmp_path):
    """Races contenders of names to configurations; returns results, and who was called."""

    def run(rounds, **configs):
        log = tmp_path / "log"
        entries = {n: (COMMAND, {"name": n, "log": str(log), **c}) for n, c in configs.items()}
        return race(entries, rounds, lambda text: None), log.read_text().split()

    return run


def test_turns_follow_the_warm_ups(run):
    results, calls = run(3, one={"seconds": 0.01}, other={"seconds": 0.05})
    assert calls == ["one"] * WARMUPS + ["other"] * WARMUPS + ["one", "other"] * 3
    one, other = results["one"], results["other"]
    assert len(one.seconds) == len(other.seconds) == 3
    assert 0.01 <= one.median < 0.05 <= other.median
    assert one.facts == {"versions": {"contender": "one"}}
    assert not one.error


def test_memory_is_that_of_each(run):
    results, _ = run(2, small={}, large={"bytes": 50_000_000})
    small, large = results["small"], results["large"]
    assert large.peak - small.peak > 150e6
    assert abs(large.loaded - small.loaded) < 20e6


def test_failures_are_told_and_end_no_other(run):
    results, calls = run(
        2,
        missing={"package": "no_such_package"},
        fails={"fails_after": WARMUPS + 1},
        dies={"dies_after": WARMUPS},
        dies_early={"dies_after": 0},
        good={},
    )
    errors = {name: result.error for name, result in results.items()}
    assert errors["missing"] == "ModuleNotFoundError: No module named 'no_such_package'"
    assert errors["fails"] == "ValueError: no more of it"
    assert errors["dies"].startswith("was ended by signal 9")
    assert errors["dies_early"].startswith("was ended by signal 9")
    assert not errors["good"] and len(results["good"].seconds) == 2
    assert "missing" not in calls


def test_a_device_is_waited_for_once_and_tells_of_itself(run):
    results, calls = run(2, device={"is_device": True, "waits": 0.2, "calls": 4, "kernels": True})
    device = results["device"]
    assert calls == ["device"] * (WARMUPS + 2 * 4)
    assert 0.05 <= device.median < 0.1
    assert (device.loaded, device.peak) == (1, 2)
    assert device.facts == {"versions": {"contender": "device"}, "kernels": {"kernel": 0.5}}


def test_all_may_load_together(tmp_path):
    log = str(tmp_path / "log")
    entries = {n: (COMMAND, {"name": n, "log": log, "seconds": 0.2}) for n in ("one", "other")}
    bad = (COMMAND, {"name": "bad", "log": log, "package": "no_such_package"})
    results = race({**entries, "bad": bad}, 1, lambda text: None, together=True)
    assert results["bad"].error and not results["one"].error and results["other"].seconds
