"""Shards on servers of this machine. Each reader is a process, whose exit code counts."""

import functools
import http.server
import os
import pathlib
import platform
import subprocess
import sys
import threading

import pytest
import tensorflow as tf

from smallbig_keras import runs
from smallbig_keras.data import ShardOptions, ShardSource, make_shards, read_annotations
from smallbig_keras.data.shards.manifest import ensure_scheme
from tests.data.miniatures import MINIATURES

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
    (path,) = damaged.glob("train-*")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def server(shards):
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


@pytest.fixture(params=["bucket", "server"])
def place(request, plugin):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def losses(plugin, shards, tmp_path_factory):
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
    result = run("fit", *flags, *NETWORK, environment=environment)
    assert result.returncode == 2
    assert f"error: A shard must hold 6 whole examples. Received: '{url}/damaged/" in result.stderr


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
