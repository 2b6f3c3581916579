"""Shards on servers of this machine. Each reader is a process, whose exit code counts."""

import functools
import http.server
import os
import pathlib
import platform
import subprocess
import sys
import threading

import numpy as np
import pytest
import tensorflow as tf

from smallbig_keras import runs
from smallbig_keras.data import ShardOptions, ShardSource, Video, make_shards, read_annotations
from smallbig_keras.data.shards.storage import check_readahead, ensure_scheme
from smallbig_keras.machine import READAHEAD
from tests.data.miniatures import MINIATURES
from tests.data.shards.google_storage import serve_bucket

NETWORK = (
    *("--options", '{"blocks": [1, 1, 1, 1], "width": 8}', "--weights", "none", "--epochs", "1"),
    *("--frames", "4", "--size", "32", "--short-side", "36", "40", "--test-short-side", "36"),
    *("--batch-size", "3", "--flip", "none"),
)


@pytest.fixture(scope="module")
def plugin():
    try:
        ensure_scheme("s3://bucket")
    except ImportError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("remote")
    root = MINIATURES["sthv2"](folder / "sthv2")
    splits = {}
    for split in ("train", "validation"):
        splits[split], names = read_annotations("sthv2", root, split)
    make_shards(splits, names, folder / "shards", ShardOptions("sthv2"))
    damaged = folder / "damaged"
    make_shards(splits, names, damaged, ShardOptions("sthv2"))
    (path,) = damaged.glob("train-*.tfrecord")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def server(shards, plugin):
    class Handler(http.server.SimpleHTTPRequestHandler):
        """Files and their parts, which tensorflow-io asks for; no lists of a folder."""

        def send_head(self):
            path = pathlib.Path(self.translate_path(self.path))
            if not path.is_file():
                return self.send_error(404)
            start, end = 0, path.stat().st_size
            if "Range" in self.headers:
                first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
                start, end = int(first), min(end, int(last) + 1)
            if start >= end:
                return self.send_error(416)
            self.send_response(206 if "Range" in self.headers else 200)
            self.send_header("Content-Length", str(end - start))
            self.send_header("Accept-Ranges", "bytes")
            self.end_headers()
            file = path.open("rb")
            file.seek(start)
            self.left = end - start
            return file

        def copyfile(self, source, outputfile):
            outputfile.write(source.read(self.left))

        def log_message(self, *_):
            """Nothing in the log of the tests."""

    handler = functools.partial(Handler, directory=str(shards))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", {}
        server.shutdown()


@pytest.fixture(scope="module")
def bucket(shards, plugin):
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0)
    boto3 = pytest.importorskip("boto3")
    server.start()
    port = server._server.server_port
    environment = {
        **{"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"},
        **{"AWS_REGION": "us-east-1", "S3_ENDPOINT": f"http://127.0.0.1:{port}"},
        **{"S3_USE_HTTPS": "0", "S3_VERIFY_SSL": "0"},
    }
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    client.create_bucket(Bucket="bucket")
    for name in ("shards", "damaged"):
        for path in (shards / name).iterdir():
            client.upload_file(str(path), "bucket", f"{name}/{path.name}")
    yield "s3://bucket", environment
    client.close()
    server.stop()


@pytest.fixture(scope="module")
def google(shards, tmp_path_factory):
    with serve_bucket(shards, tmp_path_factory.mktemp("secrets")) as (environment, _):
        yield "gs://bucket", environment


@pytest.fixture(params=["google", "bucket", "server"])
def place(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def losses(shards, tmp_path_factory):
    """Of a run on the same shards without a server."""
    output = tmp_path_factory.mktemp("runs") / "local"
    return train(output, str(shards / "shards"), {})


def train(output, place, environment):
    flags = ("--dataset", "sthv2", "--shards", place, "--output", str(output))
    result = run("fit", *flags, *NETWORK, environment=environment)
    assert result.returncode == 0, result.stdout + result.stderr
    (row,) = runs.read_log(output)
    return row["loss"], row["val_loss"]


def run(*arguments, environment=None):
    return subprocess.run(
        [sys.executable, "-c", "from smallbig_keras.cli import console; console()", *arguments],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=200,
    )


def test_processes_end_with_their_own_codes(place, shards):
    url, environment = place
    result = run("prepare", "check", f"{url}/shards", environment=environment)
    assert (result.returncode, result.stdout.splitlines()[-1]) == (0, f"{url}/shards: whole"), (
        result.stdout + result.stderr
    )
    result = run("prepare", "check", f"{url}/damaged", environment=environment)
    assert result.returncode == 1 and "sha256" in result.stdout
    assert f"Received: 3 problems in {url}/damaged" in result.stderr
    result = run("prepare", "check", f"{url}/nothing", environment=environment)
    assert result.returncode == 2
    assert f"holds a file shards.json. Received: {url}/nothing" in result.stderr


def test_training(place, losses, tmp_path):
    url, environment = place
    assert train(tmp_path / "whole", f"{url}/shards", environment) == losses
    flags = ("--dataset", "sthv2", "--shards", f"{url}/damaged", "--output", str(tmp_path / "a"))
    result = run("fit", *flags, *NETWORK, "--max-bad-clips", "0", environment=environment)
    assert result.returncode == 2
    assert f"Received: {url}/damaged/train-" in result.stderr
    assert "has another checksum" in result.stderr


READ = """
import sys
from smallbig_keras.machine import set_environment
set_environment()
from smallbig_keras.data import ShardSource, clip_dataset

source = ShardSource("gs://bucket/out", "test")
options = dict(frames=2, size=32, batch_size=1, training=False, num_parallel_calls=1)
print(len(list(clip_dataset(source, sampling=sys.argv[1], stride=2, **options))))
"""


@pytest.mark.parametrize("sampling, requests", [("dense", 1), ("segment", 2)])
def test_a_clip_asks_for_its_frames(tmp_path, sampling, requests):
    """One request of a megabyte where its frames are near, else one a frame; no whole video."""
    frames = tmp_path / "frames"
    frames.mkdir()
    for i in range(40):
        noise = np.random.default_rng(i).integers(256, size=(200, 320, 3)).astype(np.uint8)
        jpeg = tf.io.encode_jpeg(noise, quality=100).numpy()
        (frames / f"{i + 1}.jpg").write_bytes(jpeg)
    videos = [Video(str(frames), 0, str(i), None, "{}.jpg") for i in range(3)]
    make_shards({"test": videos}, ["a"], tmp_path / "out", ShardOptions("csv"))
    with serve_bucket(tmp_path, tmp_path) as (environment, ranges):
        result = subprocess.run(
            [sys.executable, "-c", READ, sampling],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=200,
        )
    assert result.stdout == "3\n", result.stderr
    sizes = [size for name, _, size in ranges if name.endswith(".tfrecord")]
    assert len(jpeg) > 120_000 and sizes == [(1 << 20) + 1] * 3 * requests
    assert len(ranges) == len(sizes) + 2


def test_buckets_without_readahead_are_warned_of(monkeypatch):
    monkeypatch.delenv(READAHEAD, raising=False)
    check_readahead("/local")
    with pytest.warns(UserWarning, match=f"{READAHEAD}=1048577 .*Received: gs://bucket/a"):
        check_readahead("gs://bucket/a")
    monkeypatch.setenv(READAHEAD, "1048577")
    check_readahead("gs://bucket/a")


def test_without_the_plugin(monkeypatch):
    """The message says what is there and what to install."""
    monkeypatch.setitem(sys.modules, "tensorflow_io", None)
    monkeypatch.setattr(tf.io.gfile, "get_registered_schemes", lambda: ["gs", "ram", "file", ""])
    for url in ("s3://bucket/k400", "https://server/k400", "hdfs://node/k400", "az://a/b/c"):
        with pytest.raises(ImportError) as caught:
            ShardSource(url, "train")
        message = str(caught.value)
        assert 'pip install "smallbig-keras[io]" "tensorflow==2.17.*"' in message
        assert f"Received: {url} with TensorFlow {tf.__version__}, " in message
        assert message.endswith(f"Python {platform.python_version()}")
    for path in ("gs://bucket", "/local", "relative", pathlib.Path("path"), "file:///local"):
        ensure_scheme(path)
    with pytest.raises(ValueError, match="local or begin with gs://, .* Received: ftp://server"):
        ensure_scheme("ftp://server")
