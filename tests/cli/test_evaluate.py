"""The script that evaluates: protocols, files, resumption after a kill, ensembles."""

import csv
import functools
import json
import shutil
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import smallbig_keras
from smallbig_keras import runs
from smallbig_keras.cli import script
from smallbig_keras.evaluation import load_scores
from smallbig_keras.files import sha256
from smallbig_keras.opening import load
from smallbig_keras.weights import WeightsRecord
from smallbig_keras.weights.description import of_training, read_description, write_description
from smallbig_keras.weights.records import write_record
from tests.conftest import randomize
from tests.data.miniatures import clips, write_text, write_video

evaluate = script("evaluate")
CLASSES = ["camera left", "camera right", "nearer"]
OPTIONS = {"blocks": [1, 1, 1, 1], "width": 4, "temporal_stages": [4, 5]}
FILES = {"scores.npz", "videos.csv", "classes.csv", "confusion.csv", "confusion.png"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Nine videos to validate, one of them to test, in csv files."""
    root = tmp_path_factory.mktemp("data")
    lines = {"val": ["path,label"], "test": ["path"]}
    for number, (class_id, frames) in enumerate([*clips("train"), *clips("validation")]):
        write_video(root / f"{number}.mp4", frames, "libx264")
        lines["val"].append(f"{number}.mp4,{CLASSES[class_id]}")
    lines["test"] += ["3.mp4", "5.mp4"]
    for name in lines:
        write_text(root / f"{name}.csv", "\n".join(lines[name]) + "\n")
    write_text(root / "train.csv", "\n".join(lines["val"]) + "\n")
    return root


def make_run(path, root, seed, **changes):
    """A run whose weights are random."""
    config = {
        "model": "SmallBigSlowOnlyR50",
        **{"variant": "paper", "options": OPTIONS, "frames": 4, "size": 32},
        **{"test_short_side": 36, "sampling": "segment", "stride": None, "class_names": CLASSES},
        **{"dataset": "csv", "data_root": str(root), **changes},
    }
    runs.write_config(path, config)
    model = randomize(make_model(config["frames"], config["size"]), seed)
    runs.save_checkpoint(model, path / runs.BEST, include_optimizer=False)
    write_description(of_training(config), path)
    return path


@functools.cache
def make_model(frames, size):
    return smallbig_keras.SmallBigSlowOnlyR50(
        input_shape=(frames, size, size, 3), classes=3, variant="paper", **OPTIONS
    )


@pytest.fixture
def run(root, tmp_path):
    return make_run(tmp_path / "first", root, seed=1)


def only_folder(run):
    (folder,) = (run / "evaluation").iterdir()
    return folder


def test_views_of_another_size_and_length(run, root, capsys):
    """Against clips that the package loads one by one, through a model built for their size."""
    flags = ["--frames", "6", "--size", "48", "--batch-size", "4"]
    result = evaluate(["--weights", str(run), *flags])
    folder = only_folder(run)
    assert folder.name == "csv-validation-6x1x1-48"
    assert {file.name for file in folder.iterdir()} == {*FILES, "results.json"}
    opened = load(run)
    model = make_model(6, 48)
    model.set_weights(opened.model.get_weights())
    scores = load_scores(folder / "scores.npz")
    assert scores.ids == [f"{number}.mp4" for number in range(9)]
    for name, row in zip(scores.ids, scores.scores, strict=True):
        clip = smallbig_keras.data.load_clip(root / name, frames=6, size=48, short_side=54)
        np.testing.assert_allclose(row, model(clip)[0], rtol=1e-4, atol=1e-6)
    correct = scores.scores.argmax(axis=1) == scores.labels
    assert result["top1"] == pytest.approx(correct.mean())
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"top1={correct.mean():.3f} top5=1.000 videos=9"


def test_paper_protocol_and_its_record(run, capsys):
    flags = ["--clips", "2", "--crops", "3", "--size", "48", "--sampling", "dense", "--stride", "2"]
    evaluate(["--weights", str(run), *flags, "--checkpoint", "best"])
    folder = only_folder(run)
    assert folder.name == "csv-validation-4x2x3-48-dense-stride2"
    results = json.loads((folder / "results.json").read_text())
    protocol = results["protocol"]
    assert (protocol["clips"], protocol["crops"], protocol["size"]) == (2, 3, 48)
    assert (protocol["short_side"], protocol["sampling"], protocol["stride"]) == (48, "dense", 2)
    assert results["weights"] == str(run / runs.BEST) and len(protocol["weights_sha256"]) == 64
    assert results["versions"]["smallbig_keras"] == smallbig_keras.__version__
    assert results["skipped"] == [] and results["seconds"] > 0
    assert "9 videos, 2 clips x 3 crops of 4 x 48 x 48, dense" in capsys.readouterr().out


def test_killed_evaluation_continues_to_the_same_scores(run, tmp_path, capsys):
    """The process kills itself after the sixth call of the model, before the end of video 3."""
    flags = ["--weights", str(run), "--clips", "2", "--crops", "3", "--batch-size", "4"]
    evaluate([*flags, "--output", str(tmp_path / "whole")])
    script = """
        import os, signal, sys
        from smallbig_keras import evaluation
        from smallbig_keras.cli import main
        score, calls = evaluation.score_videos, []

        def score_until_killed(predict, *args, **options):
            def dying(clips):
                calls.append(len(clips))
                if len(calls) == 6:
                    os.kill(os.getpid(), signal.SIGKILL)
                return predict(clips)
            return score(dying, *args, **options)

        evaluation.score_videos = score_until_killed
        main(["evaluate", *sys.argv[1:]])
    """
    output = tmp_path / "killed"
    flags += ["--output", str(output)]
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *flags],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=300,
    )
    assert result.returncode == -signal.SIGKILL
    assert [file.name for file in output.iterdir() if file.name != ".lock"] == ["scores.partial"]
    capsys.readouterr()
    evaluate(flags)
    assert "continued after 2 of 9 videos" in capsys.readouterr().out
    whole, continued = (load_scores(path / "scores.npz") for path in (tmp_path / "whole", output))
    np.testing.assert_array_equal(continued.scores, whole.scores)
    assert continued.ids == whole.ids
    for name in ("videos.csv", "classes.csv", "confusion.csv"):
        assert (output / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()

    evaluate(flags)
    assert "scores are read from" in capsys.readouterr().out


def test_videos_without_labels(run, capsys):
    result = evaluate(["--weights", str(run), "--split", "test"])
    assert "top1" not in result
    printed = capsys.readouterr().out
    assert "no accuracy" in printed and printed.splitlines()[-1] == "videos=2"
    with (only_folder(run) / "videos.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["id"] for row in rows] == ["3.mp4", "5.mp4"]
    assert all(row["prediction"] in CLASSES and row["label"] == "" for row in rows)


def test_ensemble_of_a_run_and_of_scores(run, root, tmp_path, capsys):
    second = make_run(tmp_path / "second", root, seed=2, frames=6, size=40, test_short_side=45)
    third = make_run(tmp_path / "third", root, seed=3)
    evaluate(["--weights", str(third), "--crops", "3"])
    file = only_folder(third) / "scores.npz"
    capsys.readouterr()
    result = evaluate(["--weights", str(run), "--ensemble", str(second), str(file)])
    lines = capsys.readouterr().out.splitlines()
    figures = [line for line in lines if line.startswith("top1=")]
    assert len(figures) == 4 and "ensemble of 3:" in lines
    assert only_folder(second).name == "csv-validation-6x1x1-40"
    folder = run / "evaluation" / "csv-validation-4x1x1-32-with-second-third"
    members = [run / "evaluation" / "csv-validation-4x1x1-32", only_folder(second), file.parent]
    rows = [load_scores(member / "scores.npz").scores for member in members]
    expected = np.mean(np.array(rows, float), axis=0)
    np.testing.assert_allclose(load_scores(folder / "scores.npz").scores, expected, rtol=1e-5)
    with (folder / "videos.csv").open(newline="") as lines:
        table = list(csv.DictReader(lines))
    assert [row["prediction"] for row in table] == [CLASSES[i] for i in expected.argmax(axis=1)]
    np.testing.assert_allclose(
        [float(row["probability"]) for row in table], expected.max(axis=1), atol=1e-6
    )
    assert result["videos"] == 9 and len(result["protocol"]["ensemble"]) == 3

    evaluate(["--weights", str(third), "--split", "test"])
    other = run.parent / "third" / "evaluation" / "csv-test-4x1x1-32" / "scores.npz"
    with pytest.raises(SystemExit, match="same videos. Received: member 2 with 2 .*'0.mp4'"):
        evaluate(["--weights", str(run), "--ensemble", str(other)])


def test_unreadable_and_missing_videos(root, tmp_path, capsys):
    damaged = tmp_path / "data"
    damaged.mkdir()
    for file in root.iterdir():
        (damaged / file.name).write_bytes(file.read_bytes())
    (damaged / "2.mp4").write_bytes(b"no video")
    run = make_run(tmp_path / "run", damaged, seed=1)
    whole = make_run(tmp_path / "whole", root, seed=1)
    evaluate(["--weights", str(whole)])
    with pytest.raises(SystemExit, match="Received: .*2.mp4"):
        evaluate(["--weights", str(run)])
    (damaged / "7.mp4").unlink()
    with pytest.raises(SystemExit, match="1 of 9 listed videos are missing: .*7.mp4"):
        evaluate(["--weights", str(run)])
    capsys.readouterr()
    with pytest.warns(smallbig_keras.data.AnnotationWarning, match="7.mp4"):
        result = evaluate(["--weights", str(run), "--skip-bad"])
    printed = capsys.readouterr().out
    assert "2 unreadable videos are left out" in printed
    assert printed.splitlines()[-1].endswith("videos=7")
    assert ["2.mp4" in line for line in result["skipped"]] == [True, False]
    left, every = (load_scores(only_folder(path) / "scores.npz") for path in (run, whole))
    kept = [0, 1, 3, 4, 5, 6, 8]
    assert left.ids == [f"{number}.mp4" for number in kept]
    np.testing.assert_array_equal(left.labels, every.labels[kept])
    # Other batches round otherwise.
    np.testing.assert_allclose(left.scores, every.scores[kept], rtol=1e-4)


@pytest.mark.parametrize("flag", ["--clips", "--frames", "--size", "--batch-size", "--workers"])
def test_numbers_are_checked(run, flag):
    with pytest.raises(SystemExit, match="must be .*1.* Received: .*0"):
        evaluate(["--weights", str(run), flag, "0"])


def test_errors(run, root, tmp_path):
    with pytest.raises(SystemExit, match="its checkpoint last.weights.h5.*Received: .*first"):
        evaluate(["--weights", str(run), "--checkpoint", "last"])
    with pytest.raises(SystemExit, match="`short_side` must be at least `size`.*short_side=30"):
        evaluate(["--weights", str(run), "--short-side", "30"])
    with pytest.raises(SystemExit, match="Received: .*nowhere, which is not there"):
        evaluate(["--weights", str(run), "--ensemble", str(tmp_path / "nowhere")])
    other = make_run(tmp_path / "other", root, seed=1, class_names=CLASSES[::-1])
    with pytest.raises(
        SystemExit,
        match="3 classes .* other names.* Received: .*other.*: class 0 is",
    ):
        evaluate(["--weights", str(other)])


@pytest.fixture
def theirs(run, tmp_path):
    """The flags of weights with a publisher's figure."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    weights = shutil.copy(run / runs.BEST, folder / "theirs.weights.h5")
    record = WeightsRecord(
        **{
            "name": "theirs",
            "model": "SmallBigSlowOnlyR50",
            "variant": "paper",
            "options": OPTIONS,
        },
        **{"classes": 3, "input_shape": [4, 32, 32, 3], "parameters": 1, "macs": 1, "bytes": None},
        **{"file": "theirs.weights.h5", "url": None, "sha256": sha256(weights)},
        labels=CLASSES,
        clips=read_description(run).clips.to_dict(),
        accuracy={
            **{"top1": 0.5, "top5": 1.0, "protocol": "6x2x10", "dataset": "csv", "run": None},
            "clips": {"size": 24, "short_side": 28},
        },
        licence=None,
        source="a test",
        publisher="Somebody",
    )
    write_record(record, folder / "SmallBigSlowOnlyR50-theirs.json")
    return ["--weights", "theirs", "--weights-dir", str(folder)]


def test_the_protocol_of_a_publisher(theirs, run, root, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    flags = ["--dataset", "csv", "--data-root", str(root)]
    result = evaluate([*theirs, *flags, "--as-published"])
    printed = capsys.readouterr().out
    assert "2 clips x 10 crops of 6 x 24 x 24, segment sampling, short side 28" in printed
    assert "Somebody's theirs, 6x2x10 on csv; measured on 9 videos:" in printed
    difference = f"difference {result['top1'] - 0.5:+.4f}"
    assert f"top1  theirs 0.5000  measured {result['top1']:.4f}  {difference}" in printed
    assert result["published"]["by"] == "Somebody" and result["published"]["top1"] == 0.5
    protocol = ["--frames", "6", "--clips", "2", "--crops", "10", "--size", "24"]
    protocol += ["--short-side", "28"]
    again = evaluate(["--weights", str(run), *protocol, "--output", str(tmp_path / "again")])
    assert "published" not in again
    files = tmp_path / "evaluation/theirs/csv-validation-6x2x10-24-short28", tmp_path / "again"
    scores = [load_scores(folder / "scores.npz").scores for folder in files]
    np.testing.assert_array_equal(*scores)
    with pytest.raises(SystemExit, match="leave out --frames, --crops. Received: theirs"):
        evaluate([*theirs, *flags, "--as-published", "--crops", "3", "--frames", "4"])
    with pytest.raises(SystemExit, match="the name of weights with a publisher's figure.*first"):
        evaluate(["--weights", str(run), "--as-published"])
