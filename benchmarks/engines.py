"""Our networks on their engines, each a contender of `benchmarks.turns`.

python -m benchmarks.engines '{"contender": "tensorflow", "task": "inference", ...}'
"""

import collections
import dataclasses
import importlib.metadata
import math
import os
import pathlib
import tempfile

from benchmarks.turns import serve

CLASSES = 400
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "tf32": "float32"}


def _versions(*packages):
    return {"versions": {name: importlib.metadata.version(name) for name in packages}}


def _load_keras(config, backend="tensorflow"):
    """Imports Keras on a backend, with the precision of the run."""
    os.environ["KERAS_BACKEND"] = backend
    from smallbig_keras.machine import quiet_tensorflow, set_environment

    if config["device"] == "gpu":
        # Contenders share the memory of the device.
        os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    quiet_tensorflow() if backend == "tensorflow" else set_environment()
    import keras

    if config["dtype"] == "tf32":
        import jax

        jax.config.update("jax_default_matmul_precision", "tensorfloat32")

    keras.config.set_dtype_policy(POLICIES[config["dtype"]])
    return keras


def _make_network(config):
    from smallbig_keras import models

    return models.get_model_function(config["model"])(
        variant="reference",
        input_shape=(config["frames"], config["size"], config["size"], 3),
        classes=CLASSES,
        **config["options"],
    )


def _random_clips(config, count=None):
    import numpy as np

    shape = (count or config["batch"], config["frames"], config["size"], config["size"], 3)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def _random_labels(config):
    import numpy as np

    return np.random.default_rng(0).integers(0, CLASSES, config["batch"])


def prepare(config):
    """Counts the work of the network, and exports it to the files that `exports` names."""
    backend = {"cpu": "tensorflow", "gpu": "jax"}[config["device"]]
    _load_keras({**config, "dtype": "float32"}, backend)
    import smallbig_keras
    from smallbig_keras import export

    model = _make_network(config)
    folder = pathlib.Path(config["folder"])
    for name in config["exports"]:
        if name == "saved_model":
            export.to_saved_model(model, folder / name)
        elif name.endswith(".onnx"):
            export.to_onnx(model, folder / name)
        else:
            precision = name.removesuffix(".tflite")
            clips = _random_clips(config, 16).astype("float32") if precision == "int8" else None
            export.to_tflite(model, folder / name, precision, clips)
    found = smallbig_keras.complexity(model)
    return (lambda: None), {"parameters": found.parameters, "macs": found.macs}


def graph(config, backend="tensorflow"):
    """The Keras model as `VideoClassifier.predict` calls it, or a step of its training."""
    _load_keras(config, backend)
    if config["task"] == "training":
        model, step = _jax_step(config) if backend == "jax" else _tensorflow_step(config)
    else:
        from smallbig_keras.data.clips import ClipConfig
        from smallbig_keras.models.inference import output_function

        model = _make_network(config)
        forward, _ = output_function(model, ("probabilities",))
        clips = _placed(ClipConfig().normalize(_random_clips(config)), backend)

        def step():
            return forward(clips)

    parameters = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    facts = {"parameters": parameters, **_versions("keras", backend)}
    if backend == "jax":
        import jax

        facts["wait"] = jax.block_until_ready
    return step, facts | (_gpu_facts() if config["device"] == "gpu" else {})


def _placed(array, backend):
    """Returns an array where the network is, so that no call moves it there."""
    if backend != "jax":
        return array
    import jax

    return jax.device_put(array)


def _gpu_facts():
    import jax

    device, *_ = jax.local_devices()
    if device.platform != "gpu":
        raise RuntimeError(f"JAX sees no GPU. Received: {device.device_kind}")

    def memory():
        stats = device.memory_stats()
        return stats["bytes_in_use"], stats["peak_bytes_in_use"]

    return {"memory": memory, "profile": _profile, "device": device.device_kind}


def _profile(function):
    """Returns the seconds of each kernel on a GPU in a call of a function."""
    import jax

    found = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            function()
        (file,) = pathlib.Path(folder).rglob("*.xplane.pb")
        planes = jax.profiler.ProfileData.from_file(str(file)).planes
        lines = [line for plane in planes if "/device:GPU" in plane.name for line in plane.lines]
        for line in lines:
            if line.name.startswith("Stream"):
                for event in line.events:
                    found[event.name] += event.duration_ns / 1e9
    return found


def _tensorflow_step(config):
    """A step as `smallbig fit` does it."""
    import tensorflow as tf

    from smallbig_keras.training import compiling
    from smallbig_keras.training.resolution import resolve

    given = {name: config[name] for name in ("model", "frames", "size", "options")}
    options = resolve(
        {
            "dataset": "k400",
            "weights": "none",
            # That of the twins, and of the other engines.
            "variant": "reference",
            "batch_size": config["batch"],
            "dtype": POLICIES[config["dtype"]],
            "remat": config.get("remat", False),
            **given,
        }
    )
    settings = dataclasses.asdict(options)
    settings["class_names"] = [str(i) for i in range(CLASSES)]
    model = compiling.make_model(settings, steps=1000)
    model.make_train_function()
    batch = (tf.constant(_random_clips(config)), tf.constant(_random_labels(config)))
    batches = iter(tf.data.Dataset.from_tensors(batch).repeat())
    return model, lambda: float(model.train_function(batches)["loss"])


def _jax_step(config):
    import jax
    import keras

    from smallbig_keras.data.clips import ClipConfig
    from smallbig_keras.optimizers import SGDWithL2

    model = _make_network(config)
    model.compile(
        optimizer=SGDWithL2(0.01, 0.9, 1e-4),
        loss=keras.losses.SparseCategoricalCrossentropy(),
    )
    clips = _placed(ClipConfig().normalize(_random_clips(config)), "jax")
    labels = _placed(_random_labels(config), "jax")
    model.optimizer.build(model.trainable_variables)
    # The step that `fit` compiles, and its state.
    train_step = jax.jit(model.train_step, donate_argnums=0)
    groups = (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )
    state = [tuple([v.value for v in group] for group in groups)]

    def step():
        logs, state[0] = train_step(state[0], (clips, labels))
        return logs["loss"]

    return model, step


def jax(config):
    return graph(config, "jax")


def artifact(config):
    """A file that `prepare` wrote, in the runtime that `open_artifact` has for it."""
    from smallbig_keras.export import open_artifact

    runner = open_artifact(pathlib.Path(config["folder"]) / config["file"])
    package = {"SavedModel": "tensorflow", "TFLite": "ai-edge-litert", "ONNX": "onnxruntime"}
    clips = _random_clips(config)
    return (lambda: runner.predict(clips)), _versions(package[runner.kind])


def foreign(config):
    """The ONNX file of another code, in ONNX Runtime."""
    import numpy as np
    import onnxruntime

    from smallbig_keras.machine import num_processors

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_processors()
    path = str(pathlib.Path(config["folder"]) / config["file"])
    session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    clips = np.random.default_rng(0).standard_normal(entry.shape).astype(np.float32)
    return (lambda: session.run(None, {entry.name: clips})), _versions("onnxruntime")


def openvino(config):
    """An ONNX file, ours or of another code, in OpenVINO."""
    import numpy as np
    import openvino

    core = openvino.Core()
    loaded = core.read_model(pathlib.Path(config["folder"]) / config["file"])
    is_ours = loaded.inputs[0].partial_shape.is_dynamic
    precision = {"float32": "f32", "bfloat16": "bf16"}[config["dtype"]]
    hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
    compiled = core.compile_model(loaded, "CPU", hints)
    if is_ours:
        clips = _random_clips(config).astype(np.float32)
    else:
        shape = tuple(loaded.inputs[0].shape)
        clips = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    return (lambda: compiled(clips)), _versions("openvino")


def matrix(config):
    """The product of two square matrices: the rate that the machine reaches."""
    from smallbig_keras.machine import quiet_tensorflow

    tf = quiet_tensorflow()
    side = config["matrix"]
    a, b = (tf.cast(tf.random.normal((side, side)), config["dtype"]) for _ in range(2))
    product = tf.function(tf.matmul, jit_compile=False)
    return (lambda: product(a, b)[0, 0].numpy()), _versions("tensorflow")


MAKERS = {
    "prepare": prepare,
    "tensorflow": graph,
    "tensorflow-remat": graph,
    "saved-model": artifact,
    "jax": jax,
    "litert": artifact,
    "litert-int8": artifact,
    "onnxruntime": artifact,
    "openvino": openvino,
    "torch-onnxruntime": foreign,
    "torch-openvino": openvino,
    "matrix": matrix,
}

if __name__ == "__main__":
    serve(lambda config: MAKERS[config["contender"]](config))
