from .comparison import (
    Comparison as Comparison,
)
from .comparison import (
    compare as compare,
)
from .comparison import (
    format_table as format_table,
)
from .onnx_export import (
    to_onnx as to_onnx,
)
from .runners import (
    Runner as Runner,
)
from .runners import (
    open_artifact as open_artifact,
)
from .saved_model import (
    to_saved_model as to_saved_model,
)
from .tflite import (
    to_tflite as to_tflite,
)
