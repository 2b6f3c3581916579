"""Downloads from a server on this machine: whole, once, continued, or one clear error."""

import contextlib
import hashlib
import http.server
import json
import os
import pathlib
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from smallbig_keras.weights import files
from smallbig_keras.weights.files import cache_folder, check_sha256, fetch, sha256
from smallbig_keras.weights.sources import WeightsError, WeightsNotFoundError

PACKAGE = pathlib.Path(files.__file__).parent

BODY = np.random.default_rng(0).bytes(300_000)
HALF = len(BODY) // 2
HASH = hashlib.sha256(BODY).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves one file; `script` holds what is done to the next requests, by default `"whole"`.

    `log` holds a dict for each request: its headers, the status and the bytes that were sent.
    """

    request_queue_size = 50

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.body, self.etag, self.modified = BODY, '"one"', "Sat, 01 Jan 2022 00:00:00 GMT"
        self.ranges = self.if_range = self.lengths = True
        self.script, self.log = [], []
        self.gate = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/weights.h5"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def handle_error(self, request, client_address):
        # A client that was killed, or that went away because it waited too long.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def close(self):
        self.gate.set()
        self.shutdown()
        self.server_close()

    def seen(self, header):
        return [entry["headers"].get(header) for entry in self.log]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        behaviour = server.script.pop(0) if server.script else "whole"
        self.entry = {"headers": dict(self.headers), "status": None, "sent": 0}
        server.log.append(self.entry)
        if behaviour == "silent":
            server.gate.wait(20)
        elif behaviour == "reset":
            self.close_connection = True
        elif behaviour == "redirect":
            self.answer(302, {"Location": "/elsewhere"}, b"")
        elif isinstance(behaviour, int):
            self.answer(behaviour, {"Content-Length": "3"}, b"bad")
        else:
            getattr(self, behaviour)(*self.selected())

    def selected(self):
        """The status, headers and bytes that the headers of the request ask for."""
        server = self.server
        headers = {"ETag": server.etag, "Last-Modified": server.modified}
        headers = {name: value for name, value in headers.items() if value}
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        if server.if_range and condition not in (None, server.etag, server.modified):
            wanted = None
        status, body = 200, server.body
        if wanted and server.ranges:
            start, end = int(wanted[1]), len(body)
            if start >= end:
                return 416, {"Content-Length": "0"}, b""
            status, body = 206, body[start:]
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{end}"
        if server.lengths:
            headers["Content-Length"] = str(len(body))
        return status, headers, body

    def answer(self, status, headers, body):
        self.entry["status"] = status
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.send(body)

    whole = answer

    def send(self, body):
        self.wfile.write(body)
        self.entry["sent"] += len(body)

    def cut(self, status, headers, body):
        self.answer(status, headers, body[:HALF])

    def hang(self, status, headers, body):
        """Half of it, then nothing until the test opens the gate, then the rest."""
        self.answer(status, headers, body[:HALF])
        self.server.gate.wait(20)
        self.send(body[HALF:])

    def chunked_cut(self, status, headers, body):
        del headers["Content-Length"]
        self.answer(status, headers | {"Transfer-Encoding": "chunked"}, b"")
        self.wfile.write(b"%x\r\n" % len(body))
        self.send(body[:HALF])

    def trickle(self, status, headers, body):
        self.answer(status, headers, b"")
        step = len(body) // 20
        for start in range(0, len(body), step):
            time.sleep(0.05)
            self.send(body[start : start + step])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with contextlib.closing(Server()) as server:
        yield server


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(files, "_BACKOFF", 0.01)
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "new" / "weights.h5"


def names(path):
    return sorted(p.name for p in path.parent.iterdir())


def part(path):
    return path.with_name("weights.h5.part")


def interrupt(server, path, **options):
    """Leaves the first half of the file, as an interrupted download does."""
    server.script[:] = ["cut"]
    with pytest.raises(WeightsError):
        fetch(server.url, path, attempts=1, **options)
    assert part(path).read_bytes() == BODY[:HALF]
    server.log.clear()


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / "smallbig_keras"
    monkeypatch.setenv("KERAS_HOME", "")
    assert cache_folder() == tmp_path / ".keras" / "smallbig_keras"
    monkeypatch.delenv("KERAS_HOME")
    assert cache_folder() == tmp_path / ".keras" / "smallbig_keras"
    assert list(tmp_path.iterdir()) == []


def test_sha256(tmp_path):
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    # The example of FIPS 180-2, appendix B.1.
    digits = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256(path) == digits
    for expected in (digits, digits[:8], digits[:9].upper()):
        check_sha256(path, expected)
    with pytest.raises(WeightsError) as error:
        check_sha256(path, "ba7816be")
    assert str(error.value) == f"{path} must have the SHA-256 ba7816be. Received: {digits}"
    for expected in ("", "ba7816b", "ba7816bg", digits + "0", None):
        with pytest.raises(WeightsError, match="64 hexadecimal digits.*Received: "):
            check_sha256(path, expected)


def test_fresh_then_cached_then_offline(server, path, capfd):
    assert fetch(server.url, str(path), HASH) == path
    assert path.read_bytes() == BODY
    assert names(path) == ["weights.h5", "weights.h5.lock"]
    assert server.seen("Range") == [None]
    out, err = capfd.readouterr()
    assert out == ""
    assert err == f"Downloaded {server.url} to {path}, 300,000 bytes\n"
    fetch(server.url, path, HASH[:8])
    fetch(server.url, path)
    assert len(server.log) == 1
    server.close()
    before = path.stat().st_mtime_ns
    assert fetch(server.url, path, HASH) == path
    assert path.stat().st_mtime_ns == before
    assert capfd.readouterr() == ("", "")


def test_without_hash_and_without_length(server, path):
    server.lengths = False
    assert fetch(server.url, path).read_bytes() == BODY


def test_redirect(server, path):
    server.script = ["redirect", "cut", "redirect"]
    assert fetch(server.url, path, HASH).read_bytes() == BODY
    assert server.seen("Range") == [None, None, f"bytes={HALF}-", f"bytes={HALF}-"]


def test_proxy_is_that_of_the_moment(server, path, monkeypatch):
    fetch(server.url, path, HASH)
    path.unlink()
    monkeypatch.delenv("no_proxy")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("http_proxy", server.url)
    assert fetch("http://weights.invalid/weights.h5", path, HASH).read_bytes() == BODY
    assert server.seen("Host")[1] == "weights.invalid"


def test_wrong_hash(server, path):
    with pytest.raises(WeightsError) as error:
        fetch(server.url, path, "0" * 64)
    message = str(error.value)
    assert server.url in message and "twice" in message and "0" * 64 in message
    assert message.endswith(f"Received: {HASH}")
    assert names(path) == ["weights.h5.lock"]
    assert server.seen("Range") == [None, None]


def test_wrong_hash_once(server, path):
    """What a proxy damaged is downloaded once more, from the first byte."""
    interrupt(server, path, sha256=HASH)
    part(path).write_bytes(bytes(HALF))
    fetch(server.url, path, HASH)
    assert path.read_bytes() == BODY
    assert server.seen("Range") == [f"bytes={HALF}-", None]


@pytest.mark.parametrize("digits", [HASH, None])
@pytest.mark.parametrize("cut", ["cut", "chunked_cut"])
def test_truncated_is_continued(server, path, digits, cut):
    server.script = [cut]
    assert fetch(server.url, path, digits).read_bytes() == BODY
    assert server.seen("Range") == [None, f"bytes={HALF}-"]
    assert server.seen("If-Range") == [None, '"one"']
    assert [e["sent"] for e in server.log] == [HALF, len(BODY) - HALF]
    assert [e["status"] for e in server.log] == [200, 206]


def test_always_truncated(server, path):
    server.ranges = False
    server.script = ["cut"] * 9
    with pytest.raises(WeightsError) as error:
        fetch(server.url, path, HASH, attempts=3)
    assert f"{server.url} could not be downloaded in 3 attempts" in str(error.value)
    assert str(error.value).endswith("Received: the connection ended after 150000 of 300000 bytes")
    assert len(server.log) == 3 and not path.exists()


def test_server_without_ranges(server, path):
    server.ranges = False
    server.script = ["cut"]
    assert fetch(server.url, path, HASH).read_bytes() == BODY
    assert [e["status"] for e in server.log] == [200, 200]


@pytest.mark.parametrize("heeds_if_range", [True, False])
@pytest.mark.parametrize("mark", ["etag", "modified"])
def test_changed_file_is_not_joined(server, path, mark, heeds_if_range):
    if mark == "modified":
        server.etag = None
    interrupt(server, path)
    server.body = BODY[::-1]
    setattr(server, mark, {"etag": '"two"', "modified": "Sun, 02 Jan 2022 00:00:00 GMT"}[mark])
    server.if_range = heeds_if_range
    assert fetch(server.url, path).read_bytes() == BODY[::-1]
    assert server.seen("Range") == [f"bytes={HALF}-"] + [None] * (not heeds_if_range)


def test_changed_length_is_not_joined(server, path):
    interrupt(server, path, sha256=HASH)
    server.body, server.if_range = BODY + b"more", False
    digits = hashlib.sha256(server.body).hexdigest()
    assert fetch(server.url, path, digits).read_bytes() == server.body
    assert server.seen("Range") == [f"bytes={HALF}-", None]


def test_shorter_file_answers_416(server, path):
    interrupt(server, path)
    server.body, server.if_range = BODY[:1000], False
    assert fetch(server.url, path).read_bytes() == BODY[:1000]
    assert [e["status"] for e in server.log] == [416, 200]


def test_weak_etag_is_compared_and_not_sent(server, path):
    server.etag, server.modified = 'W/"one"', None
    interrupt(server, path)
    server.etag = 'W/"two"'
    fetch(server.url, path)
    assert server.seen("Range") == [f"bytes={HALF}-", None]
    assert server.seen("If-Range") == [None, None]


@pytest.mark.parametrize("digits", [HASH, None])
def test_without_marks_only_a_hash_allows_to_continue(server, path, digits):
    server.etag = server.modified = None
    interrupt(server, path, sha256=digits)
    assert fetch(server.url, path, digits).read_bytes() == BODY
    assert server.seen("Range") == [f"bytes={HALF}-" if digits else None]


def test_part_of_another_url_and_damaged_note(server, path):
    interrupt(server, path)
    fetch(server.url + "?other", path)
    assert server.seen("Range") == [None]
    path.unlink()
    interrupt(server, path)
    note = path.with_name("weights.h5.part.json")
    assert json.loads(note.read_text())["length"] == len(BODY)
    note.write_text(note.read_text()[:20])
    assert fetch(server.url, path).read_bytes() == BODY
    assert server.seen("Range") == [None]


def test_complete_part_needs_no_request(server, path):
    """Killed between the last byte and the rename."""
    interrupt(server, path)
    part(path).write_bytes(BODY)
    assert fetch(server.url, path, HASH).read_bytes() == BODY
    assert server.log == []


@pytest.mark.parametrize("status", [403, 404, 410])
def test_not_found(server, path, status):
    server.script = [status]
    with pytest.raises(WeightsNotFoundError) as error:
        fetch(server.url, path, HASH)
    assert isinstance(error.value, FileNotFoundError)
    assert f"There are no weights at {server.url}." in str(error.value)
    assert f"Received: HTTP status {status} " in str(error.value)
    assert len(server.log) == 1 and not path.exists()


def test_other_refusals_are_not_repeated(server, path):
    server.script = [401]
    with pytest.raises(WeightsError, match="refuses http.*Received: HTTP status 401 Unauthorized"):
        fetch(server.url, path, HASH)
    assert len(server.log) == 1


def test_passing_failures(server, path):
    server.script = [500, 429, 408]
    assert fetch(server.url, path, HASH).read_bytes() == BODY
    assert len(server.log) == 4
    path.unlink()
    server.script = ["reset", 503, "reset"]
    assert fetch(server.url, path, HASH).read_bytes() == BODY


def test_always_500(server, path, monkeypatch):
    pauses = []
    monkeypatch.setattr(files, "_BACKOFF", 0.5)
    monkeypatch.setattr(time, "sleep", pauses.append)
    server.script = [500] * 9
    with pytest.raises(WeightsError) as error:
        fetch(server.url, path, HASH)
    assert f"{server.url} could not be downloaded in 4 attempts" in str(error.value)
    assert str(error.value).endswith("Received: HTTP status 500 Internal Server Error")
    assert len(server.log) == 4
    assert pauses == [0.5, 1, 2]


def test_nobody_answers(server, path, monkeypatch):
    server.close()
    with pytest.raises(WeightsError, match="in 2 attempts.*Received: ConnectionRefusedError"):
        fetch(server.url, path, HASH, attempts=2)

    def unknown_name(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown_name)
    with pytest.raises(WeightsError, match="in 1 attempts.*Received: gaierror"):
        fetch("http://weights.invalid/weights.h5", path, HASH, attempts=1)


def test_slow_server(server, path):
    """Steady bytes, in total for longer than the time limit, are no failure."""
    server.script = ["trickle"]
    start = time.monotonic()
    assert fetch(server.url, path, HASH, timeout=0.7, attempts=1).read_bytes() == BODY
    assert time.monotonic() - start > 0.7


def test_server_that_hangs(server, path):
    server.script = ["silent", "hang"]
    assert fetch(server.url, path, HASH, timeout=0.4).read_bytes() == BODY
    assert server.seen("Range") == [None, None, f"bytes={HALF}-"]
    path.unlink()
    server.script = ["silent", "silent"]
    with pytest.raises(WeightsError, match="in 2 attempts.*Received: TimeoutError: timed out"):
        fetch(server.url, path, HASH, timeout=0.2, attempts=2)


# Without the packages around the module, which import Keras and take seconds.
FOLDERS = {"smallbig_keras": str(PACKAGE.parent), "smallbig_keras.weights": str(PACKAGE)}
SCRIPT = f"""
import sys, types
for name, folder in {FOLDERS}.items():
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [folder]
from smallbig_keras.weights import files
print(files.fetch(*sys.argv[1:]))
assert not {{"keras", "tensorflow"}} & set(sys.modules)
"""


@contextlib.contextmanager
def process(*arguments):
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SCRIPT, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def wait_for(condition, seconds=15):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_killed_process_is_continued_by_another(server, path):
    server.script = ["hang"]
    with process(server.url, path, HASH) as killed:
        wait_for(lambda: part(path).exists() and part(path).stat().st_size > HALF // 2)
        killed.send_signal(signal.SIGKILL)
        assert killed.wait(10) == -signal.SIGKILL
    size = part(path).stat().st_size
    assert part(path).read_bytes() == BODY[:size] and not path.exists()
    with process(server.url, path, HASH) as other:
        out, err = other.communicate(timeout=20)
    assert (out, other.returncode) == (f"{path}\n", 0), err
    # The lock of the killed process stopped nobody.
    assert "Waiting" not in err
    assert path.read_bytes() == BODY
    assert server.seen("Range") == [None, f"bytes={size}-"]
    assert server.log[1]["sent"] == len(BODY) - size


def test_four_processes_download_once(server, path):
    server.script = ["hang"]
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(process(server.url, path, HASH)) for _ in range(4)]
        lines = {p: [] for p in running}
        readers = [threading.Thread(target=lambda p=p: lines[p].extend(p.stderr)) for p in running]
        for reader in readers:
            reader.start()
        said = f"Waiting for another process that holds {path}.lock\n"
        wait_for(lambda: sum(said in text for text in lines.values()) == 3)
        server.gate.set()
        for p in running:
            assert p.wait(20) == 0, lines
            assert p.stdout.read() == f"{path}\n"
        for reader in readers:
            reader.join()
    texts = sorted(text[0].split()[0] for text in lines.values())
    assert texts == ["Downloaded", "Waiting", "Waiting", "Waiting"]
    assert all(len(text) == 1 for text in lines.values())
    assert [(e["status"], e["sent"]) for e in server.log] == [(200, len(BODY))]
    assert path.read_bytes() == BODY


def test_local_files(tmp_path, path):
    source = tmp_path / "with space.h5"
    source.write_bytes(BODY)
    for url in (source, str(source), source.as_uri()):
        assert fetch(url, path, HASH).read_bytes() == BODY
        assert names(path) == ["weights.h5", "weights.h5.lock"]
        path.unlink()
    assert source.read_bytes() == BODY
    source.unlink()
    for url in (str(source), source.as_uri(), tmp_path):
        with pytest.raises(WeightsNotFoundError) as error:
            fetch(url, path)
        assert str(error.value).endswith(f"Received: {url}")


def test_file_with_another_hash_is_replaced(server, path):
    path.parent.mkdir()
    path.write_bytes(b"bad")
    assert fetch(server.url, path, HASH).read_bytes() == BODY


@pytest.mark.parametrize("failure, kind", [(404, WeightsNotFoundError), (500, WeightsError)])
def test_file_with_another_hash_is_not_used(server, path, failure, kind):
    path.parent.mkdir()
    path.write_bytes(b"bad")
    server.script = [failure] * 9
    with pytest.raises(kind) as error:
        fetch(server.url, path, HASH)
    message = str(error.value)
    assert message.startswith(f"{path} is there without the SHA-256 {HASH} and is not used")
    assert server.url in message and f"Received: HTTP status {failure}" in message
    assert path.read_bytes() == b"bad"


def test_invalid_arguments(server, path, tmp_path):
    for url in ("ftp://host/weights.h5", "s3://bucket/weights.h5"):
        with pytest.raises(WeightsError, match=f"must begin with http:.*Received: {url}"):
            fetch(url, path)
    for url in ("http://host:port/", "http://127.0.0.1/a b", "http://127.0.0.1/\u00e9"):
        with pytest.raises(WeightsError, match=f"can be sent.*Received: {url}"):
            fetch(url, path)
    for options in ({"timeout": 0}, {"timeout": -1}, {"attempts": 0}):
        with pytest.raises(WeightsError, match="must be positive.*Received: "):
            fetch(server.url, path, **options)
    with pytest.raises(WeightsError, match="64 hexadecimal digits.*Received: 'abc'"):
        fetch(server.url, path, "abc")
    with pytest.raises(WeightsError, match=f"free for one. Received: {tmp_path}"):
        fetch(server.url, tmp_path)
    assert server.log == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux")
def test_full_disk(server, path):
    path.parent.mkdir()
    part(path).symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device.*Received: ") as error:
        fetch(server.url, path, HASH)
    assert error.value.filename == str(part(path))
    assert len(server.log) == 1 and not path.exists()


def test_folder_that_cannot_be_made(server, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    path = tmp_path / "file" / "weights.h5"
    with pytest.raises(OSError, match="Received: ") as error:
        fetch(server.url, path, HASH)
    assert error.value.filename == str(path)
    assert server.log == []


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


def test_files_through_tensorflow(path, monkeypatch):
    """What reads gs://, on the file system in memory that TensorFlow has."""
    import tensorflow as tf

    monkeypatch.setitem(files.SOURCES, "ram", files.SOURCES["gs"])
    url = "ram://test_files/weights.h5"
    with tf.io.gfile.GFile(url, "wb") as file:
        file.write(BODY)
    assert fetch(url, path, HASH).read_bytes() == BODY
    path.unlink()

    part(path).write_bytes(BODY[:HALF])
    note = {"url": url, "length": len(BODY), "marks": {"mtime_nsec": 0}}
    files._note(part(path)).write_text(json.dumps(note))
    start = files._left_over(url, part(path), True)
    with files.SOURCES["gs"](url, start, 1) as transfer:
        assert transfer.start == HALF
    assert fetch(url, path, HASH).read_bytes() == BODY

    with pytest.raises(WeightsNotFoundError, match="no weights at ram://.*Received: "):
        fetch("ram://test_files/absent.h5", pathlib.Path(f"{path}2"))
