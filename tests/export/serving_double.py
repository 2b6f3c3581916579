"""A double of TensorFlow Serving's protocol, not of the server, for tests where it is not there.

It runs the signatures of a SavedModel as the server does, in a session by the names of their
tensors, and speaks REST and gRPC as the server's documentation, its sources (`json_tensor.cc`,
`http_rest_api_handler.cc`, `http_rest_api_util.cc`, `predict_util.cc`) and the messages of
`tensorflow-serving-api` say. It has no batching, labels of versions, reloading or
classify and regress, and it says nothing on how fast or how stable the server is.

    python -m tests.export.serving_double models/smallbig    # serves until Ctrl-C
"""

import base64
import concurrent.futures
import http.server
import inspect
import json
import pathlib
import re
import sys
import threading
import urllib.parse

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    predict_pb2,
    prediction_log_pb2,
)
from tensorflow_serving.apis import prediction_service_pb2_grpc as service

HOST = "127.0.0.1"
PREDICT = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d+))?:predict")
MODEL = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d+))?(/metadata)?")
HTTP_STATUS = {3: 400, 4: 504, 5: 404, 9: 400, 11: 400, 12: 501, 14: 503}  # By error code.
GRPC_STATUS = {code.value[0]: code for code in grpc.StatusCode}
# The name that the flag has until protobuf 4.
WITH_DEFAULTS = "including_default_value_fields"
if WITH_DEFAULTS not in inspect.signature(json_format.MessageToDict).parameters:
    WITH_DEFAULTS = "always_print_fields_with_no_presence"


class ServingDouble:
    """Serves the newest version in a model's folder; `url` and `address` say where.

    It is a context manager. `warmed_up` lists the signatures of the warm-up requests.
    """

    def __init__(self, path, rest_port=0, grpc_port=0):
        path = pathlib.Path(path)
        self.name = path.name
        self.version = max(int(p.name) for p in path.iterdir() if p.name.isdigit())
        folder = path / str(self.version)
        saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
        self.signatures = dict(saved.meta_graphs[0].signature_def)
        with tf.Graph().as_default():
            self.session = tf.compat.v1.Session()
            tf.compat.v1.saved_model.load(self.session, ["serve"], str(folder))
        self.warmed_up = []
        self._warm_up(folder / "assets.extra" / "tf_serving_warmup_requests")

        self._http = http.server.ThreadingHTTPServer((HOST, rest_port), _Handler)
        self._http.double = self
        self._grpc = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
        service.add_PredictionServiceServicer_to_server(_Servicer(self), self._grpc)
        self.url = f"http://{HOST}:{self._http.server_address[1]}"
        self.address = f"{HOST}:{self._grpc.add_insecure_port(f'{HOST}:{grpc_port}')}"

    def __enter__(self):
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,))
        self._thread.start()
        self._grpc.start()
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
        self._grpc.stop(None).wait()
        self.session.close()

    def _warm_up(self, path):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
            self._run(request)
            self.warmed_up.append(request.model_spec.signature_name)

    def check_model(self, name, version=None):
        wanted = f"Specific({name}, {version})" if version else f"Latest({name})"
        if name != self.name or version not in (None, 0, self.version):
            raise refusal(f"Servable not found for request: {wanted}", tf.errors.NotFoundError)

    def predict(self, request):
        """Answers a PredictRequest with a PredictResponse."""
        self.check_model(request.model_spec.name, request.model_spec.version.value)
        return self._run(request)

    def _run(self, request):
        name = request.model_spec.signature_name or "serving_default"
        if name not in self.signatures:
            message = f'Serving signature key "{name}" not found.'
            raise refusal(message, tf.errors.FailedPreconditionError)
        signature = self.signatures[name]
        if set(request.inputs) != set(signature.inputs):
            found, expected = (",".join(m.inputs) for m in (request, signature))
            raise refusal(f"input size does not match signature: {found} != {expected}")
        feeds = {}
        for key, tensor in request.inputs.items():
            info = signature.inputs[key]
            if tensor.dtype != info.dtype:  # The session of Python would convert it.
                found, expected = (tf.as_dtype(t.dtype).name for t in (tensor, info))
                raise refusal(f"Expects arg[0] to be {expected} but {found} is provided")
            feeds[info.name] = tf.make_ndarray(tensor)
        names = {key: info.name for key, info in signature.outputs.items()}
        try:
            outputs = self.session.run(names, feeds)
        except ValueError as error:  # A shape that Python refuses before the session sees it.
            raise refusal(str(error)) from None
        response = predict_pb2.PredictResponse()
        response.model_spec.CopyFrom(request.model_spec)
        response.model_spec.signature_name = name
        response.model_spec.version.value = self.version
        for key, value in outputs.items():
            response.outputs[key].CopyFrom(tf.make_tensor_proto(value))
        return response

    def metadata(self):
        """Returns a GetModelMetadataResponse."""
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = self.name
        response.model_spec.version.value = self.version
        signatures = get_model_metadata_pb2.SignatureDefMap(signature_def=self.signatures)
        response.metadata["signature_def"].Pack(signatures)
        return response


def refusal(message, kind=tf.errors.InvalidArgumentError):
    return kind(None, None, message)


class _Servicer(service.PredictionServiceServicer):
    def __init__(self, double):
        self.double = double

    def Predict(self, request, context):
        try:
            return self.double.predict(request)
        except tf.errors.OpError as error:
            context.abort(GRPC_STATUS[error.error_code], error.message)

    def GetModelMetadata(self, request, context):
        if list(request.metadata_field) != ["signature_def"]:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "metadata_field must be signature_def")
        try:
            self.double.check_model(request.model_spec.name, request.model_spec.version.value)
        except tf.errors.OpError as error:
            context.abort(GRPC_STATUS[error.error_code], error.message)
        return self.double.metadata()


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self._answer(self._describe)

    def do_POST(self):
        self._answer(self._predict)

    def log_message(self, *_):
        pass

    def _answer(self, function):
        length = int(self.headers.get("Content-Length", 0))
        try:
            status, answer = 200, function(self.rfile.read(length))
        except tf.errors.OpError as error:
            status, answer = HTTP_STATUS.get(error.error_code, 500), {"error": error.message}
        text = json.dumps(answer, indent=4).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _match(self, pattern):
        match = pattern.fullmatch(self.path)
        if match is None:
            raise refusal(f"Malformed request: {self.command} {self.path}")
        name, version, *rest = match.groups()
        name, version = urllib.parse.unquote(name), version and int(version)
        self.server.double.check_model(name, version)
        return name, version, *rest

    def _describe(self, _):
        *_, metadata = self._match(MODEL)
        double = self.server.double
        if not metadata:
            status = get_model_status_pb2.GetModelStatusResponse()
            version = status.model_version_status.add(version=double.version, state="AVAILABLE")
            version.status.error_code = 0
            return _fields(status)
        response = double.metadata()
        signatures = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        return {
            "model_spec": _fields(response.model_spec),
            "metadata": {"signature_def": _fields(signatures)},
        }

    def _predict(self, body):
        name, version, *_ = self._match(PREDICT)
        request, in_rows = request_from_json(body, self.server.double.signatures)
        request.model_spec.name = name
        request.model_spec.version.value = version or 0
        return json_from_response(self.server.double.predict(request), in_rows)


def _fields(message):
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, **{WITH_DEFAULTS: True}
    )


def request_from_json(body, signatures):
    """Reads a body: the PredictRequest without its model, and whether it is in rows."""
    try:
        document = json.loads(body)
    except ValueError as error:
        raise refusal(f"JSON Parse error: {error}") from None
    if not isinstance(document, dict):
        raise refusal("JSON Value: Is not object")
    name = document.get("signature_name", "serving_default")
    if name not in signatures:
        raise refusal(f'Serving signature name: "{name}" not found in signature def')
    infos = signatures[name].inputs
    rows, columns = document.get("instances"), document.get("inputs")
    if (rows is None) == (columns is None):
        raise refusal("Missing 'inputs' or 'instances' key, or both are there")
    if rows is not None:
        if not isinstance(rows, list) or not rows:
            raise refusal("Expecting 'instances' to be a list of values")
        named = isinstance(rows[0], dict) and not _is_base64(rows[0])
        if any((isinstance(r, dict) and not _is_base64(r)) != named for r in rows):
            raise refusal("'instances' mixes objects and values")
        rows = rows if named else [{next(iter(infos)): row} for row in rows]
        if any(set(row) != set(infos) for row in rows):
            raise refusal(f"'instances' list: keys must be equal to: {','.join(infos)}")
        columns = {key: [row[key] for row in rows] for key in infos}
    elif not isinstance(columns, dict) or _is_base64(columns):
        columns = {next(iter(infos)): columns}
    request = predict_pb2.PredictRequest()
    request.model_spec.signature_name = name
    for key, info in infos.items():
        if key not in columns:
            raise refusal(f"Missing named input: {key} in 'inputs' object.")
        values, shape = [], _shape(columns[key])
        _fill(columns[key], shape, tf.as_dtype(info.dtype), values)
        request.inputs[key].CopyFrom(tf.make_tensor_proto(values, info.dtype, shape))
    return request, rows is not None


def _is_base64(value):
    return isinstance(value, dict) and list(value) == ["b64"] and isinstance(value["b64"], str)


def _shape(value):
    return [len(value), *_shape(value[0])] if isinstance(value, list) and value else []


def _fill(value, shape, dtype, values):
    if isinstance(value, list):
        if not shape or len(value) != shape[0]:
            raise refusal(f"Encountered list at unexpected size: {len(value)}")
        for item in value:
            _fill(item, shape[1:], dtype, values)
        return
    if shape:
        raise refusal(f"JSON Value: {value} found at incorrect level")
    if dtype == tf.string and _is_base64(value):
        try:
            value = base64.b64decode(value["b64"], validate=True)
        except ValueError:
            raise refusal("Unable to base64 decode") from None
    kinds = (str, bytes) if dtype == tf.string else int if dtype.is_integer else (int, float)
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise refusal(f"JSON Value: {value} is not of expected type: {dtype.name}")
    values.append(value)


def json_from_response(response, in_rows):
    """Writes the outputs of a PredictResponse as columns, or as rows where the request had them."""
    columns = {}
    for key, tensor in response.outputs.items():
        value = tf.make_ndarray(tensor)
        columns[key] = [_plain(v, key.endswith("_bytes")) for v in value]
    if not in_rows:
        return {"outputs": columns if len(columns) > 1 else columns.popitem()[1]}
    if len(columns) == 1:
        return {"predictions": columns.popitem()[1]}
    rows = zip(*columns.values(), strict=True)
    return {"predictions": [dict(zip(columns, row, strict=True)) for row in rows]}


def _plain(value, as_bytes):
    if isinstance(value, np.ndarray):
        return [_plain(item, as_bytes) for item in value]
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()} if as_bytes else value.decode()
    # The fewest digits that give the same float32.
    return float(str(value)) if isinstance(value, np.floating) else value.item()


if __name__ == "__main__":
    with ServingDouble(sys.argv[1], 8501, 8500) as double:
        print(f"REST {double.url}, gRPC {double.address}", flush=True)
        threading.Event().wait()
