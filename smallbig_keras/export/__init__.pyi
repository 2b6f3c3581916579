from .client import (
    GrpcClient as GrpcClient,
    RestClient as RestClient,
    ServerError as ServerError,
    best_classes as best_classes,
    encode_clip as encode_clip,
    rest_request as rest_request,
    server_clips as server_clips,
)
from .comparison import Comparison as Comparison, compare as compare, format_table as format_table
from .onnx_export import to_onnx as to_onnx
from .runners import Runner as Runner, open_artifact as open_artifact
from .saved_model import to_saved_model as to_saved_model
from .tflite import to_tflite as to_tflite
