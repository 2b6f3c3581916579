"""The process and its machine, also one that lacks the names of Unix."""

import os
import subprocess
import sys
import textwrap

import pytest

from smallbig_keras import machine

# Windows lacks these names.
WITHOUT = """
    import ctypes, os, sys
    sys.modules["resource"] = None
    for name in ("sched_getaffinity", "sched_setaffinity"):
        delattr(os, name)
    library = ctypes.CDLL

    class Windows(library):
        def __init__(self, name, *args, **kwargs):
            if name is None:
                raise TypeError("LoadLibrary() argument 1 must be str, not None")
            super().__init__(name, *args, **kwargs)

    ctypes.CDLL = Windows
"""


def run(code):
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_every_module_imports_without_the_names_of_unix():
    assert "imported" in run(
        WITHOUT
        + """
    import importlib, pkgutil
    from smallbig_keras import machine
    machine.set_environment()
    machine.quiet_tensorflow()
    import smallbig_keras
    for info in pkgutil.walk_packages(smallbig_keras.__path__, "smallbig_keras."):
        importlib.import_module(info.name)
    assert machine.c_library() is None and machine.num_processors() >= 1
    print("imported")
    """
    )


def test_peak_memory_without_resource(monkeypatch):
    class Process:
        def memory_info(self):
            return type("Info", (), {"peak_wset": 123})()

    monkeypatch.setitem(sys.modules, "resource", None)
    monkeypatch.setitem(sys.modules, "psutil", type("psutil", (), {"Process": Process}))
    assert machine.peak_memory(proc="nowhere") == 123


def test_peak_memory():
    assert 10e6 < machine.peak_memory() < 100e9
    assert 10e6 < machine.peak_memory(proc="nowhere") < 100e9


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="of Linux")
def test_the_memory_of_the_process_that_started_it_does_not_count():
    run(
        """
        import subprocess, sys

        held = b"1" * 400_000_000
        code = "from smallbig_keras.machine import peak_memory; print(peak_memory())"
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert 5e6 < int(found.stdout) < 300e6, found
        """
    )


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="of Linux")
def test_processors_that_the_process_may_use():
    """Not those of the machine: a container or a batch system gives a part of them."""
    code = """
        import os
        from smallbig_keras import machine
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        print(machine.num_processors())
    """
    assert run(code) == "1\n"


MEMINFO = "MemTotal: 8000 kB\nMemFree: 100 kB\nMemAvailable: 4000 kB\n"


def write_files(folder, files):
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.mark.parametrize(
    "groups, files, expected",
    [
        # No group, and one without a limit.
        ("", {}, 4000 * 1024),
        ("0::/job\n", {"job/memory.max": "max\n", "job/memory.current": "7\n"}, 4000 * 1024),
        # Version 2, with the limit two groups above; files that were read are given back.
        (
            "0::/batch/job/step\n",
            {
                "batch/memory.max": "1000000\n",
                "batch/memory.current": "700000\n",
                "batch/memory.stat": "anon 600000\ninactive_file 50000\n",
            },
            350_000,
        ),
        # Version 1, in a container that sees its group as the root.
        (
            "5:cpu:/docker/1\n4:memory:/docker/1\n",
            {
                "memory/memory.limit_in_bytes": "1000000\n",
                "memory/memory.usage_in_bytes": "700000\n",
                "memory/memory.stat": "inactive_file 1\ntotal_inactive_file 20000\n",
            },
            320_000,
        ),
        # Beyond the limit.
        (
            "0::/\n",
            {"memory.max": "10\n", "memory.current": "20\n", "memory.stat": "inactive_file 0\n"},
            0,
        ),
    ],
)
def test_available_memory(groups, files, expected, tmp_path):
    write_files(tmp_path / "proc", {"meminfo": MEMINFO, "self/cgroup": groups})
    write_files(tmp_path / "cgroup", files)
    assert machine.available_memory(tmp_path / "proc", tmp_path / "cgroup") == expected


def test_available_memory_of_other_systems(tmp_path, monkeypatch):
    memory = type("Memory", (), {"available": 123})
    psutil = type("psutil", (), {"virtual_memory": staticmethod(lambda: memory)})
    monkeypatch.setitem(sys.modules, "psutil", psutil)
    assert machine.available_memory(tmp_path) == 123
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert machine.available_memory(tmp_path) is None
