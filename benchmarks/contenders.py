"""The contenders of `benchmarks.speed`: a table."""

import dataclasses

_BOTH, _INFERENCE = ("inference", "training"), ("inference",)
_ANY, _FLOAT32 = ("float32", "bfloat16"), ("float32",)
# Precisions of a device; `tf32` is float32 with the products of matrices in TensorFloat-32.
DTYPES = {"cpu": _ANY, "gpu": ("bfloat16", "tf32")}


@dataclasses.dataclass(frozen=True)
class Row:
    """A contender.

    Args:
        title: str. The name in tables.
        kind: `"ours"`, `"twin"` for our network in PyTorch, `"other"` for another network, or
            `"matrix"`.
        tasks: tuple of those that it does. Defaults to both.
        dtypes: tuple of the precisions that it has on a processor. Defaults to both.
        gpu: bool. True if it is one of those that are compared on a GPU, in any precision.
        is_peer: bool. True if it runs in the environment with PyTorch.
        file: str. The file that it runs, written before. Defaults to `None`.
        config: dict of what its process needs to know beside. Defaults to none.
        rival: str. The contender on the same engine that it is compared with. Defaults to `None`.
    """

    title: str
    kind: str = "ours"
    tasks: tuple = _BOTH
    dtypes: tuple = _ANY
    gpu: bool = False
    is_peer: bool = False
    file: str | None = None
    config: dict = dataclasses.field(default_factory=dict)
    rival: str | None = None


def _artifact(title, file, dtypes=_FLOAT32, **fields):
    return Row(title, tasks=_INFERENCE, dtypes=dtypes, file=file, **fields)


def _twin(title, gpu=False, **config):
    return Row(title, "twin", gpu=gpu, is_peer=True, config=config)


def _other(name, tasks=_INFERENCE):
    title, config = f"torchvision {name}", {"network": name, "layout": "channels-last"}
    return Row(title, "other", tasks, is_peer=True, config=config)


PEER_FILE = "peer.onnx"
CONTENDERS = {
    "tensorflow": Row("TensorFlow graph"),
    "tensorflow-remat": Row(
        "TensorFlow graph, --remat", tasks=("training",), config={"remat": True}
    ),
    "saved-model": _artifact("SavedModel", "saved_model"),
    "jax": Row("JAX", gpu=True),
    "litert": _artifact("LiteRT", "float32.tflite"),
    "litert-int8": _artifact("LiteRT int8", "int8.tflite"),
    "onnxruntime": _artifact("ONNX Runtime", "model.onnx", rival="torch-onnxruntime"),
    "openvino": _artifact("OpenVINO", "model.onnx", _ANY, rival="torch-openvino"),
    "torch": _twin("PyTorch"),
    "torch-channels-last": _twin("PyTorch channels-last", gpu=True, layout="channels-last"),
    "torch-compiled": _twin("PyTorch compiled", gpu=True, layout="channels-last", compile=True),
    # Weights become constants: PyTorch's advice for inference on processors.
    "torch-frozen": dataclasses.replace(
        _twin("PyTorch compiled, frozen", layout="channels-last", compile=True, freeze=True),
        tasks=_INFERENCE,
    ),
    "torch-onnxruntime": _artifact("PyTorch's ONNX, ONNX Runtime", PEER_FILE, kind="twin"),
    "torch-openvino": _artifact("PyTorch's ONNX, OpenVINO", PEER_FILE, _ANY, kind="twin"),
    "r3d_18": _other("r3d_18", _BOTH),
    "r2plus1d_18": _other("r2plus1d_18", _BOTH),
    "s3d": _other("s3d"),
    "mvit_v1_b": _other("mvit_v1_b"),
    "swin3d_t": _other("swin3d_t"),
    "matrix": Row("TensorFlow matrix product", "matrix"),
    "torch-matrix": Row("PyTorch matrix product", "matrix", gpu=True, is_peer=True),
}


def suitable(task, dtype, device="cpu"):
    """Returns the names of the contenders that do a task in a precision on a device."""
    able = {n: row.gpu if device == "gpu" else dtype in row.dtypes for n, row in CONTENDERS.items()}
    return [n for n, row in CONTENDERS.items() if task in row.tasks and able[n]]


def needs_peers(name):
    """Tells whether a contender needs the environment with PyTorch, or a file of it."""
    row = CONTENDERS[name]
    return row.is_peer or row.file == PEER_FILE
