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
import urllib.error
import urllib.request

import client
import cv2
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2
from tensorflow_serving.config import model_server_config_pb2

from smallbig_keras import data, decode_predictions
from smallbig_keras.export import artifacts, to_saved_model
from tests.data.videos import picture, write_video
from tests.export.conftest import NAMES, SHAPE
from tests.export.serving_double import ServingDouble, request_from_json

FRAMES, SIZE = SHAPE[:2]
SHORT_SIDE = 36
GUIDE = pathlib.Path(__file__).parents[2] / "docs" / "serving.md"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1,localhost")


@pytest.fixture(scope="module")
def folder(small_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "smallbig"
    to_saved_model(small_model, path, NAMES, SHORT_SIDE)
    return path


@pytest.fixture(scope="module")
def double(folder):
    with ServingDouble(folder) as double:
        yield double


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("videos") / "video.webm"
    tint = np.array([1, 0.6, 0.1])  # The order of the colours is to be seen.
    return str(write_video(path, 25, paint=lambda *args: np.uint8(picture(*args) * tint)))


@pytest.fixture(params=["--url", "--grpc"])
def server(request, double):
    """The flags of each interface."""
    return [request.param, double.url if request.param == "--url" else double.address]


def make_client(double, interface="--grpc", **options):
    if interface == "--url":
        return client.RestClient(double.url, "smallbig", **options)
    return client.GrpcClient(double.address, "smallbig", **options)


@pytest.fixture
def either(double, server):
    return make_client(double, server[0])


def error_of(*arguments):
    with pytest.raises(SystemExit) as stop:
        client.main([*map(str, arguments)])
    return str(stop.value)


def test_names_what_keras_names(small_model, double, video, capsys):
    clip = data.load_clip(video, FRAMES, SIZE, SHORT_SIDE)
    expected = decode_predictions(small_model.predict(clip, verbose=0), labels=NAMES)[0]
    texts = []
    for server in (["--url", double.url], ["--grpc", double.address]):
        client.main([video, video, *server, "--model", "smallbig"])
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    lines = texts[0].splitlines()
    assert lines[:6] == lines[6:]
    assert lines[0] == video
    for line, (name, score) in zip(lines[1:6], expected, strict=True):
        percent, label = re.fullmatch(r" +([\d.]+)%  (.*)", line).groups()
        assert label == name
        # What is lost is in the JPEG files.
        assert float(percent) == pytest.approx(100 * score, abs=2)


def test_only_jpeg_is_between_the_client_and_keras(small_model, either, video):
    files = client.encode_clip(video, FRAMES)
    decoded = [cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR) for file in files[0]]
    frames = data.read_frames(video, lambda count: data.segment_centre(count, FRAMES))
    images = np.stack(decoded)[..., ::-1]
    assert np.abs(images.astype(int) - frames).mean() < 3
    answer = either.predict("jpeg", {"frames": files})
    images = tf.image.resize(images, (36, 54)).numpy()[None, :, 2:34, 11:43]
    scores = artifacts.scoring_model(small_model).predict(images, verbose=0)
    for name in ("probabilities", "logits"):
        np.testing.assert_allclose(answer[name], scores[name], rtol=1e-4, atol=1e-5)


def test_both_interfaces_answer_alike(double, clips, video):
    for signature, inputs in (
        ("serving_default", {"clips": clips}),
        ("views", {"views": clips[None]}),
        ("jpeg", {"frames": client.encode_clip(video, FRAMES)}),
    ):
        answers = [
            make_client(double, way).predict(signature, inputs) for way in ("--url", "--grpc")
        ]
        assert set(answers[0]) == set(answers[1]) == client.OUTPUTS
        for name, value in answers[0].items():
            np.testing.assert_array_equal(value.astype(answers[1][name].dtype), answers[1][name])


def test_number_of_frames_is_the_servers(either):
    signatures = either.signatures()
    assert client.clip_frames(signatures) == FRAMES
    clips = signatures["serving_default"]["inputs"]["clips"]
    assert clips["dtype"] == "DT_UINT8"
    assert [int(d["size"]) for d in clips["tensor_shape"]["dim"]] == [-1, *SHAPE]
    for other in ({}, {"jpeg": {"inputs": {}}}, {"jpeg": {**signatures["jpeg"], "outputs": {}}}):
        with pytest.raises(ValueError, match="that export/to_saved_model.py wrote.*Received"):
            client.clip_frames(other)


def test_requests_are_those_of_the_messages(double, clips, video):
    """The JSON body holds the tensors of the gRPC request, and this survives its encoding."""
    for signature, inputs in (
        ("serving_default", {"clips": clips[:1]}),
        ("jpeg", {"frames": client.encode_clip(video, FRAMES, quality=50)}),
    ):
        request = make_client(double, version=3).request(signature, inputs)
        received = predict_pb2.PredictRequest.FromString(request.SerializeToString())
        assert received == request
        spec = received.model_spec
        assert (spec.name, spec.signature_name, spec.version.value) == ("smallbig", signature, 3)
        body = json.dumps(client.rest_request(signature, inputs))
        parsed, in_rows = request_from_json(body, double.signatures)
        assert parsed.model_spec.signature_name == signature and not in_rows
        (name,) = inputs
        assert list(parsed.inputs) == list(received.inputs) == [name]
        for message in (parsed, received):
            assert message.inputs[name].dtype == double.signatures[signature].inputs[name].dtype
            np.testing.assert_array_equal(tf.make_ndarray(message.inputs[name]), inputs[name])


def post(double, body, path="/v1/models/smallbig:predict"):
    body = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(double.url + path, body, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_rows(double, clips, video):
    """The other form of a request, as in the guide; one input needs no name."""
    expected = make_client(double).predict("serving_default", {"clips": clips[:2]})
    for rows in (clips[:2].tolist(), [{"clips": clip.tolist()} for clip in clips[:2]]):
        status, answer = post(double, {"instances": rows})
        assert status == 200
        for name, value in expected.items():
            found = np.array([row[name] for row in answer["predictions"]])
            np.testing.assert_array_equal(found.astype(value.dtype), value)
    (files,) = client.rest_request("jpeg", {"frames": client.encode_clip(video, FRAMES)})["inputs"][
        "frames"
    ]
    status, answer = post(double, {"signature_name": "jpeg", "instances": [files]})
    assert status == 200 and len(answer["predictions"][0]["labels"]) == 5


def test_status_and_metadata(double):
    status, answer = post(double, None, "/v1/models/smallbig")
    ok = {"error_code": "OK", "error_message": ""}
    version = {"version": "1", "state": "AVAILABLE", "status": ok}
    assert (status, answer) == (200, {"model_version_status": [version]})
    status, answer = post(double, None, "/v1/models/smallbig/versions/1/metadata")
    assert answer["model_spec"] == {"name": "smallbig", "signature_name": "", "version": "1"}


@pytest.mark.parametrize(
    "body, status, message",
    [
        (b"{", 400, "JSON Parse error"),
        ({"signature_name": "other", "inputs": [1]}, 400, '"other" not found in signature def'),
        ({}, 400, "Missing 'inputs' or 'instances' key"),
        ({"inputs": [1], "instances": [1]}, 400, "'inputs' or 'instances'"),
        ({"inputs": {"frames": [1]}}, 400, "Missing named input: clips"),
        ({"instances": [{"frames": [1]}]}, 400, "keys must be equal to: clips"),
        ({"inputs": [[1, 2], [3]]}, 400, "unexpected size: 1"),
        ({"inputs": [0.5]}, 400, "not of expected type: uint8"),
        ({"signature_name": "jpeg", "inputs": [[{"b64": "?"}] * 4]}, 400, "base64"),
        ({"signature_name": "jpeg", "inputs": [["no image"] * 4]}, 400, "Unknown image file"),
        ({"inputs": [[1]]}, 400, "Cannot feed value of shape"),
    ],
)
def test_double_refuses(double, body, status, message):
    found = post(double, body)
    assert found[0] == status and message in found[1]["error"]


def test_warm_up_requests_run(double, folder, tmp_path):
    assert double.warmed_up == ["serving_default", "jpeg", "views"]
    shutil.copytree(folder, tmp_path / "smallbig")
    path = tmp_path / "smallbig" / "1" / "assets.extra" / "tf_serving_warmup_requests"
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.CopyFrom(make_client(double).request("jpeg", {"frames": [[b"x"] * 4]}))
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(log.SerializeToString())
    with pytest.raises(tf.errors.InvalidArgumentError, match="Unknown image file"):
        ServingDouble(tmp_path / "smallbig")


def test_unknown_signature(double, clips):
    for way, message in (("--url", "not found in signature def"), ("--grpc", "not found.")):
        with pytest.raises(client.ServerError, match=f'refuses. Received: .*"best".*{message}'):
            make_client(double, way).predict("best", {"clips": clips[:1]})


def test_unknown_model_or_version(server, video):
    message = error_of(video, *server, "--model", "other/1")
    assert "must have the model 'other/1'. Received: " in message
    assert message.endswith("Servable not found for request: Latest(other/1)")
    message = error_of(video, *server, "--model", "smallbig", "--version", 7)
    assert message.endswith("Servable not found for request: Specific(smallbig, 7)")
    client.main([video, *server, "--model", "smallbig", "--version", "1"])


def test_bad_video(server, tmp_path):
    path = tmp_path / "video.webm"
    message = error_of(path, *server, "--model", "smallbig")
    assert message.startswith("error: A video must be a regular file")
    assert message.endswith("No such file or directory") and str(path) in message


def test_nothing_listens(video):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    for flag, value in (("--url", f"http://{address}"), ("--grpc", address)):
        message = error_of(video, flag, value, "--model", "smallbig", "--timeout", 20)
        assert "must be running and within reach. Received: " in message
        assert address in message and "refused" in message


def test_server_that_never_answers(video):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        for flag, value in (("--url", f"http://{address}"), ("--grpc", address)):
            start = time.monotonic()
            message = error_of(video, flag, value, "--model", "smallbig", "--timeout", 0.5)
            assert time.monotonic() - start < 10
            assert f"within 0.5 seconds, --timeout. Received: nothing from {value}" in message


def test_interfaces_mixed_up(double, video):
    where = double.url.removeprefix("http://")
    for flag, value in (("--url", f"http://{double.address}"), ("--grpc", where)):
        message = error_of(video, flag, value, "--model", "smallbig")
        assert f"must be running and within reach. Received: {value}" in message
        assert message.isprintable()


@pytest.mark.parametrize("status, text", [(200, "<html>"), (200, "[]"), (404, "null"), (502, "")])
def test_another_server(video, status, text):
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
        port = other.server_address[1]
        message = error_of(video, "--url", f"http://127.0.0.1:{port}/", "--model", "smallbig")
        thread.join()
    assert "must be TensorFlow Serving. Received: http://127.0.0.1" in message
    assert message.endswith(f"/v1/models/smallbig/metadata: status {status}, {text.encode()!r}")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--url", "localhost:8501"], "must be like http://host:8501. Received: localhost:8501"),
        (["--url", "file:///etc/hosts"], "must be like http://host:8501"),
        (["--url", "http://["], "must be like http://host:8501"),
        ([], "one of the arguments --url --grpc is required"),
        (["--grpc", "h:1", "--timeout", "0"], "--timeout must be above 0"),
        (["--grpc", "h:1", "--timeout", "nan"], "--timeout must be above 0"),
        (["--grpc", "h:1", "--quality", "0"], "--quality must be from 1 to 100"),
        (["--grpc", "h:1", "--version", "0"], "--version must be from 1"),
    ],
)
def test_bad_arguments(arguments, message, capsys):
    with pytest.raises(SystemExit):
        client.main(["video.webm", "--model", "smallbig", *arguments])
    assert message in capsys.readouterr().err


def test_missing_package(double, monkeypatch):
    monkeypatch.setitem(sys.modules, "grpc", None)
    with pytest.raises(ImportError, match=r'pip install "smallbig-keras\[export\]"'):
        make_client(double).signatures()


def test_guide(double, video, tmp_path, monkeypatch, capsys):
    """The programs of the guide run in the order they stand, and its configuration is valid."""
    text = GUIDE.read_text(encoding="utf-8").replace("localhost:8500", double.address)
    text = text.replace("http://localhost:8501", double.url)
    monkeypatch.chdir(tmp_path)
    shutil.copy(video, "video.webm")
    values = {}
    for program in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(program.replace("frames = 8", f"frames = {FRAMES}"), values)
    labels = capsys.readouterr().out
    request = pathlib.Path("request.json").read_bytes()
    status, answer = post(double, request)
    assert status == 200
    assert str(answer["outputs"]["labels"][0][0]) in labels
    (config,) = re.findall(r"```\n(model_config_list.*?)```", text, re.DOTALL)
    text_format.Parse(config, model_server_config_pb2.ModelServerConfig())
