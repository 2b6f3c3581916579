"""The rule of a clip: one place states it, and all that use it cut the same frames."""

import ast
import dataclasses
import json
import pathlib

import numpy as np
import pytest

import smallbig_keras
from smallbig_keras.data import ClipConfig, Video, clip_dataset, load_clip
from smallbig_keras.errors import SmallBigError
from tests.data.videos import numbers, write_frames, write_video

PACKAGE = pathlib.Path(smallbig_keras.__file__).parent
# The rules themselves, the constants of ImageNet, and old names in runs of version 0.1.0.
STATED_IN = {"data/clips.py", "data/sampling.py", "labels/preprocessing.py"}
NUMBERS = {224, 256, 320, 0.485, 0.456, 0.406, 0.229, 0.224, 0.225, 123.675, 116.28, 103.53}
WORDS = {"segment", "dense"}
RULES = {"Sampler"} | {f"{s}_{r}" for s in WORDS for r in ("train", "centre", "clips")}
FIELDS = {field.name for field in dataclasses.fields(ClipConfig)}
# These numbers are of other things: bytes, grey levels, the pixels of the sample set's files,
# channels, epochs.
OTHER_THINGS = {
    "machine.py": {256},
    "data/shards/options.py": {256},
    "data/sample_set.py": {256, 320},
    "runs.py": {"segment"},
    "models/specs/s3d.py": {224, 256, 320},
    "training/recipes.py": {256},
}


def statements(text):
    """The numbers, words, rules and defaults of a clip that a module states itself."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float | str):
            found |= {node.value} & (WORDS if isinstance(node.value, str) else NUMBERS)
        elif isinstance(node, ast.Name | ast.Attribute):
            found |= {getattr(node, "id", getattr(node, "attr", None))} & RULES
        elif isinstance(node, ast.FunctionDef):
            named = [*node.args.posonlyargs, *node.args.args]
            pairs = [
                *zip(named[::-1], node.args.defaults[::-1], strict=False),
                *zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True),
            ]
            found |= {a.arg for a, value in pairs if a.arg in FIELDS and is_stated(value)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            if node.target.id in FIELDS and is_stated(node.value):
                found.add(node.target.id)
    return found


def is_stated(value):
    """A default that is written down: not None, and not the 0 that means none."""
    return isinstance(value, ast.Constant | ast.Tuple) and getattr(value, "value", 1) not in (
        None,
        0,
    )


def test_no_other_module_states_a_rule_of_frames_a_size_or_a_mean():
    for file in sorted(PACKAGE.rglob("*.py")):
        name = file.relative_to(PACKAGE).as_posix()
        if name not in STATED_IN:
            assert statements(file.read_text()) <= OTHER_THINGS.get(name, set()), name


@pytest.mark.parametrize(
    "text, found",
    [
        ("size = 224", 224),
        ("MEAN = (0.485, 0.456, 0.406)", 0.485),
        ('if config["sampling"] == "dense": pass', "dense"),
        ("data.segment_centre(count, frames)", "segment_centre"),
        ("Sampler(rule, frames)", "Sampler"),
        ("def cut(video, frames=8): pass", "frames"),
        ("def cut(video, *, stride=4): pass", "stride"),
        ("class Views:\n    short_side: int = 128", "short_side"),
        ("class Views:\n    std: tuple = (1, 1, 1)", "std"),
    ],
)
def test_a_new_statement_is_found(text, found):
    assert found in statements(text)


def test_another_size_takes_the_short_side_along():
    config = ClipConfig(frames=4, size=112)
    assert (config.short_side, config.shape) == (128, (4, 112, 112, 3))
    assert config.training_short_sides() == (128, 160)
    assert config.replace(size=56).short_side == 64
    assert config.replace(size=56, short_side=60).short_side == 60
    assert ClipConfig(size=64, short_side=72).replace(size=128).short_side == 144
    assert config.replace(stride=None) == config
    assert ClipConfig().training_short_sides() == (256, 320)
    assert config.for_crops(3).short_side == 112
    assert config.for_crops(1) == config.for_crops(10) == config


def test_json_keeps_every_field():
    config = ClipConfig(4, "dense", 3, 40, 32, (0.45, 0.4, 0.5), (0.225, 0.2, 0.25))
    config = config.replace(channel_order="bgr", keep_aspect=False)
    values = json.loads(json.dumps(config.to_dict()))
    assert ClipConfig.from_dict(values) == config
    for name in ("channel_order", "keep_aspect"):
        del values[name]
    older = ClipConfig.from_dict(values)
    assert (older.channel_order, older.keep_aspect, older.mean) == ("rgb", True, config.mean)
    for values in ({}, {**config.to_dict(), "crop": "centre"}, None):
        with pytest.raises(SmallBigError, match="must have frames, sampling, .*Received: "):
            ClipConfig.from_dict(values)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"frames": 0}, "`frames` must be an int from 1 to 4096. Received: frames=0"),
        ({"frames": 8.0}, "frames=8.0"),
        ({"size": 5000}, "`size` must be an int from 1 to 4096"),
        ({"stride": True}, "stride=True"),
        ({"short_side": 223}, "at least `size`, the crop. Received: short_side=223, size=224"),
        ({"sampling": "denes"}, "Did you mean 'dense'. Received: 'denes'"),
        ({"mean": (1, 2)}, "`mean` must be three numbers.*Received: mean=.1, 2."),
        ({"mean": (1, 2, float("nan"))}, "`mean` must be three numbers"),
        ({"std": (0.2, 0.2, 0)}, "`std` must be three numbers above 0"),
        ({"std": None}, "`std` must be three numbers above 0"),
        ({"interpolation": "cubic"}, "must be one of bilinear. Received: 'cubic'"),
        ({"channel_order": "brg"}, "must be one of rgb, bgr. Received: 'brg'"),
        ({"keep_aspect": 1}, "must be a bool. Received: 1"),
    ],
)
def test_bad_values(values, message):
    with pytest.raises(SmallBigError, match=message):
        ClipConfig(**values)


def test_unknown_fields():
    with pytest.raises(SmallBigError, match="Did you mean 'short_side'.*Received: shortside"):
        ClipConfig().replace(shortside=3)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("video") / "a.webm", 30)


@pytest.mark.parametrize("sampling", ["segment", "dense"])
def test_one_video_and_a_list_give_the_same_clips(video, sampling):
    """`load_clip`, which prediction uses, and `clip_dataset`, which validation uses."""
    config = ClipConfig(4, sampling, 5, 40, 32, (0.45, 0.4, 0.5), (0.225, 0.2, 0.25))
    for views in ((1, 1), (2, 3)):
        options = {"views": views, "batch_size": 1, "training": False}
        ((expected, _),) = clip_dataset([Video(str(video), 0, "")], config, **options)
        found = load_clip(video, clips=config, views=views)
        assert found.shape == (views[0] * views[1], *config.shape)
        np.testing.assert_allclose(found, np.reshape(expected, found.shape), atol=1e-5)
        ((pixels, _),) = clip_dataset([str(video)], config, normalize=False, **options)
        assert pixels.dtype == np.uint8
        np.testing.assert_array_equal(
            load_clip(video, clips=config, views=views, normalize=False),
            np.reshape(pixels, found.shape),
        )


def test_mean_and_std_are_those_of_the_config(video):
    config = ClipConfig(2, size=32, mean=(0.45,) * 3, std=(0.225,) * 3)
    pixels = load_clip(video, clips=config, normalize=False).astype(np.float32)
    np.testing.assert_allclose(
        load_clip(video, clips=config), (pixels / 255 - 0.45) / 0.225, rtol=1e-4, atol=1e-5
    )


def test_every_kind_of_video_gives_the_same_clip(video, tmp_path):
    """A path, bytes, an array, floats, frames one by one, a list of them, and a `Video`."""
    frames = smallbig_keras.data.read_frames(video, range)
    expected = load_clip(video, frames=4, size=48)
    for same in (
        str(video),
        pathlib.Path(video).read_bytes(),
        frames,
        frames.astype(np.float32),
        iter(frames),
        list(frames),
        Video(str(video), None, "a"),
    ):
        np.testing.assert_array_equal(load_clip(same, frames=4, size=48), expected)


@pytest.mark.parametrize("first", [0, 1, 37])
def test_folder_of_frames_begins_at_its_lowest_number(first, tmp_path):
    folder = write_frames(tmp_path / "frames", 6, size=(64, 64))
    for index in range(5, -1, -1):
        (folder / f"img_{index + 1:05d}.jpg").rename(folder / f"frame{index + first:03d}.jpg")
    (folder / "notes.txt").write_text("no picture")
    clip = load_clip(folder, frames=3, size=64, short_side=64, normalize=False)
    assert numbers(clip[0]) == [1, 3, 5]


@pytest.mark.parametrize(
    "video, message",
    [
        (3, "A video must be a path .*Received: int 3"),
        ({"a": 1}, "A video must be a path .*Received: dict"),
        (np.zeros((4, 8, 8)), r"must be `\(frames, height, width, 3\)`. Received: shape=\(4, 8"),
        (np.zeros((0, 8, 8, 3), np.uint8), r"shape=\(0, 8, 8, 3\)"),
        (
            np.full((4, 8, 8, 3), 0.5),
            "to 255. Multiply them by 255. Received: .* from 0.5 to 0.5",
        ),
        (np.full((4, 8, 8, 3), -1.0), "from 0 to 255"),
        (np.full((4, 8, 8, 3), np.nan), "from 0 to 255"),
        (np.full((4, 8, 8, 3), "a"), "from 0 to 255"),
        ([np.zeros((8, 8, 3)), np.zeros((8, 9, 3))], "of one shape .*Received: .*8, 8, 3.*8, 9"),
        ([], "Received: no frame"),
    ],
)
def test_what_is_no_video(video, message):
    with pytest.raises(SmallBigError, match=message):
        load_clip(video, frames=2, size=8)


def test_folders_that_are_no_video(tmp_path):
    with pytest.raises(SmallBigError, match="A frame folder must hold .*: no frame"):
        load_clip(tmp_path)
    folder = write_frames(tmp_path / "frames", 4)
    (folder / "other_1.jpg").write_bytes((folder / "img_00001.jpg").read_bytes())
    with pytest.raises(SmallBigError, match="pictures img_NUMBER.jpg and other_NUMBER.jpg"):
        load_clip(folder)
    (folder / "other_1.jpg").unlink()
    (folder / "img_1.jpg").write_bytes((folder / "img_00001.jpg").read_bytes())
    with pytest.raises(SmallBigError, match="which have one number"):
        load_clip(folder)
    (folder / "img_1.jpg").unlink()
    (folder / "img_00003.jpg").unlink()
    with pytest.raises(SmallBigError, match="no picture 3, a missing frame"):
        load_clip(folder)
