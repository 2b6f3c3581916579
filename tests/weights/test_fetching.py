"""Downloads from a server on this machine: whole, once, resumed, or one clear error."""

import contextlib
import hashlib
import json
import os
import pty
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from smallbig_keras.weights import DownloadError, WeightsError, WeightsNotFoundError, fetching
from smallbig_keras.weights.fetching import cache_folder, check_sha256, fetch
from tests.weights.server import Server

BODY = np.random.default_rng(0).bytes(300_000)
HALF = len(BODY) // 2
HASH = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def server():
    with contextlib.closing(Server(BODY)) as server:
        yield server


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(fetching, "_BACKOFF", 0.01)
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "weights.h5"


def part(path):
    return path.with_name("weights.h5.part")


def names(path):
    return sorted(file.name for file in path.parent.iterdir())


def interrupt(server, path, sha256=HASH):
    """Leaves the first half of the file, as an interrupted download does."""
    server.script[:] = ["cut", 401]
    with pytest.raises(DownloadError, match="refuses http.*Received: HTTP status 401 Unauth"):
        fetch(server.url, path, sha256)
    assert part(path).read_bytes() == BODY[:HALF] and not path.exists()
    server.log.clear()


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for home, expected in (("", ".keras"), (str(tmp_path / "home"), "home")):
        monkeypatch.setenv("KERAS_HOME", home)
        assert cache_folder() == tmp_path / expected / "smallbig_keras"
    assert not any(tmp_path.iterdir())


def test_sha256(tmp_path):
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    # The example of FIPS 180-2, appendix B.1.
    digits = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    for expected in (digits, digits[:8], digits[:9].upper()):
        check_sha256(path, expected)
    with pytest.raises(WeightsError, match=f"{path} is .*must be ba7816be. Received: {digits}"):
        check_sha256(path, "ba7816be")
    for expected in ("", "ba7816b", "ba7816bg", digits + "0", None):
        with pytest.raises(WeightsError, match=f"{path} must be 64 hexadecimal.*Received: "):
            check_sha256(path, expected)


def test_once_then_without_a_network(server, path, capfd):
    server.script, server.length = [302], False
    assert fetch(server.url, str(path), HASH) == path
    assert path.read_bytes() == BODY and names(path) == ["weights.h5", "weights.h5.lock"]
    assert capfd.readouterr() == ("", f"Downloaded {server.url} to {path}, 300,000 bytes\n")
    server.close()
    for digits in (HASH, HASH[:8], None):
        fetch(server.url, path, digits)
    assert len(server.log) == 2 and capfd.readouterr() == ("", "")


def test_proxy(server, path, monkeypatch):
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("http_proxy", server.url)
    assert fetch("http://weights.invalid/weights.h5", path).read_bytes() == BODY
    assert server.log[0]["Host"] == "weights.invalid"


def test_wrong_hash(server, path, capfd):
    """Damaged bytes are downloaded once more; a wrong file twice is an error."""
    interrupt(server, path)
    part(path).write_bytes(bytes(HALF))
    assert fetch(server.url, path, HASH).read_bytes() == BODY
    assert server.asked() == [f"bytes={HALF}-", None]
    with pytest.raises(DownloadError) as error:
        fetch(server.url, path, "0" * 64)
    assert f"{server.url} gave a wrong file, twice: {part(path)}" in str(error.value)
    assert str(error.value).endswith(f"must be {'0' * 64}. Received: {HASH}")
    assert isinstance(error.value, OSError) and error.value.exit_code == 1
    # The file that was there is named, is not used, and stays.
    assert f"{path} has another SHA-256" in capfd.readouterr().err
    assert path.read_bytes() == BODY and names(path) == ["weights.h5", "weights.h5.lock"]
    path.write_bytes(b"of another run")
    assert fetch(server.url, path, HASH).read_bytes() == BODY


@pytest.mark.parametrize("digits", [HASH, None])
@pytest.mark.parametrize("etag", ['"one"', 'W/"one"', None])
def test_interruption_is_resumed(server, path, digits, etag):
    server.etag = etag
    interrupt(server, path, digits)
    assert fetch(server.url, path, digits).read_bytes() == BODY
    # Without a version only a hash can tell that both halves are of one file.
    assert server.asked() == [f"bytes={HALF}-" if digits or etag else None]


def test_failing_server(server, path):
    server.script = ["cut", "reset", 500, 429]
    with pytest.raises(DownloadError) as error:
        fetch(server.url, path, HASH)
    assert f"{server.url} could not be downloaded in 4 attempts." in str(error.value)
    assert "Received: HTTP status 429" in str(error.value) and str(part(path)) in str(error.value)
    assert fetch(server.url, path, HASH).read_bytes() == BODY
    assert server.asked() == [None, *[f"bytes={HALF}-"] * 4]
    path.unlink()
    server.ranges, server.script = False, ["cut", 408]
    assert fetch(server.url, path, HASH).read_bytes() == BODY
    path.unlink()
    server.close()
    with pytest.raises(DownloadError, match="in 4 attempts.*Received: .*Connection refused"):
        fetch(server.url, path, HASH)


@pytest.mark.parametrize(
    "body, etag", [(BODY[::-1], '"two"'), (BODY + b"more", '"one"'), (BODY[:1000], '"two"')]
)
def test_changed_file_is_not_joined(server, path, body, etag):
    """Another version, another length, and an end before the half that is there."""
    interrupt(server, path, None)
    server.body, server.etag = body, etag
    assert fetch(server.url, path).read_bytes() == body
    assert server.asked() == [f"bytes={HALF}-", None]


@pytest.mark.parametrize("note", ["{", "[]", "{}", '{"url": "http://other"}'])
def test_part_without_its_note(server, path, note):
    interrupt(server, path)
    part(path).with_name("weights.h5.part.note").write_text(note)
    assert fetch(server.url, path, HASH).read_bytes() == BODY
    assert server.asked() == [None]


def test_complete_part_needs_no_request(server, path):
    """Killed between the last byte and the rename."""
    interrupt(server, path)
    part(path).write_bytes(BODY)
    assert fetch(server.url, path, HASH).read_bytes() == BODY
    assert server.log == [] and names(path) == ["weights.h5", "weights.h5.lock"]


@pytest.mark.parametrize("status", [403, 404])
def test_not_found(server, path, status):
    server.script = [status]
    message = f"no weights at {server.url}.*Received: HTTP status {status}"
    with pytest.raises(WeightsNotFoundError, match=message):
        fetch(server.url, path, HASH)
    assert len(server.log) == 1 and names(path) == ["weights.h5.lock"]


def test_slow_is_not_silent(server, path, monkeypatch):
    """Steady bytes may take longer than the time limit; silence may not."""
    monkeypatch.setattr(fetching, "_TIMEOUT", 0.3)
    server.script = ["slow"]
    start = time.monotonic()
    assert fetch(server.url, path, HASH).read_bytes() == BODY
    assert time.monotonic() - start > 0.8 and len(server.log) == 1
    path.unlink()
    server.script = ["silent", "hang"]
    assert fetch(server.url, path, HASH).read_bytes() == BODY
    path.unlink()
    server.script = ["silent"] * 4
    with pytest.raises(DownloadError, match="Received: .*[Tt]imed out"):
        fetch(server.url, path, HASH)


@contextlib.contextmanager
def process(*arguments):
    script = """if True:
        import sys
        from smallbig_keras.weights.fetching import fetch
        print(fetch(*sys.argv[1:]))
        assert not {"keras", "tensorflow"} & set(sys.modules)
    """
    command = [sys.executable, "-W", "error", "-c", script, *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as running:
        try:
            yield running
        finally:
            running.kill()


def wait_for_part(path):
    end = time.monotonic() + 15
    while not (part(path).exists() and part(path).stat().st_size > HALF // 2):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_killed_process_is_resumed_by_another(server, path):
    server.script = ["hang"]
    with process(server.url, path, HASH) as killed:
        wait_for_part(path)
        killed.kill()
        assert killed.wait(10) == -signal.SIGKILL
    size = part(path).stat().st_size
    assert part(path).read_bytes() == BODY[:size] and not path.exists()
    with process(server.url, path, HASH) as other:
        out, err = other.communicate(timeout=20)
    # The lock of the killed process stops nobody.
    assert (out, other.returncode) == (f"{path}\n", 0) and "Waiting" not in err, err
    assert path.read_bytes() == BODY
    assert server.asked() == [None, f"bytes={size}-"]


def test_of_two_processes_one_downloads(server, path):
    server.script = ["hang"]
    with process(server.url, path, HASH) as one:
        wait_for_part(path)
        with process(server.url, path, HASH) as other:
            said = f"Waiting for another process that holds {path}.lock\n"
            assert other.stderr.readline() == said
            server.gate.set()
            for running in (one, other):
                assert running.wait(20) == 0 and running.stdout.read() == f"{path}\n"
            assert other.stderr.read() == ""
            assert one.stderr.read().startswith("Downloaded")
    assert server.asked() == [None] and path.read_bytes() == BODY


def test_local_files(tmp_path, path):
    source = tmp_path / "with space.h5"
    source.write_bytes(BODY)
    for url in (source, source.as_uri()):
        assert fetch(url, path, HASH).read_bytes() == BODY
        assert names(path) == ["weights.h5", "weights.h5.lock"]
        path.unlink()
    source.unlink()
    for url in (source, source.as_uri(), tmp_path):
        with pytest.raises(WeightsNotFoundError, match="no weights at /.*Received: "):
            fetch(url, path)


def test_buckets(path, monkeypatch):
    """TensorFlow's file system in memory stands for gs://."""
    import tensorflow as tf

    monkeypatch.setattr(fetching, "_SCHEMES", ("ram",))
    url = "ram://test_fetching/weights.h5"
    with tf.io.gfile.GFile(url, "wb") as file:
        file.write(BODY)
    with contextlib.closing(fetching._gfile(url, 0, {})) as stopped:
        note = next(stopped)[1]
        path.parent.mkdir()
        part(path).write_bytes(next(stopped))
        fetching._note(part(path)).write_text(json.dumps({**note, "url": url}))
    size = part(path).stat().st_size
    assert 0 < size < len(BODY) and next(fetching._gfile(url, size, note))[0] == size
    assert fetch(url, path, HASH).read_bytes() == BODY
    with pytest.raises(WeightsNotFoundError, match="no weights at ram://.*Received: "):
        fetch("ram://test_fetching/absent.h5", path.with_name("absent.h5"))


def test_invalid_arguments(server, path):
    with pytest.raises(WeightsError, match="64 hexadecimal digits.*Received: 'abc'"):
        fetch(server.url, path, "abc")
    assert server.log == []
    for url in ("ftp://host/weights.h5", "s3://bucket/weights.h5"):
        with pytest.raises(WeightsError, match=f"must begin with http:.*Received: {url}"):
            fetch(url, path)
    with pytest.raises(WeightsError, match="must be valid.*Received: http://host:port/"):
        fetch("http://host:port/", path)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux")
def test_disk_that_cannot_be_written(server, path):
    message = f"{path} could not be written. Received: .*\n.*set KERAS_HOME"
    path.parent.mkdir()
    part(path).symlink_to("/dev/full")
    with pytest.raises(DownloadError, match=message) as error:
        fetch(server.url, path, HASH)
    assert error.value.exit_code == 1 and len(server.log) == 1 and not path.exists()
    with pytest.raises(DownloadError, match=f"{path}.*/x could not be written"):
        fetch(server.url, path.with_name("weights.h5.lock") / "x", HASH)


def test_progress_bar_on_a_terminal(server, path, monkeypatch, capfd):
    ours, theirs = pty.openpty()
    with open(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        server.script = ["cut"]
        fetch(server.url, path, HASH)
        terminal.flush()
        shown = os.read(ours, 100_000).decode()
        monkeypatch.undo()
    os.close(ours)
    assert shown.count(f"Downloading {server.url}") == 2
    assert "150/300" in shown and "300/300" in shown
    assert capfd.readouterr() == ("", "")
