"""Commands start from any source, and take network, clips and names from it."""

import json
import shutil

import numpy as np
import pytest

import smallbig_keras
from smallbig_keras import VideoClassifier, runs
from smallbig_keras.cli import main
from smallbig_keras.data import ClipConfig
from smallbig_keras.training.resolution import resolve
from tests.conftest import randomize
from tests.data.miniatures import clips, write_video

OPTIONS = {"blocks": (1, 1, 1, 1), "width": 4, "temporal_stages": (2, 3, 4, 5)}
CLIPS = ClipConfig(4, "segment", size=32, short_side=36, mean=(0.45,) * 3, std=(0.225,) * 3)
NAMES = ["camera left", "camera right", "nearer"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Videos of three classes in folders."""
    root = tmp_path_factory.mktemp("data")
    for split, name in (("train", "train"), ("validation", "val")):
        for number, (class_id, frames) in enumerate(clips(split)):
            folder = root / name / NAMES[class_id]
            folder.mkdir(parents=True, exist_ok=True)
            write_video(folder / f"{number}.mp4", frames, "libx264")
    return root


@pytest.fixture(scope="module")
def classifier():
    model = smallbig_keras.SmallBigSlowOnlyR50(
        input_shape=CLIPS.shape, classes=3, variant="paper", **OPTIONS
    )
    return VideoClassifier(randomize(model), CLIPS, NAMES)


@pytest.fixture(scope="module")
def source(classifier, tmp_path_factory):
    return classifier.save(tmp_path_factory.mktemp("saved") / "classifier")


def flags(root, output, *more):
    data = ["--dataset", "folder", "--data-root", str(root), "--output", str(output)]
    return ["fit", *data, "--batch-size", "4", "--epochs", "1", *more]


def test_network_and_clips_are_those_of_the_source(source, root, classifier, tmp_path):
    chosen = resolve({"dataset": "folder", "data_root": str(root), "weights": str(source)})
    assert (chosen.model, chosen.variant) == ("SmallBigSlowOnlyR50", "paper")
    assert {name: tuple(np.ravel(v)) for name, v in chosen.options.items()} == {
        name: tuple(np.ravel(v)) for name, v in OPTIONS.items()
    }
    assert (chosen.frames, chosen.sampling, chosen.size) == (4, "segment", 32)
    assert (chosen.test_short_side, chosen.short_side) == (36, (37, 46))
    assert (chosen.mean, chosen.std) == (CLIPS.mean, CLIPS.std)
    # The rest is the recipe's; what is given comes before both.
    assert (chosen.flip, chosen.schedule) == ("swap", "cosine")
    given = {"size": 64, "sampling": "dense", "stride": 2, "options": {"dropout": 0.5}}
    other = resolve({"dataset": "k400", "data_root": "DIR", "weights": str(source), **given})
    assert (other.size, other.test_short_side, other.sampling) == (64, 72, "dense")
    assert other.options["dropout"] == 0.5 and other.options["width"] == 4
    # A file of Keras knows its network and shape, not its frame rule.
    classifier.model.save(tmp_path / "x.keras")
    keras_file = resolve(
        {"dataset": "k400", "data_root": "D", "weights": str(tmp_path / "x.keras")}
    )
    assert (keras_file.model, keras_file.size, keras_file.frames) == (chosen.model, 32, 4)
    assert keras_file.sampling == "dense"


@pytest.mark.parametrize("options", [{"model": "SmallBigR50"}, {"model": "C2DR23"}])
def test_another_network_is_refused(source, options):
    with pytest.raises(ValueError, match=r"SlowOnlyR50 \(3 classes\); you asked for"):
        resolve({"dataset": "k400", "data_root": "D", "weights": str(source), **options})


def test_fine_tuning_on_other_classes(source, classifier, root, tmp_path, capsys):
    """The command of the README on a run of other classes; nothing else is named."""
    run = tmp_path / "first"
    main(flags(root, run, "--weights", str(source), "--freeze", "stem", "res2"))
    assert "new " not in capsys.readouterr().out.split("run:")[0]
    config = runs.read_config(run)
    assert config["class_names"] == NAMES and config["keep_classifier"]
    opened = smallbig_keras.load(run)
    assert (opened.clips, opened.class_names) == (CLIPS, NAMES)
    before, after = (m.get_layer("stem_conv").kernel for m in (classifier.model, opened.model))
    np.testing.assert_array_equal(before, after)

    # Two of the classes: a new classifier, by its shape.
    part = shutil.copytree(root, tmp_path / "part")
    for split in ("train", "val"):
        shutil.rmtree(part / split / NAMES[2])
    main(flags(part, tmp_path / "second", "--weights", str(run)))
    assert "2" in capsys.readouterr().out
    assert smallbig_keras.load(tmp_path / "second").class_names == NAMES[:2]

    # As many classes of other names: a new one, too.
    other = shutil.copytree(root, tmp_path / "other")
    for split in ("train", "val"):
        (other / split / NAMES[2]).rename(other / split / "a new one")
    main(flags(other, tmp_path / "third", "--weights", str(run), "--lr", "1e-12"))
    assert "the weights are of other classes" in capsys.readouterr().out
    kernels = [
        smallbig_keras.load(path).model.get_layer("classifier").kernel
        for path in (run, tmp_path / "third")
    ]
    assert np.abs(kernels[0] - kernels[1]).max() > 0.01


def test_a_run_continues_with_its_classes_and_videos_only(source, root, tmp_path):
    run, data = tmp_path / "run", shutil.copytree(root, tmp_path / "data")
    main(flags(data, run, "--weights", str(source)))
    config = runs.read_config(run)
    runs.write_config(run, {**config, "epochs": 2})
    resume = ["fit", "--resume", str(run)]
    # Another order of the same classes would swap their ids.
    for split in ("train", "val"):
        (data / split / NAMES[0]).rename(data / split / "zoom")
    with pytest.raises(SystemExit, match="Received: gone: 'camera left'; new: 'zoom'"):
        main(resume)
    for split in ("train", "val"):
        (data / split / "zoom").rename(data / split / NAMES[0])
    # As many videos, one of them with another label.
    moved = next((data / "train" / NAMES[0]).iterdir())
    moved.rename(data / "train" / NAMES[1] / "moved.mp4")
    with pytest.raises(SystemExit, match="on the [0-9]+ videos and labels that it"):
        main(resume)
    (data / "train" / NAMES[1] / "moved.mp4").rename(moved)
    main(resume)
    assert len(runs.read_log(run)) == 2


def test_evaluation_and_prediction_of_every_source(
    classifier, source, root, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    classifier.model.save_weights("x.weights.h5")
    classifier.export("x.onnx")
    (tmp_path / "names.txt").write_text("\n".join(NAMES))
    network = ["--model", "SmallBigSlowOnlyR50", "--variant", "paper"]
    network += ["--options", json.dumps(OPTIONS), "--labels", "names.txt", "--frames", "4"]
    network += ["--size", "32", "--short-side", "36"]
    data = ["--dataset", "folder", "--data-root", str(root)]
    results = {}
    for name, more in ((str(source), []), ("x.onnx", []), ("x.weights.h5", network)):
        results[name] = main(["evaluate", "--weights", name, *data, *more])
    folders = sorted(path.name for path in (tmp_path / "evaluation").iterdir())
    assert folders == ["x.onnx", "x.weights.h5"] and (source / "evaluation").is_dir()
    assert results["x.onnx"]["top1"] == results[str(source)]["top1"]
    capsys.readouterr()

    video = str(next((root / "val" / NAMES[0]).iterdir()))
    expected = classifier.predict(video)
    for name in (str(source), "x.onnx"):
        found = main(["predict", video, "--weights", name])[video]
        assert [n for n, _ in found] == [n for n, _ in expected]
        np.testing.assert_allclose([p for _, p in found], [p for _, p in expected], atol=2e-6)
    named = main(["predict", str(root / "val"), "--weights", "x.onnx", "--clips", "2"])
    assert len(named) == 3 and all(path.endswith(".mp4") for path in named)


@pytest.mark.parametrize(
    "words, message",
    [
        (["evaluate", "--weights", "x.onnx"], "The videos are those of a run's dataset"),
        (
            ["evaluate", "--weights", "x.onnx", "--checkpoint", "last", *"--dataset csv".split()],
            "--checkpoint last is for a run",
        ),
        (["evaluate", "--weights", "x.onnx", "--checkpoint", "first"], "must be best or last"),
        (["predict", "a.mp4", "--weights", "x.onnx", "--model", "C2DR23"], "--model has no effect"),
        (
            ["predict", "a.mp4", "--weights", "x.onnx", "--crops", "3", "--short-side", "40"],
            "--short-side has no effect with --crops 3",
        ),
        (
            ["predict", "a.mp4", "--weights", "saved", "--stride", "4"],
            "--stride has no effect with --sampling segment",
        ),
        (
            ["predict", "a.mp4", "--weights", "saved", "--options", '{"classes": 3}'],
            "The data or a flag of its own gives `classes`. Received: classes",
        ),
        (["predict", ".", "--weights", "saved"], "must hold videos, or one video as pictures"),
        (["predict", "a.mp4", "--weights", "k401"], "Did you mean 'k400'"),
        (["fit", "--dataset", "k400", "--data-root", ".", "--weights", "x.onnx"], "artifact"),
        (["export", "--weights", "x.onnx", "--output", "y.tflite"], "not an artifact"),
        (["verify", "x.onnx", "--weights", "x.onnx"], "not an artifact"),
    ],
)
def test_sources_that_do_not_serve(words, message, classifier, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    classifier.save("saved")
    classifier.export("x.onnx")
    with pytest.raises(SystemExit, match=message) as end:
        main(words)
    assert end.value.code == 2
