"""The folder of a run: one process writes it, and a disk that fails ends in one message."""

import os
import pathlib
import subprocess
import sys
import textwrap
import threading
import time
import warnings

import keras
import pytest

from smallbig_keras import files, runs
from smallbig_keras.cli import main
from smallbig_keras.errors import ResourceError, SmallBigError
from smallbig_keras.training import loop, run_folder
from smallbig_keras.training.resolution import resolve
from tests.data.miniatures import MINIATURES

SMALL = [
    *("--model", "SmallBigSlowOnlyR50", "--options", '{"blocks": [1, 1, 1, 1], "width": 8}'),
    *("--weights", "none", "--frames", "4", "--size", "32", "--short-side", "36", "45"),
    *("--test-short-side", "36", "--batch-size", "4"),
]


@pytest.fixture(scope="module")
def flags(tmp_path_factory):
    root = MINIATURES["folder"](tmp_path_factory.mktemp("data") / "folder")
    return ["fit", "--dataset", "folder", "--data-root", str(root), *SMALL]


def smallbig(words, before="", **options):
    """Runs a command in a process of its own, after some lines of Python."""
    code = textwrap.dedent(before) + "\nfrom smallbig_keras.cli import console\nconsole()"
    command = [sys.executable, "-c", code, *words]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def full_disk(limit):
    """No file may grow beyond so many bytes, as if the disk were full."""
    return f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"


def test_two_processes_with_one_output(flags, tmp_path, capsys):
    output = tmp_path / "run"
    first = smallbig([*flags, "--output", str(output), "--epochs", "30"])
    try:
        deadline = time.monotonic() + 120
        while not (output / runs.CONFIG).exists():
            assert first.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        for words in ([*flags, "--output", str(output)], ["fit", "--resume", str(output)]):
            with pytest.raises(SystemExit, match="Another process is writing this folder") as end:
                main(words)
            assert end.value.code == 2
            assert len(capsys.readouterr().err.splitlines()) == 1
    finally:
        first.kill()
        first.communicate()
    # The lock of a killed process is free.
    with files.folder_lock(output):
        pass


def test_default_folders_differ(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = resolve({"dataset": "csv", "recipe": "paper"})
    made = []
    threads = [
        threading.Thread(target=lambda: made.append(run_folder._free_folder(options)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 8 and all(path.is_dir() for path in made)


@pytest.mark.parametrize("place", ["file/run", "/proc/run", "/dev/null"])
def test_output_that_cannot_be_made(place, flags, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    output = tmp_path / place
    with pytest.raises(SystemExit) as end:
        main([*flags, "--output", str(output)])
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot be written" in line and str(output) in line
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_nothing_is_left_of_a_run_that_could_not_begin(tmp_path, monkeypatch):
    output = tmp_path / "new" / "run"
    with pytest.raises(SystemExit, match="expected in this layout"):
        main(["fit", "--dataset", "folder", "--data-root", "nowhere", "--output", str(output)])
    assert not output.exists()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="expected in this layout"):
        main(["fit", "--dataset", "csv", "--data-root", str(tmp_path)])
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())
    output.mkdir(parents=True)
    (output / "notes.txt").write_text("mine")
    with pytest.raises(SystemExit):
        main(["fit", "--dataset", "folder", "--data-root", "nowhere", "--output", str(output)])
    assert [path.name for path in output.iterdir()] == ["notes.txt"]


def test_full_disk_keeps_the_last_good_checkpoint(flags, tmp_path):
    """The disk is full at a checkpoint, at the start of a resume and then not any more."""
    output = tmp_path / "run"
    begin = [*flags, "--output", str(output), "--epochs", "2"]
    process = smallbig(begin, full_disk(300_000))
    _, printed = process.communicate(timeout=300)
    assert process.returncode == 1, printed
    error, hint = printed.splitlines()[-2:]
    assert "model.weights.h5 could not be written: File too large." in error, printed
    assert hint.endswith(f"resume with: smallbig fit --resume {output}")
    assert "Traceback" not in printed
    assert not list(output.glob(".writing-*")) and (output / runs.CONFIG).exists()

    for limit, reason in ((0, "temporary folder"), (5, "File too large")):
        process = smallbig(["fit", "--resume", str(output)], full_disk(limit))
        _, printed = process.communicate(timeout=300)
        assert process.returncode == 1 and "Traceback" not in printed, printed
        assert reason in printed

    process = smallbig(["fit", "--resume", str(output)])
    _, printed = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    assert [row["epoch"] for row in runs.read_log(output)] == [1, 2]
    assert not list(output.glob(".*"))


def test_interrupted_training_names_the_command(flags, tmp_path, monkeypatch, capsys):
    output = tmp_path / "run"

    def interrupt(self, epoch, logs=None):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop.RunRecorder, "on_epoch_end", interrupt)
    before = list(warnings.filters), keras.config.dtype_policy()
    with pytest.raises(SystemExit) as end:
        main([*flags, "--output", str(output), "--epochs", "1", "--dtype", "mixed_bfloat16"])
    assert end.value.code == 130
    assert (list(warnings.filters), keras.config.dtype_policy()) == before
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"Interrupted. Resume with: smallbig fit --resume {output}"


def test_replaced_file_is_whole_or_the_old_one(tmp_path):
    file = tmp_path / "file"
    file.write_text("old")

    def write(path):
        path.write_text("half")
        raise OSError(28, os.strerror(28))

    with pytest.raises(ResourceError, match="file could not be written: No space left on device"):
        files.replace_file(file, write)
    assert file.read_text() == "old" and [path.name for path in tmp_path.iterdir()] == ["file"]

    def interrupted(path):
        path.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.replace_file(file, interrupted)
    assert file.read_text() == "old" and [path.name for path in tmp_path.iterdir()] == ["file"]


def test_disk_errors_in_the_words_of_libraries():
    """HDF5 and TensorFlow raise exceptions of their own."""
    error = RuntimeError("Can't write data (errno = 28, 'No space left on device')")
    assert files.disk_error(error) == "No space left on device"
    assert files.disk_error(RuntimeError("wrong shape")) is None
    assert files.disk_error(FileNotFoundError(2, "No such file")) is None


def test_one_folder_one_lock(tmp_path):
    with files.folder_lock(tmp_path):
        with pytest.raises(SmallBigError, match="Another process"), files.folder_lock(tmp_path):
            pass
    assert not list(pathlib.Path(tmp_path).iterdir())
