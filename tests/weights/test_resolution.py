"""From names to files: folders that hold other files, and processes that ask at once."""

import dataclasses
import hashlib
import threading

import numpy as np
import pytest

from smallbig_keras.weights import DownloadError, fetching, list_weights, resolution
from smallbig_keras.weights.records import builtin_records, write_record
from tests.weights.torch_writer import write_torch

FILE = "resnet50-19c8e357.pth"


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """A cache of the test's own, and no folders of the user's."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SMALLBIG_WEIGHTS", raising=False)
    monkeypatch.delenv("SMALLBIG_WEIGHTS_URL", raising=False)
    folder = tmp_path / "home" / "smallbig_keras"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def imagenet(monkeypatch, tmp_path, trust):
    """A mirror with a small file in place of torchvision's, whose digest the record has."""
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    file = write_torch(mirror / FILE, {"fc.bias": np.arange(3, dtype="float32")})
    trust(file)
    monkeypatch.setenv("SMALLBIG_WEIGHTS_URL", mirror.as_uri())
    return file


def names(folder):
    return sorted(file.name for file in folder.iterdir() if file.suffix != ".lock")


@pytest.mark.parametrize("name", ["SmallBigR50-k400.json", "SmallBigR50-k400.weights.h5"])
def test_interrupted_download_breaks_no_list(name, cache, monkeypatch):
    def cut(url, start, note):
        yield 0, {"length": 1000, "version": ["one"]}
        yield bytes(500)
        raise fetching._Failed("the connection ended")

    expected = list_weights()
    monkeypatch.setattr(fetching, "_gfile", cut)
    monkeypatch.setattr(fetching, "_BACKOFF", 0)
    with pytest.raises(DownloadError, match="the connection ended"):
        fetching.fetch(f"file:///mirror/{name}", cache / name)
    assert names(cache) == [f"{name}.part", f"{name}.part.note"]
    assert list_weights() == list_weights(cache) == expected


@pytest.mark.parametrize(
    "text",
    ['{"url": "http://x", "length": 3, "version": [null]}', "[]", "3", "null", "{", "", "<html>"],
)
@pytest.mark.parametrize("name", ["package.json", "SmallBigR50-k400.weights.h5.part.json"])
def test_other_json_breaks_no_list(name, text, cache):
    expected = list_weights()
    (cache / name).write_text(text)
    assert list_weights() == list_weights(cache) == expected


def test_two_processes_share_a_download(imagenet, cache, monkeypatch):
    """The second one comes between download and conversion; it gets the converted file."""
    convert, fetch = resolution.convert, fetching.fetch
    found, fetched = [], []

    def find():
        found.append(resolution.find_weights("imagenet", "C2DR50"))

    other = threading.Thread(target=find)

    def interrupted(source, target):
        other.start()
        # The second one has come as far as it can.
        other.join(1)
        convert(source, target)

    monkeypatch.setattr(resolution, "convert", interrupted)
    monkeypatch.setattr(fetching, "fetch", lambda *a: fetched.append(a[0]) or fetch(*a))
    find()
    other.join(20)
    assert found == [(cache / "C2DR50-imagenet.npz", None)] * 2
    assert len(fetched) == 1
    assert names(cache) == ["C2DR50-imagenet.npz"]
    np.testing.assert_array_equal(np.load(found[0][0])["fc.bias"], np.arange(3))


def test_two_processes_share_a_record(cache, tmp_path, monkeypatch):
    """The second one comes between download and reading; it takes nothing away."""
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "k400.h5").write_bytes(b"weights")
    (record,) = (r for r in builtin_records() if (r.name, r.model) == ("k400", "SmallBigR50"))
    digest = hashlib.sha256(b"weights").hexdigest()
    record = dataclasses.replace(record, file="k400.h5", sha256=digest)
    write_record(record, mirror / "SmallBigR50-k400.json")
    monkeypatch.setenv("SMALLBIG_WEIGHTS_URL", mirror.as_uri())
    read, fetch = resolution.read_record, fetching.fetch
    found, goes_on = [], threading.Event()

    def find():
        found.append(resolution.find_weights("k400", "SmallBigR50"))

    other = threading.Thread(target=find)

    def fetched(*arguments):
        if threading.current_thread() is other:
            goes_on.wait(20)
        return fetch(*arguments)

    def interrupted(path):
        if threading.current_thread() is not other:
            other.start()
            # The second one has come as far as it can.
            other.join(1)
        return read(path)

    monkeypatch.setattr(fetching, "fetch", fetched)
    monkeypatch.setattr(resolution, "read_record", interrupted)
    try:
        find()
    finally:
        goes_on.set()
        other.join(20)
    assert found == [(cache / "k400.h5", record.description)] * 2
    assert names(cache) == ["SmallBigR50-k400.json", "k400.h5"]


def test_interrupted_conversion_is_done_again(imagenet, cache, monkeypatch):
    def stopped(source, target):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(resolution, "convert", stopped)
        with pytest.raises(KeyboardInterrupt):
            resolution.find_weights("imagenet", "C2DR50")
    # The download that is there is enough.
    imagenet.unlink()
    path, _ = resolution.find_weights("imagenet", "C2DR50")
    assert path == cache / "C2DR50-imagenet.npz"
    assert names(cache) == [path.name]


def test_a_file_that_was_put_into_the_cache_stays(imagenet, cache):
    imagenet.rename(cache / FILE)
    for _ in range(2):
        assert resolution.find_weights("imagenet", "C2DR50") == (cache / FILE, None)
    assert names(cache) == [FILE]
