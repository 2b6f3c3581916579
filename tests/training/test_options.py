"""The options of a training, the recipes behind them and what they come to."""

import dataclasses
import json

import numpy as np
import pytest

from smallbig_keras import runs
from smallbig_keras.data.options import (
    READER_OPTIONS,
    DatasetOptions,
    check_dataset,
    dataset_options,
    update_dataset,
)
from smallbig_keras.errors import OptionError, SmallBigError
from smallbig_keras.models import list_models
from smallbig_keras.options import read_file
from smallbig_keras.training import compiling
from smallbig_keras.training.options import FACTS, FitOptions
from smallbig_keras.training.recipes import PAPER, RECIPES, REFERENCE, SAMPLE, find_recipe
from smallbig_keras.training.resolution import resolve


@pytest.mark.parametrize(
    "given, rule",
    [
        ({"test_short_side": 200}, "must fit into the short side"),
        ({"epochs": 0}, "--epochs must be at least 1"),
        ({"gradient_accumulation_steps": 0}, "--gradient-accumulation-steps must be at least 1"),
        ({"stride": 0, "sampling": "dense"}, "--stride must be at least 1"),
        ({"momentum": 1.0}, "--momentum from 0"),
        ({"options": {"units": [4]}}, "convolutions among"),
        ({"options": {"unit": [1]}}, "Did you mean 'units'.*Received: unit"),
        ({"options": {"classes": 3}}, "A network has .* gives `classes`. Received: classes"),
        ({"options": {"name": "x", "width": 8}}, "gives `name`. Received: name"),
        ({"variant": "published"}, "--variant .* paper"),
        ({"randaugment": (1.5, 0.5)}, "--randaugment takes a whole number"),
        ({"milestones": (40, 30)}, "--milestones must ascend"),
        ({"milestones": (30, 50)}, "below the 50 epochs"),
        ({"milestones": (0, 30)}, "from 1"),
        ({"dataset": "k400", "schedule": "step"}, "add --milestones"),
        ({"seed": -1}, "--seed must be at least 0"),
        ({"freeze": ("stem", "neck")}, "takes stem, res2, .* and norm. Received: neck"),
        ({"freeze": ("ress2",)}, "Did you mean 'res2'"),
        ({"warmup_epochs": 50}, "fewer than the 50 epochs. Received: 50"),
        ({"checkpoint_every": 0.0}, "--checkpoint-every must be above 0, in minutes.*Received: 0"),
        ({"clip_norm": 0.0}, "--clip-norm must be above 0"),
        ({"ema": 1.0}, "--ema must be above 0 and below 1. Received: 1"),
        ({"label_smoothing": 1.0}, "--label-smoothing must be from 0 to below 1. Received: 1"),
        ({"class_weights": "balanced", "mixup_mode": "mixup"}, "leave out --mixup-mode"),
    ],
)
def test_bad_values(given, rule):
    with pytest.raises(SmallBigError, match=rule):
        resolve({"dataset": "sthv2", **given})


@pytest.mark.parametrize(
    "given, flag",
    [
        ({"stride": 4}, "--stride"),
        ({"dataset": "k400", "milestones": (3, 4)}, "--milestones"),
        ({"augmentation": "multi_scale", "short_side": (256, 300)}, "--short-side"),
        ({"weights": "none", "weights_dir": "x"}, "--weights-dir"),
        ({"weights": "none", "freeze": ("norm",)}, "--freeze norm"),
        ({"strategy": "one", "sync_bn": True}, "--sync-bn"),
        ({"split_number": 2}, "--split-number"),
        ({"dataset": "k400", "class_list": "x"}, "--class-list"),
        ({"dataset": "folder", "skip_bad_lines": True}, "--skip-bad-lines"),
        ({"shards": "x", "index": "y"}, "--index"),
        ({"shards": "x", "data_root": "y"}, "--data-root"),
        ({"sample": True, "recipe": "reference"}, "--recipe"),
    ],
)
def test_options_without_effect_are_refused(given, flag):
    with pytest.raises(OptionError, match=f"{flag} has no effect .*"):
        resolve({"dataset": "sthv2", **given})


def test_options_without_effect_are_null_in_the_configuration():
    options = resolve({"dataset": "sthv2"})
    assert options.stride is None and options.milestones == (30, 40, 45)
    options = resolve({"dataset": "k400"})
    assert options.stride == 8 and options.milestones is None


@pytest.mark.parametrize("dataset, epochs, steps", [("sthv2", 10, (6, 8, 9)), ("sthv1", 1, ())])
def test_milestones_scale_with_the_epochs(dataset, epochs, steps):
    assert resolve({"dataset": dataset, "epochs": epochs}).milestones == steps


def test_learning_rate_scales_with_the_batch():
    assert resolve({"dataset": "sthv2"}).lr == 0.01
    assert resolve({"dataset": "sthv2", "batch_size": 32}).lr == pytest.approx(0.0025)
    assert resolve({"dataset": "sthv2", "batch_size": 32, "lr": 1.0}).lr == 1.0
    # The clips of an update count.
    accumulated = resolve({"dataset": "sthv2", "batch_size": 32, "gradient_accumulation_steps": 2})
    assert accumulated.lr == pytest.approx(0.005)
    doubled = resolve({"dataset": "sthv2", "gradient_accumulation_steps": 2})
    assert (doubled.batch_size, doubled.lr) == (128, 0.02)


def test_accumulation_is_open_where_the_batch_is():
    cases = [({}, None), ({"batch_size": 8}, 1), ({"gradient_accumulation_steps": 4}, 4)]
    for given, steps in cases:
        assert resolve({"dataset": "k400", **given}).gradient_accumulation_steps == steps


def test_options_are_added_to_those_of_the_recipe():
    options = resolve({"sample": True, "options": {"dropout": 0.5}}).options
    assert options == {**SAMPLE["sthv2"]["options"], "dropout": 0.5}


def test_short_side_follows_the_size():
    options = resolve({"dataset": "k400", "size": 112})
    assert (options.short_side, options.test_short_side) == ((128, 160), 128)
    options = resolve({"dataset": "k400", "size": 112, "short_side": (112, 130)})
    assert (options.short_side, options.test_short_side) == ((112, 130), 128)


@pytest.mark.parametrize(
    "given",
    [
        {"sample": True},
        {"dataset": "k400", "batch_size": 64},
        {"dataset": "sthv1", "epochs": 3, "weights": "none", "recipe": "reference"},
        {"dataset": "k400", "augmentation": "multi_scale", "randaugment": (2.0, 0.5)},
        {"dataset": "ucf101", "split_number": 2, "freeze": ("stem", "norm"), "strategy": "one"},
    ],
)
def test_configuration_gives_the_same_options(given, tmp_path):
    """A run's `config.json`, with the accumulation that it chose, is a file for `--config`."""
    options = dataclasses.replace(resolve(given), gradient_accumulation_steps=1)
    config = {**dataclasses.asdict(options), **dict.fromkeys(FACTS, 1)}
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config))
    read = read_file(file, FitOptions, FACTS)
    if options.sample:
        del read["dataset"]
    assert resolve(read) == options


@pytest.mark.parametrize("given", [{"sample": True}, {"dataset": "ucf101", "split_number": 2}])
def test_configuration_of_version_0_1_0(given, tmp_path):
    """Names of options and of the sample's recipe were others; nothing was `null`."""
    options = dataclasses.replace(resolve(given), gradient_accumulation_steps=1)
    config = {**dataclasses.asdict(options), "stride": 8, "milestones": [], "run": "runs/x"}
    for old, new in (("l2", "weight_decay"), ("mix", "mixup_mode"), ("sync_norm", "sync_bn")):
        config[old] = config.pop(new)
    if options.sample:
        config |= {"recipe": "sample", "weights": None}
    for name in ("sample", "output", "gradient_accumulation_steps", "check_memory"):
        del config[name]
    names = [name for name in READER_OPTIONS if config.pop(name) is not None]
    config["data_options"] = {name: getattr(options, name) for name in names}
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**config, "class_names": ["a"]}))
    read = read_file(file, FitOptions, FACTS, runs.updated)
    assert read.pop("output") == "runs/x"
    if options.sample:
        del read["dataset"]
    assert resolve(read) == options


@pytest.mark.parametrize(
    "text, rule",
    [
        ("{", "must be a JSON file"),
        ("[1]", "must hold a JSON object"),
        ('{"epoch": 3}', "Did you mean 'epochs'"),
        ('{"epochs": "3"}', "epochs must be a whole number"),
        ('{"epochs": true}', "epochs must be a whole number"),
        ('{"dataset": "sthv3"}', "dataset must be one of .*Did you mean 'sthv2'"),
        ('{"short_side": [256]}', "short_side must be a list of 2, each a whole number"),
        ('{"lr": "fast"}', "lr must be a number"),
    ],
)
def test_bad_configuration_files(text, rule, tmp_path):
    file = tmp_path / "options.json"
    file.write_text(text)
    with pytest.raises(SmallBigError, match=rule):
        read_file(file, FitOptions, FACTS)


def test_recipe_is_the_papers():
    """Paper, section 6, "Training" and "Inference"."""
    options = resolve({"dataset": "sthv2"})
    assert (options.model, options.frames, options.size) == ("SmallBigSlowOnlyR50", 8, 224)
    assert (options.short_side, options.test_short_side) == ((256, 320), 256)
    assert (options.flip, options.epochs, options.lr) == ("none", 50, 0.01)
    assert (options.momentum, options.weight_decay) == (0.9, 1e-4)
    assert options.milestones == (30, 40, 45)


def test_recipe_of_the_authors_script():
    """Their `main.py`: 100 epochs, cosine, 0.01 at 64 clips, multi-scale crops."""
    options = resolve({"dataset": "k400", "recipe": "reference"})
    assert (options.epochs, options.schedule, options.lr, options.batch_size) == (
        *(100, "cosine", 0.01),
        64,
    )
    assert (options.variant, options.augmentation) == ("reference", "multi_scale")
    assert all(recipe["augmentation"] == "multi_scale" for recipe in REFERENCE.values())
    assert resolve({"dataset": "sthv2", "recipe": "reference"}).flip == "none"


def test_recipes_name_options():
    names = {field.name for field in dataclasses.fields(FitOptions)} | {"lr_batch"}
    for recipes in RECIPES.values():
        for recipe in recipes.values():
            assert set(recipe) <= names


def test_recipe_of_another_network():
    assert find_recipe("paper", "k400", "SmallBigR23")["lr"] == 0.02
    assert find_recipe("paper", "sthv2", "SmallBigR23")["lr"] == 0.01
    assert find_recipe("paper", "k400", "C2DR50")["variant"] == "reference"
    options = find_recipe("sample", "sthv2", "C2DR50")["options"]
    assert options == {"blocks": [1, 2, 2, 1], "width": 16}
    for name in list_models():
        resolve({"sample": True, "model": name})
    assert PAPER["k400"]["model"] == "SmallBigR50"


def test_frames_of_a_network_for_longer_clips():
    options = resolve({"dataset": "k400", "model": "CoSTR101", "variant": "b_32f"})
    assert (options.frames, options.stride, options.sampling) == (32, 2, "dense")
    assert resolve({"dataset": "k400", "model": "CoSTR101"}).frames == 8
    with pytest.raises(SmallBigError, match="multiple of 8. Received: 20 frames"):
        resolve({"dataset": "k400", "model": "CoSTR101", "variant": "b_32f", "frames": 20})


def test_learning_rate_schedules():
    config = {"lr": 1.0, "epochs": 4, "schedule": "step", "milestones": [2, 3]}
    schedule = compiling.learning_rate_schedule(config, steps=5)
    rates = [float(schedule(step)) for step in range(20)]
    np.testing.assert_allclose(rates, [1.0] * 10 + [0.1] * 5 + [0.01] * 5, rtol=1e-5)
    cosine = compiling.learning_rate_schedule({**config, "schedule": "cosine"}, steps=5)
    expected = (1 + np.cos(np.pi * np.arange(20) / 20)) / 2
    np.testing.assert_allclose([float(cosine(k)) for k in range(20)], expected, rtol=1e-5)
    assert compiling.learning_rate_schedule({**config, "milestones": []}, steps=5) == 1.0


@pytest.mark.parametrize("kind", ["step", "cosine"])
def test_warmup(kind):
    """In a line from a tenth to what the schedule is then, and on with it."""
    config = {"lr": 2.0, "epochs": 4, "schedule": kind, "milestones": [2, 3]}
    plain = compiling.learning_rate_schedule(config, steps=5)
    warm = compiling.learning_rate_schedule({**config, "warmup_epochs": 1}, steps=5)
    top = float(plain(5))
    rising = 0.2 + (top - 0.2) * np.arange(5) / 5
    np.testing.assert_allclose([float(warm(k)) for k in range(5)], rising, rtol=1e-5)
    after = range(5, 20)
    np.testing.assert_allclose([warm(k) for k in after], [plain(k) for k in after], rtol=1e-6)
    copy = type(warm).from_config(warm.get_config())
    assert [float(copy(k)) for k in range(20)] == [float(warm(k)) for k in range(20)]


def test_options_replace_the_dataset_of_a_run():
    run = DatasetOptions(dataset="ucf101", data_root="/a", index="/i", split_number=2)
    assert update_dataset(run, {}) == run
    moved = update_dataset(run, {"data_root": "/b"})
    assert (moved.data_root, moved.index, moved.split_number) == ("/b", None, 2)
    other = update_dataset(run, {"dataset": "csv", "data_root": "/b"})
    assert (other.dataset, other.split_number) == ("csv", None)
    split = update_dataset(run, {"split_number": 3})
    assert (split.split_number, split.index) == (3, "/i")
    shards = update_dataset(run, {"shards": "s3://bucket/k400"})
    assert (shards.shards, shards.data_root, shards.index) == ("s3://bucket/k400", None, None)
    with pytest.raises(OptionError, match="--split-number has no effect with --shards"):
        check_dataset(shards)


def test_paths_of_a_dataset_are_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = dataset_options({"dataset": "csv", "data_root": "data", "index": "i.jsonl"})
    assert options.data_root == str(tmp_path / "data") and options.index == str(
        tmp_path / "i.jsonl"
    )
