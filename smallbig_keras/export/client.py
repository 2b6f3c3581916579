"""Clients of TensorFlow Serving for models that `to_saved_model` wrote."""

import base64
import dataclasses
import http.client
import json
import urllib.error
import urllib.parse
import urllib.request

import numpy as np
import tensorflow as tf

from smallbig_keras.data.inputs import as_video
from smallbig_keras.data.sources import read_video
from smallbig_keras.errors import ResourceError, SmallBigError, optional_import
from smallbig_keras.export.runners import clips_in

OUTPUTS = {"probabilities", "logits", "classes", "labels"}
MAX_TIMEOUT = 86400
_MAX_MESSAGE = 500


class ServerError(ResourceError):
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

    Raises:
        SmallBigError: an argument is not allowed.
        ServerError: by the methods, if the server does not answer or refuses.
    """

    url: str
    model: str
    version: int | None = None
    timeout: float = 60

    def __post_init__(self):
        _check(self.version, self.timeout)
        try:
            parts = urllib.parse.urlsplit(self.url)
            good = parts.scheme in ("http", "https") and parts.hostname
        except ValueError:
            good = False
        if not good:
            raise SmallBigError(f"A URL must be like http://host:8501. Received: {self.url}")

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
            # An answer that is not HTTP may hold any bytes.
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

    Raises:
        SmallBigError: an argument is not allowed.
        MissingPackageError: by the methods, if `grpc` or `tensorflow-serving-api` is missing.
        ServerError: by the methods, if the server does not answer or refuses.
    """

    address: str
    model: str
    version: int | None = None
    timeout: float = 60

    def __post_init__(self):
        _check(self.version, self.timeout)

    def signatures(self):
        """Asks for the signatures: a dict by name of SignatureDef in JSON form."""
        messages = optional_import("tensorflow_serving.apis.get_model_metadata_pb2", "export")
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

        messages = optional_import("tensorflow_serving.apis.predict_pb2", "export")
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
        grpc = optional_import("grpc", "export")
        service = optional_import("tensorflow_serving.apis.prediction_service_pb2_grpc", "export")
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
    """Makes the body of a predict request in columns, the named inputs of gRPC.

    Args:
        signature: str. Name of the signature.
        inputs: dict of arrays by name.

    Returns:
        dict that JSON can hold.
    """
    tensors = {name: _in_json(np.asarray(value).tolist()) for name, value in inputs.items()}
    return {"signature_name": signature, "inputs": tensors}


def server_clips(client):
    """Asks a model on a server for the clips that it was made for.

    Args:
        client: RestClient or GrpcClient.

    Returns:
        ClipConfig.

    Raises:
        ServerError: the server does not answer or refuses.
        SmallBigError: the model is no export of this package, or of an older version.
    """
    signatures = client.signatures()
    outputs = {name: set(signature["outputs"]) for name, signature in signatures.items()}
    if not OUTPUTS <= outputs.get("jpeg", set()) or "metadata" not in outputs:
        raise SmallBigError(
            "The model must be a SavedModel that this package exported, with the signatures "
            "'jpeg' and 'metadata'. Export it again if it is of an older version. "
            f"Received: signatures {', '.join(sorted(signatures))}"
        )
    answer = client.predict("metadata", {"request": np.array([b""], object)})
    return clips_in(json.loads(str(answer["metadata"][0])))


def encode_clip(video, clips, quality=95):
    """Reads the middle clip of a video as JPEG files.

    Args:
        video: str, path, bytes, `Video`, array or iterable of frames.
        clips: ClipConfig. Its rule chooses the frames; the server resizes and crops them.
        quality: int. Quality of the files, 1 to 100. Defaults to `95`.

    Returns:
        array `(1, frames)` of bytes, dtype object.

    Raises:
        SmallBigError: `quality` is out of range.
        BadVideoError: the file is no video that can be decoded.
    """
    if not 1 <= quality <= 100:
        raise SmallBigError(f"`quality` must be from 1 to 100. Received: {quality=}")
    sampler = clips.sampler()
    clip, _ = read_video(as_video(video), lambda count: sampler(count)[0])
    files = np.empty((1, len(clip)), object)
    for i, frame in enumerate(clip):
        files[0, i] = tf.io.encode_jpeg(frame, quality=quality).numpy()
    return files


def best_classes(outputs):
    """Pairs the names of the best classes with their probabilities.

    Args:
        outputs: dict that a client's `predict` returned.

    Returns:
        list with a list for each clip of `(name, probability)`, best first.
    """
    scores = np.take_along_axis(outputs["probabilities"], outputs["classes"], axis=1)
    return [
        list(zip(names, values, strict=True))
        for names, values in zip(outputs["labels"].tolist(), scores.tolist(), strict=True)
    ]


def _check(version, timeout):
    if not 0 < timeout <= MAX_TIMEOUT:
        raise SmallBigError(
            f"`timeout` must be above 0, at most {MAX_TIMEOUT} seconds. Received: {timeout=}"
        )
    if version is not None and not 1 <= version < 2**63:
        raise SmallBigError(f"`version` must be from 1 to 2**63 - 1. Received: {version=}")


def _in_json(value):
    if isinstance(value, list) and value and isinstance(value[0], list | bytes):
        return [_in_json(item) for item in value]
    return {"b64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _late(timeout, address):
    return ServerError(
        f"The server must answer within {timeout:g} seconds, `timeout` (--timeout). "
        f"Received: nothing from {address}"
    )


def _unreachable(received):
    return ServerError(f"A server must be running and within reach. Received: {received}")


def _refused(address, model, missing, message):
    rule = f"The server must have the model {model!r}" if missing else "The server refuses"
    # Some messages have many lines and quote the whole request.
    shown = " ".join(str(message).split())[:_MAX_MESSAGE]
    return ServerError(f"{rule}. Received: {address}: {shown}")
