"""Weights by name from their publisher's file, as another server has it."""

import http.server
import threading

import numpy as np
import pytest

import smallbig_keras
from smallbig_keras.cli import main
from smallbig_keras.weights import WeightsError, fetching, list_weights, resolution
from smallbig_keras.weights.records import builtin_records
from tests.data.videos import write_video
from tests.models.test_golden_peers import relative_error
from tests.peers_formula import clip, golden, state
from tests.weights.torch_writer import write_torch

(RECORD,) = (r for r in builtin_records() if (r.model, r.name) == ("S3D", "k400"))


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A file with torchvision's names, of the golden weights."""
    return write_torch(tmp_path_factory.mktemp("file") / RECORD.file, state("s3d"))


@pytest.fixture(scope="module")
def content(published):
    return published.read_bytes()


@pytest.fixture
def asked(published, content, monkeypatch, trust):
    """The paths that a server on loopback was asked for: a mirror of the file alone."""
    paths = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            paths.append(self.path)
            found = self.path == f"/{RECORD.file}"
            body = content if found else b"<html>not here</html>"
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args):
            """Nothing is written to the console of the tests."""

    trust(published)
    monkeypatch.setattr(fetching, "_BACKOFF", 0)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("SMALLBIG_WEIGHTS_URL", f"http://127.0.0.1:{server.server_port}")
        yield paths
        server.shutdown()
        thread.join()


def test_the_record_is_torchvisions():
    assert RECORD.url == f"https://download.pytorch.org/models/{RECORD.file}"
    assert RECORD.sha256 in RECORD.file and RECORD.licence == "BSD-3-Clause"
    assert (RECORD.accuracy["top1"], RECORD.accuracy["top5"]) == (0.68368, 0.8805)
    assert RECORD.publisher == "torchvision" and RECORD.accuracy["run"] is None
    clips = RECORD.description.clips
    assert (clips.frames, clips.stride, clips.short_side, clips.size) == (128, 2, 256, 224)
    assert not clips.keep_aspect and clips.mean == (0.43216, 0.394666, 0.37645)


def test_s3d_by_name(asked):
    shape = clip("s3d").shape[1:]
    model = smallbig_keras.S3D(weights="k400", input_shape=shape, classifier_activation=None)
    assert relative_error(model(clip("s3d")), golden("s3d")["logits"]) < 1e-5
    assert asked.count(f"/{RECORD.file}") == 1
    # From the cache, offline too.
    count = len(asked)
    (row,) = (r for r in list_weights() if (r["model"], r["name"]) == ("S3D", "k400"))
    assert row["available"] and row["published"]
    found = resolution.find_weights("k400", "S3D")
    assert found.description.model == "S3D" and len(found.description.class_names) == 400
    assert len(asked) == count


def test_a_file_beside_other_weights(content, tmp_path, monkeypatch):
    """A folder that the user names holds the publisher's file, without a record."""
    path = tmp_path / "folder" / RECORD.file
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="SHA-256.*d76dad2f"):
        resolution.find_weights("k400", "S3D", path.parent)


def test_labels_of_a_video(asked, tmp_path, capsys):
    video = write_video(tmp_path / "a.webm", 40)
    flags = ["--weights", "k400", "--model", "S3D", "--frames", "16", "--size", "64"]
    main(["predict", str(video), *flags])
    printed = capsys.readouterr().out
    names = smallbig_keras.class_names("k400")
    assert sum(name in printed for name in names) >= 5
    classifier = smallbig_keras.load("k400", "S3D", clips={"frames": 16, "size": 64})
    assert classifier.clips.short_side == 73 and classifier.class_names == names
    scores = classifier.predict(video)
    assert len(scores) == 5 and np.isfinite([p for _, p in scores]).all()
