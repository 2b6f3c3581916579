"""The client of a TensorFlow Serving server, against a double of its protocol."""

import http.server
import json
import pathlib
import re
import shutil
import socket
import sys
import threading
import time
import types
import urllib.request

import cv2
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.apis import predict_pb2
from tensorflow_serving.config import model_server_config_pb2

from smallbig_keras import data, decode_predictions
from smallbig_keras.cli import main
from smallbig_keras.data.transforms import resize
from smallbig_keras.errors import ResourceError, SmallBigError
from smallbig_keras.export import (
    GrpcClient,
    RestClient,
    ServerError,
    artifacts,
    encode_clip,
    rest_request,
    server_clips,
    to_saved_model,
)
from tests.data.videos import picture, write_video
from tests.export.conftest import NAMES, SHAPE
from tests.export.serving_double import request_from_json, serve

FRAMES, SIZE = SHAPE[:2]
SHORT_SIDE = 36
CLIPS = data.ClipConfig(FRAMES, size=SIZE, short_side=SHORT_SIDE)
GUIDE = pathlib.Path(__file__).parents[2] / "docs" / "serving.md"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1,localhost")


@pytest.fixture(scope="module")
def double(small_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "smallbig"
    to_saved_model(small_model, path, NAMES, SHORT_SIDE)
    with serve(path) as double:
        assert double.warmed_up == ["serving_default", "jpeg", "views", "metadata"]
        yield double


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("videos") / "video.webm"
    tint = np.array([1, 0.6, 0.1])  # The order of the colours is to be seen.
    return str(write_video(path, 25, paint=lambda *args: np.uint8(picture(*args) * tint)))


def make_client(kind, host, model="smallbig", **options):
    """A client of either interface, by `host:port`."""
    return kind(f"http://{host}" if kind is RestClient else host, model, **options)


@pytest.fixture
def clients(double):
    return [RestClient(double.url, "smallbig"), GrpcClient(double.address, "smallbig")]


@pytest.fixture(params=[RestClient, GrpcClient])
def kind(request):
    return request.param


@pytest.fixture
def host(kind, double):
    return double.address if kind is GrpcClient else double.url.removeprefix("http://")


def test_names_what_keras_names(small_model, double, video, capsys):
    clip = data.load_clip(video, FRAMES, SIZE, SHORT_SIDE)
    expected = decode_predictions(small_model.predict(clip, verbose=0), labels=NAMES)[0]
    texts = []
    for server in (["--url", double.url], ["--grpc", double.address]):
        main(["client", video, video, *server, "--model", "smallbig", "--version", "1"])
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    lines = texts[0].splitlines()
    assert lines[:6] == lines[6:]
    assert lines[0] == video
    for line, (name, score) in zip(lines[1:6], expected, strict=True):
        percent, label = re.fullmatch(r" +([\d.]+)%  (.*)", line).groups()
        assert label == name
        # The rest is lost in the JPEG files.
        assert float(percent) == pytest.approx(100 * score, abs=2)


def test_only_jpeg_is_between_the_client_and_keras(small_model, clients, video):
    files = encode_clip(video, CLIPS)
    decoded = [cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR) for file in files[0]]
    frames = data.read_frames(video, lambda count: data.segment_centre(count, FRAMES))
    images = np.stack(decoded)[..., ::-1]
    assert np.abs(images.astype(int) - frames).mean() < 3
    images = np.rint(resize(images, 36, 54).numpy()[None, :, 2:34, 11:43])
    scores = artifacts.scoring_model(small_model, CLIPS).predict(images, verbose=0)
    for client in clients:
        answer = client.predict("jpeg", {"frames": files})
        for name in ("probabilities", "logits"):
            np.testing.assert_allclose(answer[name], scores[name], rtol=1e-4, atol=1e-5)


def test_both_interfaces_answer_alike(clients, clips, video):
    for signature, inputs in (
        ("serving_default", {"clips": clips}),
        ("views", {"views": clips[None]}),
        ("jpeg", {"frames": encode_clip(video, CLIPS)}),
    ):
        rest, grpc = (client.predict(signature, inputs) for client in clients)
        assert set(rest) == set(grpc) == {"probabilities", "logits", "classes", "labels"}
        for name, value in rest.items():
            np.testing.assert_array_equal(value.astype(grpc[name].dtype), grpc[name])


def test_clips_are_those_that_the_server_states(clients, small_model, tmp_path):
    for client in clients:
        assert server_clips(client) == CLIPS
        clips = client.signatures()["serving_default"]["inputs"]["clips"]
        assert clips["dtype"] == "DT_UINT8"
        assert [int(d["size"]) for d in clips["tensor_shape"]["dim"]] == [-1, *SHAPE]

    signatures = client.signatures()
    for other in (
        {},
        {"jpeg": {"inputs": {}, "outputs": {}}},
        {**signatures, "jpeg": {**signatures["jpeg"], "outputs": {}}},
        {name: value for name, value in signatures.items() if name != "metadata"},
    ):
        with pytest.raises(SmallBigError, match="that this package exported.*Received"):
            server_clips(types.SimpleNamespace(signatures=lambda other=other: other))


def test_requests_are_those_of_the_messages(double, clips, video):
    """The JSON body holds the tensors of the gRPC request, and this survives its encoding."""
    for signature, inputs in (
        ("serving_default", {"clips": clips[:1]}),
        ("jpeg", {"frames": encode_clip(video, CLIPS, quality=50)}),
    ):
        request = GrpcClient(double.address, "smallbig", version=3).request(signature, inputs)
        received = predict_pb2.PredictRequest.FromString(request.SerializeToString())
        spec = received.model_spec
        assert (spec.name, spec.signature_name, spec.version.value) == ("smallbig", signature, 3)
        parsed = request_from_json(json.dumps(rest_request(signature, inputs)), double)
        assert parsed.model_spec.signature_name == signature
        (name,) = inputs
        for message in (parsed, received):
            assert list(message.inputs) == [name]
            assert message.inputs[name].dtype == double.signatures[signature].inputs[name].dtype
            np.testing.assert_array_equal(tf.make_ndarray(message.inputs[name]), inputs[name])


def test_refusals(kind, host, clips):
    """An error of the server is one message that names the request."""
    client = make_client(kind, host)
    for signature, name, value, message in (
        ("best", "clips", clips[:1], '"best" not found'),
        ("serving_default", "clips", clips[:1, :2], "Cannot feed value of shape"),
        ("serving_default", "clips", clips[:1] / 255, ""),
        ("jpeg", "frames", [[b"no image"] * FRAMES], "Unknown image file"),
    ):
        with pytest.raises(ServerError, match=f"refuses. Received: .*{host}.*{message}"):
            client.predict(signature, {name: np.array(value)})
    for options, wanted in (({"model": "other/1"}, "Latest(other/1)"), ({"version": 7}, "big, 7)")):
        with pytest.raises(ServerError, match="must have the model '.*'. Received: ") as error:
            make_client(kind, host, **options).signatures()
        assert str(error.value).endswith(wanted)


def test_messages_of_the_command(double, tmp_path):
    """A user's error ends with 2, a server's with 1."""
    path = str(tmp_path / "video.webm")
    with pytest.raises(SystemExit, match="A video must be .*video.webm") as stop:
        main(["client", path, "--url", double.url, "--model", "smallbig"])
    assert stop.value.code == 2
    with pytest.raises(SystemExit, match="must have the model 'other'") as stop:
        main(["client", path, "--url", double.url, "--model", "other"])
    assert stop.value.code == 1


def test_nothing_listens(kind):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(ResourceError, match=f"within reach. Received: .*{address}.*refused"):
        make_client(kind, address, timeout=20).signatures()


def test_server_that_never_answers(kind):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        start = time.monotonic()
        with pytest.raises(ServerError, match=f"within 0.5 seconds, `timeout`.*{address}"):
            make_client(kind, address, timeout=0.5).signatures()
        assert time.monotonic() - start < 10


def test_interfaces_mixed_up(double):
    for kind, host in (
        (RestClient, double.address),
        (GrpcClient, double.url.removeprefix("http://")),
    ):
        with pytest.raises(ServerError, match=f"within reach. Received: .*{host}") as error:
            make_client(kind, host).signatures()
        assert str(error.value).isprintable()


@pytest.mark.parametrize("status, text", [(200, "<html>"), (200, "[]"), (404, "null"), (502, "")])
def test_another_server(status, text):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as other:
        thread = threading.Thread(target=other.handle_request)
        thread.start()
        url = f"http://127.0.0.1:{other.server_address[1]}"
        with pytest.raises(ServerError, match="must be TensorFlow Serving. Received: ") as error:
            RestClient(f"{url}/", "smallbig").signatures()
        thread.join()
    received = f"{url}/v1/models/smallbig/metadata: status {status}, {text.encode()!r}"
    assert str(error.value).endswith(received)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: RestClient("localhost:8501", "m"), "like http://host:8501. Received: localhost"),
        (lambda: RestClient("file:///etc/hosts", "m"), "like http://host:8501"),
        (lambda: RestClient("http://[", "m"), "like http://host:8501"),
        (lambda: GrpcClient("h:1", "m", timeout=0), "`timeout` must be above 0"),
        (lambda: GrpcClient("h:1", "m", timeout=float("nan")), "`timeout` must be above 0"),
        (lambda: RestClient("http://h", "m", version=0), "`version` must be from 1"),
        (lambda: encode_clip("video.webm", CLIPS, quality=0), "`quality` must be from 1 to 100"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(SmallBigError, match=message):
        make()


def test_missing_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "grpc", None)
    with pytest.raises(ImportError, match=r'pip install "smallbig-keras\[export\]"'):
        GrpcClient("localhost:1", "smallbig").signatures()


@pytest.fixture
def guide(small_model, double, video, tmp_path, monkeypatch):
    """The text of the guide and its Python programs, in a folder as the guide has it."""
    text = GUIDE.read_text(encoding="utf-8").replace("localhost:8500", double.address)
    monkeypatch.chdir(tmp_path)
    shutil.copy(video, "video.webm")
    write_metadata(small_model, CLIPS)
    return text, re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def write_metadata(model, clips):
    file = pathlib.Path("models/smallbig/1/assets/metadata.json")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(artifacts.metadata(model, clips, NAMES)))


@pytest.mark.parametrize("sampling, stride", [("segment", 8), ("dense", 3), ("dense", 30)])
def test_frames_of_the_guide(guide, small_model, sampling, stride):
    """They are those of the sampler, also in a video that is shorter than the clip."""
    clips = CLIPS.replace(sampling=sampling, stride=stride)
    write_metadata(small_model, clips)
    for count in (1, FRAMES - 1, 24, 25):
        write_video("video.webm", count)
        values = {}
        exec(guide[1][0], values)
        assert values["positions"] == clips.sampler()(count)[0].tolist()


def test_guide(double, guide, capsys):
    """The programs of the guide run in the order they stand, and its configuration is valid."""
    text, programs = guide
    values = {}
    for program in programs:
        exec(program, values)
    labels = capsys.readouterr().out
    request = pathlib.Path("request.json").read_bytes()
    url = double.url + "/v1/models/smallbig:predict"
    with urllib.request.urlopen(url, request, timeout=30) as response:
        answer = json.load(response)
    assert answer["outputs"]["labels"][0][0] in labels
    (config,) = re.findall(r"```\n(model_config_list.*?)```", text, re.DOTALL)
    text_format.Parse(config, model_server_config_pb2.ModelServerConfig())
