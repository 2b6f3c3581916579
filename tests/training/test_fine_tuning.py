"""The recipe of small data: chosen from the number of videos, printed as a line to repeat."""

import dataclasses
import shlex

import pytest

from smallbig_keras.cli import make_parser
from smallbig_keras.data import VideoSource
from smallbig_keras.options import command_line
from smallbig_keras.training import reports
from smallbig_keras.training.recipes import FINE_TUNED, find_recipe, fine_tuning
from smallbig_keras.training.resolution import resolve


@pytest.fixture
def folder(tmp_path):
    """A dataset of so many (empty) files; nothing here opens them."""

    def make(clips=12):
        for split, count in (("train", clips), ("val", 1)):
            for name in ("nod", "shake the head"):
                (tmp_path / split / name).mkdir(parents=True)
                for number in range(count):
                    (tmp_path / split / name / f"{number}.mp4").touch()
        return {"dataset": "folder", "data_root": str(tmp_path), "weights": "none"}

    return make


def test_own_videos_have_the_recipe(folder):
    given = folder()
    options = resolve(given)
    assert options.recipe == "finetune"
    assert (options.batch_size, options.lr) == (8, 0.02)
    # 24 videos: three updates an epoch.
    assert (options.epochs, options.warmup_epochs, options.schedule) == (60, 2, "cosine")
    assert options.freeze == ()
    paper = resolve({**given, "recipe": "paper"})
    assert (paper.batch_size, paper.epochs) == (128, 110)
    assert resolve({"dataset": "sthv2"}).recipe == "paper"
    assert {"folder", "frames", "csv"} == set(FINE_TUNED)


def test_every_value_is_a_flag(folder):
    given = folder()
    options = resolve({**given, "batch_size": 4, "epochs": 30})
    # The rate follows the batch, the warm-up the epochs.
    assert (options.lr, options.warmup_epochs) == (0.01, 1)
    options = resolve({**given, "lr": 0.5, "warmup_epochs": 0, "freeze": ("stem",)})
    assert (options.lr, options.warmup_epochs, options.freeze) == (0.5, 0, ("stem",))
    other = resolve({"dataset": "folder", "data_root": given["data_root"], "model": "S3D"})
    assert (other.model, other.lr, other.epochs) == ("S3D", 0.02, 60)


def test_batch_and_epochs_follow_the_number_of_videos(folder):
    """No step asks for more videos than there are, and large sets have larger steps."""
    options = resolve(folder(clips=2))
    assert (options.batch_size, options.lr) == (2, 0.005)
    counts = (1, 2, 3, 12, 16, 1000, 1001, 240_000)
    chosen = [fine_tuning(count) for count in counts]
    assert [values["batch_size"] for values in chosen] == [1, 1, 1, 6, 8, 8, 16, 32]
    assert [fine_tuning(8 * steps)["epochs"] for steps in (2, 4, 6, 8, 100)] == [60, 60, 40, 30, 30]
    assert find_recipe("finetune", "k400", num_videos=20)["model"] == "SmallBigR50"


def test_the_printed_line_gives_the_same_training(folder):
    given = {**folder(), "options": {"width": 8}, "size": 64, "seed": 3, "freeze": ("stem", "res2")}
    # Batch and accumulation are printed when the memory has chosen them.
    options = dataclasses.replace(resolve(given), gradient_accumulation_steps=1)
    values = dict(vars(options))
    assert values.pop("given") == tuple(sorted(given))
    words = shlex.split(command_line("smallbig fit", values))
    assert words[:2] == ["smallbig", "fit"]
    parser, _ = make_parser("fit")
    read = vars(parser.parse_args(words[2:]))
    read = {name: tuple(v) if isinstance(v, list) else v for name, v in read.items()}
    assert resolve(read) == options


def test_a_command_is_quoted_for_the_shell():
    values = {"data_root": "my 'own' clips", "options": {"width": 4}, "freeze": ("stem", "res2")}
    line = command_line("smallbig fit", {**values, "sync_bn": True, "lr": None, "sample": False})
    assert shlex.split(line)[2:] == [
        *("--data-root", "my 'own' clips", "--options", '{"width": 4}'),
        *("--freeze", "stem", "res2", "--sync-bn"),
    ]


def test_videos_in_both_splits_are_named():
    config = {"class_names": ["a", "b"], "recipe": "paper", "flip": "none", "val_list": None}
    training = VideoSource([("a.mp4", 0), ("b.mp4", 1)])
    lines = reports.choices(config, training, VideoSource([("b.mp4", 1), ("c.mp4", 0)]))
    (line,) = [line for line in lines if line.startswith("in both")]
    assert "1 of the videos" in line and line.endswith(": 'b.mp4'")
    lines = reports.choices(config, training, VideoSource([("c.mp4", 0), ("d.mp4", 1)]))
    assert [line.split()[0] for line in lines] == ["videos"]
