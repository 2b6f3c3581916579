"""`smallbig predict`: what it prints, and the file of features that it writes."""

import os
import pathlib
import re
import sys

import numpy as np
import pytest

from smallbig_keras.cli import main
from tests.classifier.conftest import NAMES, classifier, videos  # noqa: F401
from tests.data.videos import write_frames, write_video


@pytest.fixture(scope="module")
def saved(classifier, tmp_path_factory):  # noqa: F811
    return str(classifier.save(tmp_path_factory.mktemp("saved") / "classifier"))


def test_features_round_trip(saved, classifier, videos, tmp_path, capsys):  # noqa: F811
    file = tmp_path / "new" / "features.npz"
    words = ["predict", *videos, "--weights", saved, "--clips", "2", "--features", str(file)]
    results = main([*words, "--layers", "res4", "res5"])
    assert list(results) == videos
    with np.load(file) as found:
        arrays = dict(found)
    names = {"videos", "class_names", "probabilities", "features", "res4", "res5"}
    assert set(arrays) == names
    assert arrays["videos"].tolist() == videos and arrays["class_names"].tolist() == NAMES
    layers = ["features", "probabilities", "res4", "res5"]
    expected = classifier.features(videos, layers=layers, clips=2)
    for name in layers:
        assert arrays[name].dtype == np.float32
        np.testing.assert_allclose(arrays[name], expected[name], rtol=1e-5, atol=1e-5)
    best = [NAMES[index] for index in arrays["probabilities"].argmax(axis=1)]
    assert best == [found[0][0] for found in results.values()]
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == videos[0] and printed[-1] == f"{file}: 3 videos, 256 features"
    assert os.listdir(file.parent) == ["features.npz"]

    before = file.read_bytes()
    with pytest.raises(SystemExit, match="without --overwrite.*features.npz, which is there"):
        main(words)
    assert file.read_bytes() == before
    main([*words, "--overwrite"])
    with np.load(file) as found:
        assert "res4" not in found


def test_readable_videos_are_written(saved, videos, tmp_path, capsys):  # noqa: F811
    file = tmp_path / "features.npz"
    given = [videos[0], "nowhere.mp4", videos[1], "missing.mp4"]
    words = ["predict", "--weights", saved, "--features", str(file)]
    with pytest.raises(SystemExit) as end:
        main([*words, *given])
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert "nowhere.mp4" in error and "missing.mp4" in error and videos[0] not in error
    with np.load(file) as found:
        assert found["videos"].tolist() == [videos[0], videos[1]]
    file.unlink()
    with pytest.raises(SystemExit):
        main([*words, "nowhere.mp4"])
    assert not any(tmp_path.iterdir())


def test_names_of_any_character(saved, tmp_path, capsys):
    names = [" two  words ", "line\nbreak", "日本 é #[x]", "-dash"]
    paths = [write_video(tmp_path / f"{name}.webm", 5) for name in names]
    paths = list(map(str, paths))
    file = tmp_path / "features.npz"
    found = main(["predict", *paths, "--weights", saved, "--features", str(file)])
    assert list(found) == paths
    with np.load(file) as arrays:
        assert arrays["videos"].tolist() == paths
        for path in arrays["videos"].tolist():
            assert os.path.exists(path)
    printed = capsys.readouterr().out
    assert paths[2] in printed and repr(paths[1]) in printed


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_not_utf_8_is_an_error(saved, videos, tmp_path, capsys):  # noqa: F811
    folder = str(tmp_path / "folder\udcff")
    os.rename(write_frames(tmp_path / "folder", 5), folder)
    file = tmp_path / "features.npz"
    with pytest.raises(SystemExit):
        main(["predict", folder, videos[0], "--weights", saved, "--features", str(file)])
    assert "folder\\udcff" in capsys.readouterr().err
    with np.load(file) as found:
        assert found["videos"].tolist() == videos[:1]


def test_code_of_the_page(classifier, tmp_path, monkeypatch, capsys):  # noqa: F811
    """`docs/features.md`, on two folders of videos."""
    page = pathlib.Path(__file__).parents[2] / "docs" / "features.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    classifier.save("runs/RUN")
    for name in ("left", "right"):
        pathlib.Path("FOLDER", name).mkdir(parents=True)
        write_video(f"FOLDER/{name}/a.webm", 14 if name == "left" else 200)
    main(["predict", "FOLDER", "--weights", "runs/RUN", "--features", "features.npz"])
    names = {"paths": ["FOLDER/left/a.webm", "FOLDER/right/a.webm"]}
    for block in blocks:
        if "unreadable=bad" in block:
            pathlib.Path("bad.webm").write_bytes(b"bad")
            capsys.readouterr()
            exec(block, {**names, "paths": ["bad.webm", *names["paths"]]})
            read, other, error = capsys.readouterr().out.splitlines()
            assert [read, other] == [f"{path} (256,)" for path in names["paths"]]
            assert "bad.webm" in error and "not a video" in error
        else:
            exec(block, names)
    assert any("unreadable=bad" in block for block in blocks)
    assert names["nearest"].tolist() == ["left", "right"]
    np.testing.assert_allclose(names["features"], names["found"]["features"], rtol=1e-5)
    names["found"].close()
    assert names["maps"].shape == (2, 4, 2, 2, 128)


@pytest.mark.parametrize(
    "layers, message",
    [
        (["videos"], "--layers must name others. Received: videos"),
        (["res9"], "A feature is named by a stage"),
    ],
)
def test_wrong_layers(saved, layers, message, tmp_path):
    words = ["predict", "a.mp4", "--weights", saved, "--features", str(tmp_path / "x.npz")]
    with pytest.raises(SystemExit, match=message):
        main([*words, "--layers", *layers])
    assert not any(tmp_path.iterdir())


def test_artifacts_have_no_features(classifier, videos, tmp_path):  # noqa: F811
    artifact = str(classifier.export(tmp_path / "x.onnx"))
    main(["predict", videos[0], "--weights", artifact])
    with pytest.raises(SystemExit, match="not an artifact. Received: .*x.onnx"):
        main(["predict", videos[0], "--weights", artifact, "--features", str(tmp_path / "x.npz")])
