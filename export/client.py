"""Names what happens in videos by asking a TensorFlow Serving server.

    python export/client.py video.webm --url http://localhost:8501 --model smallbig
    python export/client.py video.webm --grpc localhost:8500 --model smallbig

The frames of the middle clip are read here and sent as JPEG files to the signature `jpeg`, which
does the rest. Reading them is this package's, so it has to be installed here, TensorFlow with it;
docs/serving.md shows requests that need neither.
"""

import common  # noqa: F401  # isort: skip
import argparse
import base64
import dataclasses
import http.client
import json
import urllib.error
import urllib.parse
import urllib.request

import cv2
import numpy as np

from smallbig_keras import cli, data
from smallbig_keras.export import artifacts

OUTPUTS = {"probabilities", "logits", "classes", "labels"}
MAX_TIMEOUT = 86400
MAX_MESSAGE = 500


class ServerError(OSError):
    """A server that cannot be reached, does not answer in time or refuses a request."""


@dataclasses.dataclass(frozen=True)
class RestClient:
    """A model on a server, by its REST interface.

    Args:
        url: str. `http://host:port`.
        model: str. Name of the model on the server.
        version: int. Version of the model. Defaults to `None` for the newest.
        timeout: float. Seconds without a sign of the server before it is given up. Defaults to
            `60`.
    """

    url: str
    model: str
    version: int | None = None
    timeout: float = 60

    def signatures(self):
        """Asks for the signatures: a dict by name of SignatureDef in JSON form."""
        return self._call("/metadata", "metadata")["signature_def"]["signature_def"]

    def predict(self, signature, inputs):
        """Runs a signature on a dict of arrays by name and returns one."""
        outputs = self._call(":predict", "outputs", rest_request(signature, inputs))
        return {name: np.asarray(value) for name, value in outputs.items()}

    def _call(self, method, key, request=None):
        path = f"/v1/models/{urllib.parse.quote(self.model, safe='')}"
        path += "" if self.version is None else f"/versions/{self.version}"
        url = self.url.rstrip("/") + path + method
        body = None if request is None else json.dumps(request, separators=(",", ":")).encode()
        try:
            message = urllib.request.Request(url, body, {"Content-Type": "application/json"})
            try:
                response = urllib.request.urlopen(message, timeout=self.timeout)
            except urllib.error.HTTPError as error:
                response = error  # It is an answer, too.
            with response:
                status, text = response.status, response.read()
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, TimeoutError):
                raise _late(self.timeout, url) from error
            # What is no HTTP may hold any bytes.
            shown = reason if isinstance(reason, OSError | str) else repr(reason)
            raise _unreachable(f"{url}: {shown}") from error
        try:
            answer = json.loads(text)
        except ValueError:
            answer = None
        if isinstance(answer, dict) and status == 200 and key in answer:
            return answer[key]
        if isinstance(answer, dict) and "error" in answer:
            raise _refused(url, self.model, status == 404, answer["error"])
        received = f"{url}: status {status}, {text[:100]!r}"
        raise ServerError(f"The server must be TensorFlow Serving. Received: {received}")


@dataclasses.dataclass(frozen=True)
class GrpcClient:
    """A model on a server, by its gRPC interface.

    Args:
        address: str. `host:port`.
        model: str. Name of the model on the server.
        version: int. Version of the model. Defaults to `None` for the newest.
        timeout: float. Seconds that a call may take. Defaults to `60`.
    """

    address: str
    model: str
    version: int | None = None
    timeout: float = 60

    def signatures(self):
        """Asks for the signatures: a dict by name of SignatureDef in JSON form."""
        messages = artifacts.optional_import("tensorflow_serving.apis.get_model_metadata_pb2")
        from google.protobuf import json_format

        request = messages.GetModelMetadataRequest(metadata_field=["signature_def"])
        self._address(request.model_spec)
        found = messages.SignatureDefMap()
        self._call("GetModelMetadata", request).metadata["signature_def"].Unpack(found)
        return json_format.MessageToDict(found, preserving_proto_field_name=True)["signature_def"]

    def predict(self, signature, inputs):
        """Runs a signature on a dict of arrays by name and returns one."""
        import tensorflow as tf

        response = self._call("Predict", self.request(signature, inputs))
        outputs = {name: tf.make_ndarray(value) for name, value in response.outputs.items()}
        # Strings come as bytes.
        return {
            name: np.char.decode(value.astype(bytes), "utf-8") if value.dtype == object else value
            for name, value in outputs.items()
        }

    def request(self, signature, inputs):
        """Returns the PredictRequest of `predict`."""
        import tensorflow as tf

        messages = artifacts.optional_import("tensorflow_serving.apis.predict_pb2")
        request = messages.PredictRequest()
        self._address(request.model_spec)
        request.model_spec.signature_name = signature
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        return request

    def _address(self, model_spec):
        model_spec.name = self.model
        if self.version is not None:
            model_spec.version.value = self.version

    def _call(self, method, request):
        grpc = artifacts.optional_import("grpc")
        service = artifacts.optional_import("tensorflow_serving.apis.prediction_service_pb2_grpc")
        with grpc.insecure_channel(self.address) as channel:
            stub = service.PredictionServiceStub(channel)
            try:
                return getattr(stub, method)(request, timeout=self.timeout)
            except grpc.RpcError as error:
                code, details = error.code(), error.details()
                if code == grpc.StatusCode.DEADLINE_EXCEEDED:
                    raise _late(self.timeout, self.address) from error
                if code == grpc.StatusCode.UNAVAILABLE:
                    raise _unreachable(f"{self.address}: {details}") from error
                missing = code == grpc.StatusCode.NOT_FOUND
                raise _refused(self.address, self.model, missing, details) from error


def rest_request(signature, inputs):
    """Returns the body of a predict request in columns, which are the inputs of gRPC by name."""
    tensors = {name: _in_json(np.asarray(value).tolist()) for name, value in inputs.items()}
    return {"signature_name": signature, "inputs": tensors}


def _in_json(value):
    if isinstance(value, list) and value and isinstance(value[0], list | bytes):
        return [_in_json(item) for item in value]
    return {"b64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _late(timeout, address):
    return ServerError(
        f"The server must answer within {timeout:g} seconds, --timeout. "
        f"Received: nothing from {address}"
    )


def _unreachable(received):
    return ServerError(f"A server must be running and within reach. Received: {received}")


def _refused(address, model, missing, message):
    rule = f"The server must have the model {model!r}" if missing else "The server refuses"
    # Some messages quote the whole request.
    return ServerError(f"{rule}. Received: {address}: {str(message)[:MAX_MESSAGE]}")


def clip_frames(signatures):
    """Reads from the signatures of a model how many frames it takes.

    Args:
        signatures: dict that a client's `signatures` returned.

    Returns:
        int.

    Raises:
        ValueError: if the model is no export of this package.
    """
    try:
        _, frames = signatures["jpeg"]["inputs"]["frames"]["tensor_shape"]["dim"]
        if OUTPUTS <= set(signatures["jpeg"]["outputs"]) and int(frames["size"]) > 0:
            return int(frames["size"])
    except (KeyError, ValueError):
        pass
    raise ValueError(
        "The model must be one that export/to_saved_model.py wrote, with a signature 'jpeg'. "
        f"Received: signatures {', '.join(sorted(signatures))}"
    )


def encode_clip(video, frames, quality=95):
    """Reads the middle clip of a video as JPEG files.

    Args:
        video: str. A video file.
        frames: int. Frames of the clip.
        quality: int. Quality of the files, 1 to 100. Defaults to `95`.

    Returns:
        array `(1, frames)` of bytes, dtype object.

    Raises:
        BadVideoError: if the file is no video that can be decoded.
    """
    clip = data.read_frames(video, lambda count: data.segment_centre(count, frames))
    files = np.empty((1, frames), object)
    for i, frame in enumerate(clip):
        options = [cv2.IMWRITE_JPEG_QUALITY, quality]
        _, file = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), options)
        files[0, i] = file.tobytes()
    return files


def best_classes(outputs):
    """Returns a list for each clip of `(name, probability)`, best first."""
    scores = np.take_along_axis(outputs["probabilities"], outputs["classes"], axis=1)
    return [
        list(zip(names, values, strict=True))
        for names, values in zip(outputs["labels"].tolist(), scores.tolist(), strict=True)
    ]


def _make_parser():
    parser = cli.make_parser(__doc__)
    parser.add_argument("videos", nargs="+", metavar="VIDEO")
    group = parser.add_argument_group("Server")
    server = group.add_mutually_exclusive_group(required=True)
    server.add_argument("--url", type=_url, help="REST: http://host:8501")
    server.add_argument("--grpc", metavar="ADDRESS", help="gRPC: host:8500")
    group.add_argument("--model", required=True, help="name of the model on the server")
    group.add_argument("--version", type=int, help="of the model; default the newest")
    group.add_argument("--timeout", type=float, default=60, help="seconds; default 60")
    parser.add_argument("--quality", type=int, default=95, help="of JPEG, 1 to 100; default 95")
    return parser


def _url(text):
    try:
        parts = urllib.parse.urlsplit(text)
        if parts.scheme in ("http", "https") and parts.hostname:
            return text
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"must be like http://host:8501. Received: {text}")


@cli.readable_errors
def main(arguments=None):
    parser = _make_parser()
    args = parser.parse_args(arguments)
    if not 0 < args.timeout <= MAX_TIMEOUT:
        parser.error(f"--timeout must be above 0, at most {MAX_TIMEOUT}. Received: {args.timeout}")
    if not 1 <= args.quality <= 100:
        parser.error(f"--quality must be from 1 to 100. Received: {args.quality}")
    if args.version is not None and not 1 <= args.version < 2**63:
        parser.error(f"--version must be from 1 to 2**63 - 1. Received: {args.version}")

    options = args.model, args.version, args.timeout
    client = RestClient(args.url, *options) if args.url else GrpcClient(args.grpc, *options)
    frames = clip_frames(client.signatures())
    for video in args.videos:
        outputs = client.predict("jpeg", {"frames": encode_clip(video, frames, args.quality)})
        print(video)
        for name, score in best_classes(outputs)[0]:
            print(f"  {score:6.1%}  {name}")


if __name__ == "__main__":
    main()
