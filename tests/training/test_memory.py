"""The memory of a step before it is made, the batch that fits, and steps that make one update."""

import dataclasses
import json
import pathlib
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf

from smallbig_keras import runs
from smallbig_keras.errors import SmallBigError
from smallbig_keras.models import C2DR23
from smallbig_keras.training import checkpoints, compiling, loop, memory
from smallbig_keras.training.options import FitOptions
from smallbig_keras.training.resolution import resolve
from tests.data.miniatures import MINIATURES

TINY = {"blocks": [1, 1, 1, 1], "width": 8}


def network(**options):
    return C2DR23(input_shape=(2, 32, 32, 3), classes=3, **TINY, **options)


def tiny_config(**given):
    """The configuration of a training of a tiny network that begins."""
    clip = {"frames": 2, "size": 32, "short_side": (36, 45), "test_short_side": 36}
    given = {
        "dataset": "k400",
        "recipe": "paper",
        "model": "C2DR23",
        "weights": "none",
        **clip,
        **given,
    }
    options = dataclasses.asdict(resolve({"options": TINY, **given}))
    return {**options, "class_names": ["a", "b", "c"]}


def test_estimate_against_the_peak_of_a_process():
    """The sample's network, two steps in a process of its own, without the loader."""
    code = """
        from smallbig_keras.machine import quiet_tensorflow
        quiet_tensorflow()
        from benchmarks.memory import measure
        import json
        print(json.dumps(measure("sample", steps=2)))
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=pathlib.Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    estimated, measured = json.loads(result.stdout.splitlines()[-1])
    assert estimated == pytest.approx(measured, rel=0.25)


def test_activations_of_one_convolution():
    """By hand: the inputs of convolution and of normalisation, the output of the activation."""
    clips = keras.Input((2, 8, 8, 3))
    x = keras.layers.Conv3D(5, 1, use_bias=False, name="conv")(clips)
    x = keras.layers.Activation("relu")(x)
    x = keras.layers.GlobalAveragePooling3D()(x)
    model = keras.Model(clips, keras.layers.Activation("softmax")(keras.layers.Dense(7)(x)))
    expected = 4 * (2 * 8 * 8 * (3 + 5) + 5 + 7)
    assert memory._kept_bytes(memory._trace(model), model) == (0, expected)
    # The input of a frozen convolution is not read, nor are its results.
    model.get_layer("conv").trainable = False
    assert memory._kept_bytes(memory._trace(model), model) == (0, 4 * (5 + 7))


def test_activations_follow_size_precision_and_frozen_layers():
    full = memory.step_memory(network())
    assert full.of(8) == full.fixed + 8 * full.per_clip
    model = network()
    compiling.freeze(model, compiling.find_frozen(model, ["stem", "res2", "res3"], set()))
    frozen = memory.step_memory(model)
    assert frozen.per_clip < 0.5 * full.per_clip and frozen.fixed < full.fixed
    keras.config.set_dtype_policy("mixed_bfloat16")
    half = memory.step_memory(network())
    assert 0.5 * full.per_clip < half.per_clip < 0.65 * full.per_clip
    keras.config.set_dtype_policy("float32")
    weights = 4 * sum(np.prod(v.shape) for v in network().trainable_variables)
    assert memory.step_memory(network(), accumulates=True).fixed > full.fixed + weights


def test_a_gradient_of_its_own_reads_the_arguments():
    """`silu` computes its sigmoid anew: a network with it keeps no more than one with `relu`."""
    kept = []
    for activation in ("relu", "silu"):
        clips = keras.Input((2, 8, 8, 3))
        x = keras.layers.Conv3D(5, 1, name="conv")(clips)
        x = keras.layers.Activation(activation)(x)
        x = keras.layers.Conv3D(4, 1)(x)
        model = keras.Model(clips, keras.layers.GlobalAveragePooling3D()(x))
        kept.append(memory._kept_bytes(memory._trace(model), model)[1])
    # The argument of `silu` beside its result, which the next convolution reads.
    assert kept[1] - kept[0] == 4 * 2 * 8 * 8 * 5


def available(monkeypatch, clips, config):
    """Gives the process the memory for a step of so many clips and a half, or tells none."""
    model = compiling.make_network(config)
    step = memory.step_memory(model, config["gradient_accumulation_steps"] != 1)
    monkeypatch.setattr(
        memory, "available_memory", lambda: clips and step.of(clips) + step.per_clip // 2
    )


@pytest.mark.parametrize(
    "clips, replicas, chosen",
    [(128, 1, (128, 1)), (127, 1, (64, 2)), (5, 1, (4, 32)), (5, 3, None), (None, 1, (128, 1))],
)
def test_the_batch_of_the_recipe_is_split(clips, replicas, chosen, monkeypatch, capsys):
    config = tiny_config()
    available(monkeypatch, clips, config)
    if chosen is None:
        # No part of 128 is a multiple of 3.
        with pytest.raises(SmallBigError, match="mixed_bfloat16"):
            memory.choose_batch(config, replicas)
        return
    found = memory.choose_batch(config, replicas)
    assert (found["batch_size"], found["gradient_accumulation_steps"]) == chosen
    printed = capsys.readouterr().out
    if chosen[1] == 1:
        assert printed == ""
    else:
        assert printed.startswith("memory: 128 clips a step need about ")
        assert printed.endswith(f"{chosen[0]} clips a step, {chosen[1]} steps an update\n")


@pytest.mark.parametrize(
    "given, clips, advice",
    [
        ({"batch_size": 8}, 4, "take --batch-size 4 --gradient-accumulation-steps 2; .*=8, 8 clip"),
        (
            {"batch_size": 12, "gradient_accumulation_steps": 3},
            5,
            "take --batch-size 4 --gradient-accumulation-steps 9; --check-memory off",
        ),
        ({"batch_size": 8}, 0.25, "take a smaller --size or --frames, or --dtype mixed_bfloat16; "),
        ({}, 0.25, "take a smaller --size or --frames, or --dtype mixed_bfloat16; "),
    ],
)
def test_a_batch_that_does_not_fit(given, clips, advice, monkeypatch):
    config = tiny_config(**given)
    available(monkeypatch, clips, config)
    with pytest.raises(SmallBigError, match=f"A step must fit into memory: {advice}"):
        memory.choose_batch(config)
    config["check_memory"] = "off"
    chosen = memory.choose_batch(config)
    assert chosen["batch_size"] == config["batch_size"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Six videos to train on."""
    return MINIATURES["folder"](tmp_path_factory.mktemp("data") / "folder")


def start(root, output, **given):
    """Trains as `smallbig fit` does, by a recipe of four clips where no batch is given."""
    given = {"dataset": "folder", "recipe": "paper", "epochs": 2, "lr": 0.05, **given}
    config = tiny_config(data_root=str(root), output=str(output), **given)
    del config["class_names"]
    if "batch_size" not in given:
        config["batch_size"] = 4
    loop.start(FitOptions(**config))
    return runs.read_config(output)


def weights(run):
    config = runs.read_config(run)
    steps = config["num_videos"] // config["batch_size"]
    model = compiling.make_model(config, steps, load=False)
    checkpoints.restore(model, run, config, steps)
    return [v.numpy() for v in (*model.variables, *model.optimizer.variables)]


def test_a_run_that_accumulates_and_its_resume(root, tmp_path, monkeypatch, capsys):
    """Three steps an epoch and two an update: one step is carried into the second epoch."""
    available(monkeypatch, 2, {**tiny_config(), "batch_size": 4})
    run = tmp_path / "run"
    config = start(root, run)
    assert (config["batch_size"], config["gradient_accumulation_steps"]) == (2, 2)
    printed = capsys.readouterr().out
    assert "memory: 4 clips a step need about " in printed
    assert "3 steps of 2 clips, 2 steps an update, 1 device(s), from epoch 0" in printed
    whole = weights(run)

    # The memory of a run that goes on is not asked for again.
    monkeypatch.setattr(memory, "available_memory", lambda: 0)
    (run / runs.LAST).unlink()
    loop.resume(run)
    assert "2 steps an update, 1 device(s), from epoch 1" in capsys.readouterr().out
    assert [row["epoch"] for row in runs.read_log(run)] == [1, 2]
    for expected, actual in zip(whole, weights(run), strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_nothing_is_left_of_a_run_that_does_not_fit(root, tmp_path, monkeypatch):
    available(monkeypatch, 2, tiny_config(batch_size=4))
    with pytest.raises(SmallBigError, match="take --batch-size 2 --gradient-accumulation-steps 2"):
        start(root, tmp_path / "run", batch_size=4)
    assert not (tmp_path / "run").exists()


def test_an_update_needs_its_videos(root, tmp_path):
    with pytest.raises(SmallBigError, match="gradient_accumulation_steps=4 of batch_size=2, 6 for"):
        start(root, tmp_path / "run", batch_size=2, gradient_accumulation_steps=4)


def test_a_run_of_an_older_version_goes_on(root, tmp_path):
    run = tmp_path / "run"
    config = start(root, run, batch_size=3, epochs=1)
    for name in ("gradient_accumulation_steps", "check_memory"):
        del config[name]
    runs.write_config(run, config)
    assert loop.resume(run)["epoch"] == 1


def test_accumulated_steps_are_one_step_of_all_clips(rng):
    """For a network whose normalisations are frozen: statistics are of a step."""
    clips = rng.integers(0, 256, (8, 2, 32, 32, 3), np.uint8)
    labels = np.arange(8) % 3
    trained = []
    for batch, steps in ((8, 1), (2, 4)):
        keras.utils.set_random_seed(1)
        config = tiny_config(batch_size=batch, gradient_accumulation_steps=steps)
        config |= {"schedule": "step", "milestones": [], "lr": 0.05}
        network = compiling.make_network(config)
        names = {weight.path for weight in network.weights}
        config["frozen"] = compiling.find_frozen(network, ["norm"], names)
        keras.utils.set_random_seed(1)
        model = compiling.make_model(config, steps, load=False)
        before = model.get_weights()
        batches = tf.data.Dataset.from_tensor_slices((clips, labels)).batch(batch)
        model.fit(batches, shuffle=False, verbose=0)
        moved = zip(model.weights, model.get_weights(), before, strict=True)
        trained.append([new - old for weight, new, old in moved if weight.trainable])
    for one, other in zip(*trained, strict=True):
        assert np.abs(one).max() > 0
        assert np.linalg.norm(one - other) < 1e-4 * np.linalg.norm(one)
