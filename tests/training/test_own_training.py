"""The code of `docs/own_training.md` runs, and `fit` takes the clips on every backend."""

import importlib.util
import pathlib
import re

import keras
import numpy as np
import pytest

import smallbig_keras
from smallbig_keras.training import compiling
from smallbig_keras.training.recipes import fine_tuning
from tests.data.test_batch_augmentation import needs_keras_layers
from tests.data.videos import write_frames, write_video
from tests.fresh_process import run_python

ROOT = pathlib.Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "own_training.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
TENSORFLOW, JAX, STARTED, OPTIMISER, UNREADABLE, MIXED, NORMALISED, DEVICES = BLOCKS


def smaller(code):
    """The same code with a small network, of random weights: nothing is downloaded."""
    code = code.replace("(8, 112, 112, 3)", "(4, 32, 32, 3), width=8, blocks=(1, 1, 1, 1)")
    code = code.replace("epochs, steps = 60", "epochs, steps = 3").replace("runs/RUN", "classifier")
    return code.replace(', weights="imagenet"', "")


@pytest.fixture
def folder(tmp_path):
    """Four videos, one of them a folder of pictures."""
    (tmp_path / "videos").mkdir()
    for number in (1, 3, 4):
        write_video(tmp_path / "videos" / f"{number}.mp4", 12, codec="mpeg4")
    write_frames(tmp_path / "videos" / "2.mp4", 12)
    return tmp_path


def test_blocks_differ_in_one_line():
    assert TENSORFLOW.replace('"tensorflow"', '"jax"') == JAX != TENSORFLOW
    assert len([line for line in TENSORFLOW.splitlines() if line]) == 15


@pytest.fixture
def trained(folder, monkeypatch):
    """The names that the block for TensorFlow leaves."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the backend of this process is another")
    monkeypatch.chdir(folder)
    names = {}
    exec(smaller(TENSORFLOW), names)
    return names


@needs_keras_layers
def test_tensorflow(trained, capsys):
    history = trained["model"].history.history
    assert len(history["loss"]) == 2 and np.isfinite(history["loss"]).all()
    assert {"val_loss", "accuracy"} <= set(history)
    found = smallbig_keras.load("classifier").predict("videos/3.mp4")
    assert {name for name, _ in found} == {"left", "right"}
    for code in (MIXED, DEVICES):
        exec(smaller(code), trained)


def test_start_from_a_run(trained):
    """The network has the options of the run, and its weights but for the classifier."""
    model = trained["model"]
    with pytest.warns(UserWarning, match="classifier"):
        exec(smaller(STARTED), trained)
    started = trained["model"]
    assert smallbig_keras.load("classifier").model.name == started.name == "SmallBigR50"
    assert started.input_shape == model.input_shape and started.output_shape == (None, 3)
    assert started.clips == model.clips
    *weights, _, _ = zip(model.get_weights(), started.get_weights(), strict=True)
    for before, after in weights:
        np.testing.assert_array_equal(before, after)


def test_optimiser(trained):
    """The rates are those of the recipe."""
    exec(smaller(OPTIMISER), trained)
    recipe = fine_tuning(num_videos=16)
    recipe |= {"lr": recipe["lr"] * 2 / recipe["lr_batch"], "epochs": 3}
    expected = compiling.learning_rate_schedule(recipe, trained["steps"])
    for step in range(4):
        assert float(trained["rate"](step)) == float(expected(step))
    optimizer = trained["model"].optimizer
    assert (optimizer.momentum, int(optimizer.iterations)) == (0.9, 3)


def test_unreadable_videos(trained, capsys):
    with open("videos/1.mp4", "wb") as file:
        file.write(b"bad")
    exec(smaller(UNREADABLE), trained)
    (line,) = trained["unreadable"].report()
    assert capsys.readouterr().out.endswith(f"{line}\n") and "'videos/1.mp4' (" in line


def test_own_loop_trains(trained, capsys):
    before = trained["model"].get_weights()
    exec(smaller(NORMALISED), trained)
    losses = [float(line.split()[1]) for line in capsys.readouterr().out.splitlines()[-2:]]
    assert np.isfinite(losses).all() and trained["optimizer"].iterations == 2
    changed = [
        not np.array_equal(old, new)
        for old, new in zip(before, trained["model"].get_weights(), strict=True)
    ]
    assert np.mean(changed) > 0.9


def test_jax(folder):
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed")
    script = smaller(JAX) + (
        "history = model.history.history\n"
        "assert keras.backend.backend() == 'jax'\n"
        "import numpy as np\n"
        "assert len(history['val_loss']) == 2 and np.isfinite(history['loss']).all(), history\n"
        "print(smallbig_keras.load('classifier').predict('videos/3.mp4'))\n"
    )
    # Without optimisations XLA gives gradients of NaN for the pooling of this network.
    variables = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "0", "PYTHONPATH": str(ROOT)}
    printed = run_python(script, folder, backend="jax", **variables)
    assert re.search(r"\[\('(left|right)', [01]\.\d+\), \('(left|right)', 0\.\d+\)\]", printed)


@pytest.mark.skipif(compiling.keras_version() < (3, 10), reason="needs Keras 3.10")
def test_passes_on_two_devices(folder):
    """Every epoch of `fit` is another one, with those that Keras looks at left out."""
    script = """
        import keras, tensorflow as tf
        cpu = tf.config.list_physical_devices("CPU")[0]
        two = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(cpu, two)
        from smallbig_keras.data import clip_dataset

        pairs = [(f"videos/{number % 4 + 1}.mp4", number) for number in range(12)]
        options = dict(frames=2, size=16, batch_size=4, training=True, seed=1)
        seen = []

        def note(labels):
            seen.append(labels.tolist())
            return labels

        def noted(clips, labels):
            return clips, tf.ensure_shape(tf.numpy_function(note, (labels,), tf.int32), (4,))

        with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
            inputs = keras.Input((2, 16, 16, 3))
            outputs = keras.layers.Dense(12)(keras.layers.GlobalAveragePooling3D()(inputs))
            model = keras.Model(inputs, outputs)
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile("sgd", loss, jit_compile=False)
        dataset = clip_dataset(pairs, **options).map(noted)
        model.fit(dataset, epochs=3, verbose=0, shuffle=False)
        whole = [labels.numpy().tolist() for _, labels in clip_dataset(pairs, epochs=5, **options)]
        epochs = [whole[i : i + 3] for i in range(0, 15, 3)]
        used = [epoch for epoch in epochs if all(batch in seen for batch in epoch)]
        assert len(used) >= 3 and used[-1] == seen[-3:], (seen, epochs)
        assert all(seen.count(batch) == 1 for batch in seen), seen
    """
    run_python(script, folder, PYTHONPATH=str(ROOT))
