"""Properties of every network: views, time, sizes, policies, round trips."""

import inspect
import json
import os
import pickle
import re
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import smallbig_keras
from smallbig_keras import models
from smallbig_keras.weights import reference_variables
from tests.conftest import randomize as random_weights
from tests.fresh_process import run_python
from tests.models.networks import (
    SIZES,
    distinct_variants,
    family,
    frames_of,
    row,
    tells_order,
    tiny,
)

TINY = tiny("SmallBigR50")
SHAPE = (4, 32, 32, 3)


VARIANTS = distinct_variants()
SMALLBIG = [(name, variant) for name, variant in VARIANTS if "SmallBig" in name]


def shape_of(name, variant):
    frames = frames_of(name, variant, 1 if family(name) is models.VideoResNetSpec else 8)
    return (max(SHAPE[0], frames), *SHAPE[1:])


def build(name, variant="reference", **options):
    options = {"input_shape": shape_of(name, variant), **tiny(name), **options}
    return models.get_model_function(name)(variant=variant, **options)


def clips(shape=(2, *SHAPE), seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def copy_weights(target, source):
    """Sets the weights that both networks have, by the names of the 2-D network."""
    sources = reference_variables(source)
    for name, variable in reference_variables(target).items():
        if name in sources:
            variable.assign(sources[name])


EXTRAS = [{}, {"extra": "smallbig"}, {"extra": "smallbig", "extra_position": "output"}]
FRESH = [("SmallBigR50", {"pool": "avg", **extra}) for extra in EXTRAS]
FRESH += [("SmallBigR23", {"variant": "paper"}), ("SmallBigR50", {"units": (1, 3)})]


@pytest.mark.parametrize("name, options", FRESH)
def test_fresh_model_is_the_2d_network_on_every_frame(name, options, randomize):
    """New big views and extra units add nothing (paper, section 6, "Training")."""
    plain = build("C2DR50", input_shape=(None, *SHAPE[1:]), classifier_activation=None)
    randomize(plain)
    model = build(name, classifier_activation=None, **options)
    copy_weights(model, plain)
    x = clips()
    frames = [plain(x[:, t : t + 1], training=False) for t in range(SHAPE[0])]
    np.testing.assert_allclose(model(x), np.mean(frames, axis=0), rtol=1e-4, atol=1e-5)


def test_squeeze_excite_starts_as_the_2d_network(randomize):
    plain = randomize(build("C2DR50", classifier_activation=None))
    model = build("SmallBigR50", extra="squeeze_excite", classifier_activation=None)
    plain_names = {v.path.replace("/", "_"): v for v in plain.weights}
    for variable in model.weights:
        source = plain_names.get(variable.path.replace("/", "_"))
        if source is not None:
            variable.assign(source)
    np.testing.assert_allclose(model(clips()), plain(clips()), rtol=1e-4, atol=1e-5)


@pytest.fixture(params=VARIANTS, ids="-".join, scope="module")
def network(request):
    """Name, variant, and the small network with random weights, which gives logits."""
    model = build(*request.param, classifier_activation=None)
    return *request.param, random_weights(model)


def test_order_of_frames(network):
    """Big views, poolings and attention are symmetric in time; the other kinds are not."""
    name, variant, model = network
    x = clips((2, *shape_of(name, variant)))
    forward, backward = model(x).numpy(), model(x[:, ::-1]).numpy()
    difference = np.abs(forward - backward).max()
    of_another = np.abs(forward - model(clips(x.shape, seed=9)).numpy()).max()
    # A network that sees no clip tells nothing.
    assert of_another > 1e-3 * np.abs(forward).max()
    if tells_order(name, variant):
        assert difference > 1e-1 * of_another
    else:
        assert difference < 1e-4 * of_another


@pytest.mark.parametrize("name, variant", SMALLBIG)
def test_frames_share_what_they_see(name, variant, randomize):
    """One changed frame changes the features of the others: the network is not 2-D."""
    model = randomize(build(name, variant, include_top=False))
    x = clips()
    changed = x.copy()
    changed[:, 0] += 1
    features = np.asarray(model(x)), np.asarray(model(changed))
    assert np.abs(features[0][:, -1] - features[1][:, -1]).max() > 1e-3


@pytest.mark.parametrize("name, variant", VARIANTS)
def test_any_frames_and_sizes(name, variant, randomize):
    """A network of open sizes equals one that was built for the size."""
    open_model = randomize(build(name, variant, input_shape=(None, None, None, 3)))
    compiled = tf.function(open_model, input_signature=[tf.TensorSpec((None,) * 4 + (3,))])
    for frames, *image in SIZES[family(name)]:
        shape = (frames_of(name, variant, frames), *image, 3)
        model = build(name, variant, input_shape=shape)
        model.set_weights(open_model.get_weights())
        x = clips((2, *shape))
        scores = model(x).numpy()
        assert scores.shape == (2, 5)
        assert np.isfinite(scores).all()
        np.testing.assert_allclose(scores.sum(1), 1, rtol=1e-5)
        np.testing.assert_allclose(compiled(x), scores, rtol=1e-3, atol=1e-5)


def test_every_weight_is_trained(network):
    name, variant, model = network
    with tf.GradientTape() as tape:
        scores = model(clips((2, *shape_of(name, variant))), training=True)
        labels = np.array([1, 2])
        loss = keras.losses.sparse_categorical_crossentropy(labels, scores, from_logits=True)
    assert np.isfinite(loss).all()
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path
        # Softmax and normalisation take a constant away: these are 0 but for rounding.
        if not variable.path.endswith(("phi/bias", "_nonlocal/g/bias", "_nonlocal/out/bias")):
            assert np.abs(gradient).max() > 0, variable.path


@pytest.mark.parametrize("policy", ["float16", "bfloat16", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("name", ["SmallBigR50", "SmallBigSlowOnlyR50", "S3DG", "VoV3DM"])
def test_policies(name, policy, randomize):
    full = randomize(build(name))
    keras.config.set_dtype_policy(policy)
    model = build(name)
    model.set_weights(full.get_weights())
    x = clips((2, *shape_of(name, "reference")))
    scores = model(x)
    variable_dtype = keras.config.dtype_policy().variable_dtype
    assert keras.backend.standardize_dtype(scores.dtype) == variable_dtype
    np.testing.assert_allclose(np.asarray(scores, "float32"), full(x), atol=0.05)
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    assert np.isfinite(model.train_on_batch(x, np.arange(2)))


@pytest.mark.parametrize("name", ["SmallBigR50", "SmallBigSlowOnlyR50"])
def test_round_trips_in_a_fresh_process(name, tmp_path, randomize):
    """`.keras` opens after the import alone, `.weights.h5` in a model built anew."""
    model = randomize(build(name, "paper", share_weights=False))
    x = clips()
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    np.savez(tmp_path / "expected.npz", x=x, scores=model(x))
    script = f"""
        import keras, numpy as np, smallbig_keras
        file = np.load("expected.npz")
        opened = keras.saving.load_model("model.keras")
        built = smallbig_keras.{name}(
            variant="paper", share_weights=False, input_shape={SHAPE}, **{TINY}
        )
        built.load_weights("model.weights.h5")
        for model in (opened, built):
            np.testing.assert_allclose(model(file["x"]), file["scores"], rtol=1e-4, atol=1e-6)
    """
    run_python(script, tmp_path)
    copy = keras.Model.from_config(model.get_config())
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(copy(x), model(x))


@pytest.mark.parametrize(
    "pooling, shape", [(None, (2, 4, 1, 1, 256)), ("avg", (2, 256)), ("max", (2, 256))]
)
def test_without_a_head(pooling, shape):
    model = build("SmallBigR50", include_top=False, pooling=pooling)
    outputs = model(clips())
    assert tuple(outputs.shape) == shape
    features = np.asarray(build("SmallBigR50", include_top=False)(clips()))
    assert features.shape == (2, 4, 1, 1, 256)


def test_input_tensor():
    raw = keras.Input(SHAPE)
    scaled = keras.layers.Rescaling(2.0)(raw)
    model = build("SmallBigR23", input_tensor=scaled, input_shape=None)
    twin = build("SmallBigR23")
    twin.set_weights(model.get_weights())
    np.testing.assert_allclose(model(clips()), twin(2 * clips()), rtol=1e-4)


def test_feature_extractor():
    model = build("SmallBigR50", "paper")
    outputs = models.feature_extractor(model, ["stem", "res3", "res4_block1_unit2"])(clips())
    assert {k: tuple(v.shape) for k, v in outputs.items()} == {
        "stem": (2, 4, 8, 8, 8),
        "res3": (2, 4, 4, 4, 64),
        "res4_block1_unit2": (2, 4, 2, 2, 32),
    }
    last = models.feature_extractor(model, ["res3_block2_extra"])(clips())["res3_block2_extra"]
    np.testing.assert_array_equal(outputs["res3"], last)
    with pytest.raises(ValueError, match="Received: 'res6'"):
        models.feature_extractor(model, ["res6"])


def test_weight_names():
    """Names are an interface: ports, checkpoints and feature extraction rest on them."""
    file = os.path.join(os.path.dirname(__file__), "weight_names.json")
    with open(file) as lines:
        expected = json.load(lines)
    actual = {}
    for key in expected:
        name, variant = key.split()
        spec = row(name, variant).spec
        options = {}
        if isinstance(spec, models.VideoResNetSpec):
            is_patterned = {*spec.temporal_blocks, *spec.nonlocal_blocks} != {(1,)}
            options["blocks"] = (1, 2, 1, 1) if is_patterned or "TSM" in name else (1, 1, 1, 1)
        actual[key] = [v.path for v in build(name, variant, **options).weights]
    assert actual == expected
    families = [
        {re.sub(r"(R\d+|3D[ML])$", "", key.split()[0]) for key in keys}
        for keys in (expected, smallbig_keras.list_models())
    ]
    assert families[0] == families[1]


@pytest.mark.parametrize("name", smallbig_keras.list_models())
def test_model_functions_are_where_they_say(name):
    function = models.get_model_function(name)
    assert pickle.loads(pickle.dumps(function)) is function
    assert getattr(inspect.getmodule(function), name) is function


BUILDERS = [
    lambda **options: build("SmallBigR50", **options),
    lambda **options: models.VideoResNet(models.VideoResNetSpec(**TINY), **options),
]


@pytest.mark.parametrize("builder", BUILDERS, ids=["function", "VideoResNet"])
@pytest.mark.parametrize(
    "shape, message",
    [
        ((3, 4, 32, 32), r"32\. Received: .*\. Channels come last. Did you mean \(4, 32, 32, 3\)"),
        ((1, 4, 32, 32), r"32\. Received: .*\. Channels come last. Did you mean \(4, 32, 32, 1\)"),
        ((4, 32, 32, 2), r"2\. Received: input_shape=\(4, 32, 32, 2\)\.$"),
    ],
)
def test_unusual_channels_are_warned_of(builder, shape, message):
    for tensor in (False, True):
        given = {"input_shape": shape}
        if tensor:
            given = {"input_tensor": keras.Input(shape), "input_shape": None}
        with pytest.warns(UserWarning, match=f"1 or 3 channels, not {message}") as caught:
            builder(**given)
        # The line of the caller, not one of the package.
        assert [warning.filename for warning in caught] == [__file__]


def test_usual_channels_are_not_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for channels in (1, 3):
            build("SmallBigR50", input_shape=(3, 32, 32, channels))
