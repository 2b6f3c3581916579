"""Fine-tuning on one's own clips: three flags and no other, and the data of a first try."""

import collections
import re
import shlex

import numpy as np
import pytest

import smallbig_keras
from smallbig_keras import VideoClassifier, runs
from smallbig_keras.cli import main
from smallbig_keras.data import ClipConfig, sources
from tests.data.videos import write_video

OPTIONS = {"blocks": (1, 1, 1, 1), "width": 4, "temporal_stages": (2, 3, 4, 5)}
CLIPS = ClipConfig(4, "segment", size=32, short_side=36, mean=(0.45,) * 3, std=(0.225,) * 3)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    model = smallbig_keras.SmallBigSlowOnlyR50(
        input_shape=CLIPS.shape, classes=6, variant="paper", **OPTIONS
    )
    names = [f"class {number}" for number in range(6)]
    folder = tmp_path_factory.mktemp("source") / "a source"
    return VideoClassifier(model, CLIPS, names).save(folder)


def make_clips(root, counts, frames=6):
    """Writes `CLASS/NUMBER.mp4`, so many for each class."""
    made = root / "one.mp4"
    root.mkdir(parents=True, exist_ok=True)
    write_video(made, frames, codec="mpeg4")
    content = made.read_bytes()
    made.unlink()
    for name, count in counts.items():
        (root / name).mkdir()
        for number in range(count):
            (root / name / f"{number}.mp4").write_bytes(content)
    return root


def words(root, source, *more):
    return ["fit", "--dataset", "folder", "--data-root", str(root), "--weights", str(source), *more]


def test_three_flags(source, tmp_path, monkeypatch, capsys):
    """Network, clip and size are those of the source; the line printed repeats the training."""
    monkeypatch.chdir(tmp_path)
    root = make_clips(tmp_path / "my clips", {"Nod": 5, "Turn Left": 5, "Turn Right": 5})
    main(words(root, source, "--epochs", "2"))
    printed = capsys.readouterr().out
    by_seed = "12 for training, 3 for validation (chosen by seed, listed in the run's val_list.txt)"
    assert f"videos   {by_seed}; 3 classes\n" in printed
    assert "labels swapped: 'Turn Left' <-> 'Turn Right'" in printed
    (run,) = (tmp_path / "runs").iterdir()
    config = runs.read_config(run)
    assert (config["model"], config["frames"], config["size"]) == ("SmallBigSlowOnlyR50", 4, 32)
    # Twelve videos for training, in two steps.
    assert (config["batch_size"], config["lr"], config["recipe"]) == (6, 0.015, "finetune")
    assert config["class_names"] == ["Nod", "Turn Left", "Turn Right"]
    # A clip of each class for validation, written down.
    assert (run / "val_list.txt").read_text().count(".mp4\n") == 3
    assert re.search(r"new +2 variables: classifier", printed)
    assert smallbig_keras.load(run).clips == CLIPS

    (line,) = re.findall(r"^recipe +(smallbig fit .*)$", printed, re.MULTILINE)
    main([*shlex.split(line)[1:], "--output", "again"])
    first, again = (smallbig_keras.load(path).model.get_weights() for path in (run, "again"))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)


def test_ten_clips_of_which_three_are_unreadable(source, tmp_path, capsys):
    root = make_clips(tmp_path / "data", {"a": 5, "b": 5})
    bad = [root / "a" / "0.mp4", root / "a" / "1.mp4", root / "b" / "0.mp4"]
    for file in bad:
        file.write_bytes(b"no video")
    output = str(tmp_path / "run")
    main(words(root, source, "--epochs", "3", "--output", output, "--val-share", "0.4"))
    printed = capsys.readouterr().out
    # Once in three epochs, at the begin of a line.
    assert [printed.count(f"\n'{file}': ") for file in bad] == [1] * 3
    assert runs.read_log(output)[0]["val_top1"] >= 0
    with pytest.raises(SystemExit, match="At most 0 unreadable videos are allowed"):
        main(words(root, source, "--output", f"{output}2", "--max-bad-clips", "0"))


def test_validation_is_decoded_once(source, tmp_path, monkeypatch):
    root = make_clips(tmp_path / "data", {"a": 3, "b": 3})
    read, files = sources.read_with_times, []

    def spy(path, *more):
        files.append(path)
        return read(path, *more)

    monkeypatch.setattr(sources, "read_with_times", spy)
    run = tmp_path / "run"
    main(words(root, source, "--epochs", "3", "--output", str(run)))
    validation = {str(root / line) for line in (run / "val_list.txt").read_text().splitlines()}
    # A loader of the test before may still read its own.
    counts = collections.Counter(file for file in map(str, files) if file.startswith(str(root)))
    assert {counts[name] for name in validation} == {1}
    assert {counts[name] for name in set(counts) - validation} == {3}


def test_classes_of_two_and_of_many_clips(source, tmp_path, capsys):
    root = make_clips(tmp_path / "data", {"many": 40, "few": 2})
    main(words(root, source, "--epochs", "1", "--output", str(tmp_path / "run")))
    assert "uneven   'few' has 1 for training, 'many' has 32:" in capsys.readouterr().out


@pytest.mark.parametrize(
    "counts, message",
    [
        ({"a": 5, "b": 1}, "--val-list.*'b'"),
        ({"a": 5, "b": 0}, "--allow-empty-classes.*'b'"),
        ({"a": 5}, "two classes"),
        ({"turn left": 5, "other": 5}, "turn right.*--flip none"),
    ],
)
def test_classes_that_need_a_flag(counts, message, source, tmp_path, capsys):
    root = make_clips(tmp_path / "data", counts)
    with pytest.raises(SystemExit) as end:
        main(words(root, source, "--output", str(tmp_path / "run")))
    assert end.value.code == 2
    printed = capsys.readouterr().err
    assert re.search(message, printed, re.DOTALL), printed
    assert not (tmp_path / "run").exists()


def test_videos_of_one_frame(source, tmp_path):
    root = make_clips(tmp_path / "data", {"a": 3, "b": 3}, frames=1)
    best = main(words(root, source, "--epochs", "1", "--output", str(tmp_path / "run")))
    assert best["val_top1"] >= 0


def test_data_root_is_the_source(source, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main(words(source, source, "--output", str(tmp_path / "run")))
    assert end.value.code == 2
    assert re.search(r"--data-root.*--weights", capsys.readouterr().err, re.DOTALL)


def test_names_with_any_character(source, tmp_path):
    names = ["%d {x} 'q' \"z\"", "-dash", "ü 🎬", "a,b;c#d"]
    root = make_clips(tmp_path / "da ta%20", {name: 3 for name in names})
    (root / names[0] / "0.mp4").rename(root / names[0] / " new #1 {:05d}%s.MP4")
    run = tmp_path / "run"
    main(words(root, source, "--epochs", "1", "--output", str(run)))
    assert smallbig_keras.load(run).class_names == sorted(names)
    found = main(["evaluate", "--weights", str(run)])
    assert found["videos"] == len(names)
