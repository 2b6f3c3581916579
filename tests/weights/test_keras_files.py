"""Files of Keras of every form."""

import json
import zipfile

import h5py
import keras
import numpy as np
import pytest

from smallbig_keras import runs
from smallbig_keras.weights import WeightsError, load_weights
from smallbig_keras.weights.keras_files import load_training_state, read_config
from smallbig_keras.weights.loading import count_classes
from smallbig_keras.weights.state_dicts import convert
from tests.conftest import randomize
from tests.weights.networks import SHAPE, equal, tiny
from tests.weights.torch_writer import write_torch

KINDS = ("keras", "weights.h5", "h5")


def save(model, folder, kind):
    path = folder / f"x.{kind}"
    (model.save_weights if kind == "weights.h5" else model.save)(path)
    return path


@pytest.mark.parametrize("kind", ["run", "keras", "weights.h5", "h5"])
def test_paths(run, trained, tmp_path, kind):
    path = {"run": run, "keras": run / runs.BEST}.get(kind) or save(trained, tmp_path, kind)
    assert equal(tiny(variant="paper", weights=path), trained)
    headless = tiny(variant="paper", weights=path, include_top=False)
    body = keras.Model(trained.input, trained.get_layer(headless.layers[-1].name).output)
    assert equal(headless, body)
    with pytest.warns(UserWarning, match="3 classes, the model has 4"):
        tiny(variant="paper", weights=path, classes=4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name, options",
    [("C2DR23", {}), ("SmallBigR50", {"width": 16}), ("SmallBigR50", {"extra": None})],
)
def test_weights_of_another_network(run, trained, tmp_path, kind, name, options):
    path = run / runs.BEST if kind == "keras" else save(trained, tmp_path, kind)
    model = tiny(name, variant="reference" if name == "C2DR23" else "paper", **options)
    before = [np.array(w) for w in model.weights]
    with pytest.raises(WeightsError, match=f"weights are not those of {name} .*Received: "):
        load_weights(model, path)
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


@pytest.mark.parametrize("name", ["x.weights.h5", "x.keras", "x.h5", "x.npz", "x.bin"])
def test_files_that_are_no_weights(tmp_path, name):
    (tmp_path / name).write_bytes(b"no weights")
    with pytest.raises(ValueError, match=f"Received: .*{name}"):
        load_weights(tiny(), tmp_path / name)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_without_a_classifier(trained, tmp_path, kind):
    body = keras.Model(trained.input, trained.get_layer("classifier").input)
    path = save(body, tmp_path, kind)
    assert count_classes(path) is None
    model = tiny(variant="paper")
    report = load_weights(model, path)
    assert report.new == ["classifier/kernel", "classifier/bias"] and not report.skipped
    np.testing.assert_array_equal(model.weights[0], trained.weights[0])


def test_damaged_checkpoint_names_the_file(trained, tmp_path):
    trained.save(tmp_path / "x.keras")
    data = bytearray((tmp_path / "x.keras").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(400)
    (tmp_path / "x.keras").write_bytes(data)
    with pytest.raises(ValueError, match="must be whole.*Received: .*x.keras"):
        load_weights(tiny(variant="paper"), tmp_path / "x.keras")


@pytest.mark.parametrize(
    "name, options",
    [
        ("SmallBigR50", {"variant": "paper", "dropout": 0.5}),
        ("SmallBigR50", {"share_weights": False, "extra_position": "input"}),
        ("SmallBigR50", {"normalization": "single", "extra": "squeeze_excite"}),
        ("SmallBigSlowOnlyR50", {"smallbig_stages": [2, 5]}),
        ("C2DR50", {"smallbig_stages": []}),
        ("NonLocalR50", {"smallbig_stages": [], "nonlocal_blocks": [[1]] * 4}),
        ("CoSTR50", {"smallbig_stages": [], "variant": "a"}),
        ("CoSTR50", {"smallbig_stages": []}),
        ("TSMR50", {"smallbig_stages": [], "variant": "nl", "nonlocal_bias": False}),
    ],
)
def test_every_layer_has_the_name_that_keras_gives_it(tmp_path, name, options):
    """Every kind of unit, with its sublayers, in every form of file."""
    source = randomize(tiny(name, blocks=[2, 1, 1, 2], **options))
    for kind in KINDS:
        model = tiny(name, blocks=[2, 1, 1, 2], **options)
        report = load_weights(model, save(source, tmp_path, kind))
        assert equal(model, source) and len(report.loaded) == len(model.weights)


OPTIMIZERS = {
    "momentum": lambda: keras.optimizers.SGD(0.01, momentum=0.9),
    "adam": keras.optimizers.Adam,
    "average": lambda: keras.optimizers.Adam(use_ema=True),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01, momentum=0.9)),
}


def train(optimizer, **options):
    """A network with dropout after two steps, in which all of its variables moved."""
    model = tiny(dropout=0.5, **options)
    model.compile(
        OPTIMIZERS[optimizer](),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        run_eagerly=True,
        jit_compile=False,
    )
    rng = np.random.default_rng(0)
    for _ in range(2):
        model.train_on_batch(rng.random((3, *SHAPE), "float32"), np.arange(3))
    return model


@pytest.fixture(scope="module", params=OPTIMIZERS)
def after_training(request):
    return request.param, train(request.param)


def test_only_layers_count_in_a_file_of_a_trained_model(after_training, tmp_path):
    """Optimizers, scales of losses, averages and metrics leave variables in the file."""
    _, source = after_training
    for kind in KINDS:
        path = save(source, tmp_path, kind)
        assert equal(tiny(weights=path), source)
        assert count_classes(path) == 3
        with pytest.warns(UserWarning, match="3 classes, the model has 4"):
            tiny(weights=path, classes=4)


def state(model):
    return [np.array(v) for v in (*model.weights, *model.optimizer.variables)]


def compiled(optimizer, **options):
    model = tiny(dropout=0.5, **options)
    model.compile(OPTIMIZERS[optimizer](), "sparse_categorical_crossentropy")
    return model


@pytest.mark.parametrize("kind", ["weights.h5", "keras"])
def test_training_state(after_training, tmp_path, kind):
    optimizer, source = after_training
    model = compiled(optimizer)
    load_training_state(model, save(source, tmp_path, kind))
    for ours, theirs in zip(state(model), state(source), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_training_state_of_a_frozen_part(tmp_path):
    """The optimizer has variables of the layers that are trained alone."""
    models = [tiny() for _ in range(2)]
    for model in models:
        for layer in model.layers[:-3]:
            layer.trainable = False
        model.compile("adam", "mse")
        model.optimizer.build(model.trainable_variables)
    randomize(models[0])
    load_training_state(models[1], save(models[0], tmp_path, "weights.h5"))
    assert equal(*models)


@pytest.mark.parametrize(
    "other, message",
    [
        (lambda: compiled("adam"), "(?s)optimizer adam.*missing: adam\\w*/.*_velocity"),
        (lambda: compiled("scaled"), "(?is)optimizer loss_scale.*missing: sgd"),
        (lambda: compiled("momentum", classes=4), "(?s)of another shape: classifier/kernel"),
        (lambda: compiled("momentum", width=16), "of another shape: stem_conv/kernel"),
        (lambda: compiled("momentum", extra=None), "unexpected: .*optimizer/vars/"),
    ],
)
def test_training_state_of_another_model(tmp_path, other, message):
    """One error, and nothing is set; Keras itself warns of an optimizer and goes on."""
    path = save(train("momentum"), tmp_path, "weights.h5")
    model = other()
    model.optimizer.build(model.trainable_variables)
    before = state(model)
    with pytest.raises(WeightsError, match=f"{message}.*"):
        load_training_state(model, path)
    for ours, theirs in zip(state(model), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_training_state_that_is_not_there(trained, tmp_path):
    path = save(trained, tmp_path, "weights.h5")
    model = tiny(variant="paper")
    with pytest.raises(ValueError, match="call `compile` first"):
        load_training_state(model, path)
    model.compile("adam", "mse")
    with pytest.raises(WeightsError, match="missing: adam.*/iteration, .*"):
        load_training_state(model, path)
    with pytest.raises(FileNotFoundError, match="Received: .*none.weights.h5"):
        load_training_state(model, tmp_path / "none.weights.h5")


@pytest.mark.parametrize("old, new", [("weights.h5", "h5"), ("keras", "h5"), ("h5", "keras")])
def test_the_content_decides_and_not_the_name(trained, tmp_path, old, new):
    path = save(trained, tmp_path, old).rename(tmp_path / f"y.{new}")
    assert equal(tiny(variant="paper", weights=path), trained)
    assert count_classes(path) == 3


@pytest.mark.parametrize("suffix", ["", ":0"])
def test_weights_alone_in_h5(trained, tmp_path, suffix):
    """As Keras 2 wrote `save_weights("x.h5")`, whose names end in `:0`."""
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in trained.layers]
        for layer in trained.layers:
            group = file.create_group(layer.name)
            group.attrs["weight_names"] = [f"{w.path}{suffix}".encode() for w in layer.weights]
            for weight in layer.weights:
                group[f"{weight.path}{suffix}"] = np.array(weight)
    assert equal(tiny(variant="paper", weights=tmp_path / "x.h5"), trained)
    assert count_classes(tmp_path / "x.h5") == 3


def test_compressed_files(trained, tmp_path):
    """Both kinds of compression, of the archive and of the arrays, which Keras does not do."""
    path = save(trained, tmp_path, "keras")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "y.keras", "w", 8) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    assert equal(tiny(variant="paper", weights=tmp_path / "y.keras"), trained)

    def pack(name, item):
        if isinstance(item, h5py.Dataset) and item.shape:
            options = {"compression": "gzip", "shuffle": True, "fletcher32": True}
            new.create_dataset(name, data=item[()], **options)

    with (
        h5py.File(save(trained, tmp_path, "weights.h5")) as old,
        h5py.File(tmp_path / "y.weights.h5", "w") as new,
    ):
        old.visititems(pack)
    assert equal(tiny(variant="paper", weights=tmp_path / "y.weights.h5"), trained)


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_that_numpy_lacks(tmp_path, kind):
    """Keras stores bfloat16 as two opaque bytes."""
    keras.config.set_dtype_policy("bfloat16")
    source = randomize(tiny())
    assert equal(tiny(weights=save(source, tmp_path, kind)), source)


def test_a_model_inside_a_model(tmp_path):
    def nested():
        clips = keras.Input(SHAPE)
        return keras.Model(clips, tiny()(keras.layers.Rescaling(1 / 255)(clips)))

    source = randomize(nested())
    model = nested()
    load_weights(model, save(source, tmp_path, "weights.h5"))
    values = zip(model.weights, source.weights, strict=True)
    assert all(np.array_equal(a, b) for a, b in values)


def test_configuration(trained, tmp_path):
    config = read_config(save(trained, tmp_path, "keras"))
    assert config["config"]["name"] == trained.name
    assert json.dumps(config["config"]["layers"][0])
    for content in (b"", b"PK", b"{}", (tmp_path / "x.keras").read_bytes()[:5000]):
        (tmp_path / "y.keras").write_bytes(content)
        with pytest.raises(WeightsError, match="must be whole.*Received: .*y.keras"):
            read_config(tmp_path / "y.keras")
    for text in ("[1]", "{", "[" * 100_000, "\xff"):
        with zipfile.ZipFile(tmp_path / "y.keras", "w") as archive:
            archive.writestr("config.json", text.encode("latin-1"))
        with pytest.raises(WeightsError, match="must be whole.*Received: .*y.keras"):
            read_config(tmp_path / "y.keras")
    with pytest.raises(FileNotFoundError):
        read_config(tmp_path / "none.keras")


def test_classes_of_other_files(tmp_path):
    """A state dict has its classes in the rows of `fc.weight`, a converted one in the columns."""
    for prefix, wrap in (("", None), ("module.", "state_dict"), ("", "model_state")):
        state = {f"{prefix}fc.weight": np.zeros((7, 4), "float32")}
        write_torch(tmp_path / "x.pth", {wrap: state, "epoch": 3} if wrap else state)
        assert count_classes(tmp_path / "x.pth") == 7
    convert(tmp_path / "x.pth", tmp_path / "x.npz")
    assert count_classes(tmp_path / "x.npz") == 7
    write_torch(tmp_path / "y.pth", {"conv1.weight": np.zeros((7, 4, 1, 1), "float32")})
    convert(tmp_path / "y.pth", tmp_path / "y.npz")
    assert count_classes(tmp_path / "y.pth") is None and count_classes(tmp_path / "y.npz") is None
    with pytest.raises(FileNotFoundError, match="Received: .*z.pth"):
        count_classes(tmp_path / "z.pth")


def test_classes_of_a_run_and_of_safetensors(run, tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    assert count_classes(run) == 3
    safetensors.save_file({"fc.weight": np.zeros((7, 4), "float32")}, tmp_path / "x.safetensors")
    assert count_classes(tmp_path / "x.safetensors") == 7


def test_a_variable_that_is_there_twice(trained, tmp_path):
    path = save(trained, tmp_path, "h5")
    with h5py.File(path, "r+") as file:
        file["model_weights/z/classifier/bias"] = np.ones(3, "float32")
    with pytest.raises(WeightsError, match="unexpected: model_weights/.*/classifier/bias"):
        load_weights(tiny(variant="paper"), path)
