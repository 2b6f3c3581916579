"""A double of TensorFlow Serving's protocol for one model: gRPC, and REST with inputs in columns.

It runs the signatures of a SavedModel as the server does, in a session by the names of their
tensors, after the server's documentation and sources (`json_tensor.cc`,
`http_rest_api_handler.cc`, `predict_util.cc`). It says nothing on speed or stability.
"""

import base64
import concurrent.futures
import contextlib
import http.server
import json
import re
import threading
import urllib.parse

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc as service,
)

HOST = "127.0.0.1"
PATH = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d+))?(/metadata|:predict)")
GRPC_STATUS = {code.value[0]: code for code in grpc.StatusCode}


class ServingDouble(service.PredictionServiceServicer):
    """The newest version in a model's folder; `warmed_up` lists its warm-up requests."""

    def __init__(self, path):
        self.name, self.version = path.name, max(int(p.name) for p in path.iterdir())
        folder = path / str(self.version)
        saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
        self.signatures = dict(saved.meta_graphs[0].signature_def)
        with tf.Graph().as_default():
            self.session = tf.compat.v1.Session()
            tf.compat.v1.saved_model.load(self.session, ["serve"], str(folder))
        self.warmed_up = []
        records = tf.data.TFRecordDataset(str(folder / "assets.extra/tf_serving_warmup_requests"))
        for record in records.as_numpy_iterator():
            request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
            self.Predict(request)
            self.warmed_up.append(request.model_spec.signature_name)

    def Predict(self, request, context=None):
        with self._refusals(request, context):
            signature = self.signature(request.model_spec.signature_name)
            feeds = {}
            for key, info in signature.inputs.items():
                if request.inputs[key].dtype != info.dtype:  # Python's session would convert it.
                    raise refusal(f"Expects {key} to be {tf.as_dtype(info.dtype).name}")
                feeds[info.name] = tf.make_ndarray(request.inputs[key])
            names = {key: info.name for key, info in signature.outputs.items()}
            try:
                outputs = self.session.run(names, feeds)
            except ValueError as error:  # A shape that Python refuses before the session sees it.
                raise refusal(str(error)) from None
            response = predict_pb2.PredictResponse()
            for key, value in outputs.items():
                response.outputs[key].CopyFrom(tf.make_tensor_proto(value))
            return response

    def GetModelMetadata(self, request, context=None):
        with self._refusals(request, context):
            response = get_model_metadata_pb2.GetModelMetadataResponse()
            signatures = get_model_metadata_pb2.SignatureDefMap(signature_def=self.signatures)
            response.metadata["signature_def"].Pack(signatures)
            return response

    def signature(self, name):
        if name not in self.signatures:
            raise refusal(f'"{name}" not found in signature def')
        return self.signatures[name]

    @contextlib.contextmanager
    def _refusals(self, request, context):
        """Refuses another model, and answers errors by gRPC's status."""
        try:
            name, version = request.model_spec.name, request.model_spec.version.value
            if name != self.name or version not in (0, self.version):
                wanted = f"Specific({name}, {version})" if version else f"Latest({name})"
                raise refusal(f"Servable not found for request: {wanted}", tf.errors.NotFoundError)
            yield
        except tf.errors.OpError as error:
            if context is None:
                raise
            context.abort(GRPC_STATUS[error.error_code], error.message)


def refusal(message, kind=tf.errors.InvalidArgumentError):
    return kind(None, None, message)


@contextlib.contextmanager
def serve(path):
    """Serves a model's folder; `url` and `address` of the double say where."""
    double = ServingDouble(path)
    rest = http.server.ThreadingHTTPServer((HOST, 0), _Rest)
    rest.double = double
    thread = threading.Thread(target=rest.serve_forever, args=(0.05,))
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
    service.add_PredictionServiceServicer_to_server(double, server)
    double.url = f"http://{HOST}:{rest.server_address[1]}"
    double.address = f"{HOST}:{server.add_insecure_port(f'{HOST}:0')}"
    thread.start()
    server.start()
    yield double
    rest.shutdown()
    thread.join()
    rest.server_close()
    server.stop(None).wait()
    double.session.close()


class _Rest(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            status, answer = 200, self._run(body)
        except tf.errors.OpError as error:
            status = 404 if isinstance(error, tf.errors.NotFoundError) else 400
            answer = {"error": error.message}
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(answer, indent=4).encode())

    do_POST = do_GET

    def _run(self, body):
        double = self.server.double
        name, version, method = PATH.fullmatch(self.path).groups()
        spec = {"name": urllib.parse.unquote(name), "version": {"value": int(version or 0)}}
        if method == ":predict":
            request = request_from_json(body, double)
            request.model_spec.MergeFrom(type(request.model_spec)(**spec))
            outputs = double.Predict(request).outputs
            answer = {key: _in_json(tensor) for key, tensor in outputs.items()}
            # The only output comes without its name.
            return {"outputs": answer if len(answer) > 1 else next(iter(answer.values()))}
        request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        double.GetModelMetadata(request).metadata["signature_def"].Unpack(signatures)
        fields = json_format.MessageToDict(signatures, preserving_proto_field_name=True)
        return {"metadata": {"signature_def": fields}}


def request_from_json(body, double):
    """Reads the PredictRequest, without its model, of a body in columns."""
    document = json.loads(body)
    name = document["signature_name"]
    request = predict_pb2.PredictRequest(model_spec={"signature_name": name})
    for key, info in double.signature(name).inputs.items():
        value, dtype = np.array(document["inputs"][key], object), tf.as_dtype(info.dtype)
        if dtype == tf.string:
            value = np.vectorize(lambda v: base64.b64decode(v["b64"]), otypes=[object])(value)
        elif not all(isinstance(v, int) for v in value.flat):
            raise refusal(f"JSON Value is not of expected type: {dtype.name}")
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value, dtype, value.shape))
    return request


def _in_json(tensor):
    value = tf.make_ndarray(tensor)
    return (np.char.decode(value.astype(bytes)) if value.dtype == object else value).tolist()
