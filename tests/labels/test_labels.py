"""Class names, preprocessing and decoding."""

import importlib.util

import keras
import numpy as np
import pytest

from smallbig_keras import class_names, decode_predictions, preprocess_input
from tests.fresh_process import run_python

COUNTS = {"hmdb51": 51, "k400": 400, "sthv1": 174, "sthv2": 174, "ucf101": 101}


@pytest.mark.parametrize("dataset", COUNTS)
def test_class_names(dataset):
    names = class_names(dataset)
    assert len(set(names)) == COUNTS[dataset]
    assert all(name == name.strip() and name for name in names)


def test_label_order():
    assert class_names("k400")[0] == "abseiling"
    assert class_names("sthv2")[165:168] == [
        "Turning the camera downwards while filming something",
        "Turning the camera left while filming something",
        "Turning the camera right while filming something",
    ]
    assert sorted(class_names("sthv1")) == sorted(class_names("sthv2"))


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float32", "float64"])
def test_preprocessing(dtype):
    """ImageNet's mean in 0..255 gives 0, a deviation above it 1."""
    mean, std = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
    clips = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 5, 3)).astype(dtype)
    expected = (clips.astype("float64") - mean) / std
    np.testing.assert_allclose(preprocess_input(clips), expected, rtol=1e-5, atol=1e-5)
    assert preprocess_input(clips).dtype == "float32"
    tensor = preprocess_input(keras.ops.convert_to_tensor(clips))
    np.testing.assert_allclose(tensor, expected, rtol=1e-5, atol=1e-5)
    assert keras.backend.standardize_dtype(tensor.dtype) == "float32"


def test_decoding():
    scores = np.array([[0.1, 0.6, 0.3], [0.5, 0.2, 0.3]])
    expected = [[("b", 0.6), ("c", 0.3)], [("a", 0.5), ("c", 0.3)]]
    assert decode_predictions(scores, top=2, labels=["a", "b", "c"]) == expected
    scores = np.eye(400)[[7]]
    assert decode_predictions(scores)[0][0] == (class_names("k400")[7], 1.0)
    assert len(decode_predictions(scores)[0]) == 5


@pytest.mark.parametrize("dtype", ["float16", "uint8", "int32"])
def test_decoding_of_any_type(dtype):
    scores = np.array([[0, 200, 30]], dtype)
    assert decode_predictions(scores, labels="a b c".split()) == [[("b", 200), ("c", 30), ("a", 0)]]


class TensorWithGradient:
    """A tensor that NumPy cannot read, as those of PyTorch that need gradients."""

    def __array__(self, *_args, **_kwargs):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")


def test_decoding_of_a_tensor_with_a_gradient(monkeypatch):
    monkeypatch.setattr(keras.ops, "convert_to_numpy", lambda _: np.array([[0.25, 0.75]]))
    expected = [[("b", 0.75), ("a", 0.25)]]
    assert decode_predictions(TensorWithGradient(), labels=["a", "b"]) == expected


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_decoding_of_the_scores_of_a_model(backend, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    script = """
        import keras, numpy as np, smallbig_keras
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, use_bias=False)])
        model.set_weights([np.array([[1.0, 2.0]] * 3)])
        decoded = smallbig_keras.decode_predictions(model(np.ones((1, 3))), labels=["a", "b"])
        assert decoded == [[("b", 6.0), ("a", 3.0)]], decoded
    """
    run_python(script, tmp_path, backend)


@pytest.mark.parametrize(
    "call, rule",
    [
        (lambda: decode_predictions(np.eye(3), top=-1, labels=["a", "b", "c"]), "`top` must be"),
        (lambda: decode_predictions(np.eye(1), top=0, labels=["a"]), "`top` must be an int of"),
        (
            lambda: decode_predictions(np.eye(1), top=1.5, labels=["a"]),
            "`top` must be an int of",
        ),
        (lambda: decode_predictions(np.eye(1), top=True, labels=["a"]), "`top` must be an int of"),
        (lambda: decode_predictions(np.eye(1), top=None, labels=["a"]), "`top` must be an int of"),
        (
            lambda: decode_predictions(np.zeros((1, 10))),
            r"class of dataset='k400'. Received: .*\n.*the 10 classes with labels=.* dataset= from",
        ),
        (lambda: decode_predictions(np.eye(2), labels=["a"]), r"`\(batch, 1\)`.* of `labels`"),
        (lambda: class_names("k600"), "`dataset` must be"),
        (lambda: decode_predictions(np.zeros((1, 3))), r"`\(batch, 400\)`"),
        (lambda: decode_predictions(np.zeros((1, 4)), labels="k400"), "goes into `dataset`"),
        (lambda: decode_predictions(np.zeros(400)), r"`\(batch, 400\)`"),
        (lambda: preprocess_input(np.zeros((8, 224, 224, 1))), "three RGB channels"),
    ],
)
def test_bad_arguments(call, rule):
    with pytest.raises(ValueError, match=rule) as error:
        call()
    assert "Received: " in str(error.value)
