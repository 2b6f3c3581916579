"""Weights by name from their publishers' files, as another server has them."""

import contextlib
import hashlib
import json
import pathlib
import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest

import smallbig_keras
from smallbig_keras.cli import main
from smallbig_keras.weights import (
    DownloadError,
    WeightsError,
    WeightsNotFoundError,
    fetching,
    find_weights,
    list_weights,
    records,
)
from tests import publishers
from tests.data.videos import write_video
from tests.peers_formula import clip, golden, state
from tests.reference_formula import relative_error
from tests.weights.server import Server
from tests.weights.torch_writer import write_torch

SMALL = {"blocks": (1, 1, 1, 1), "input_shape": (2, 64, 64, 3)}
CASES = ("c2d_r50", "slowonly_r50", "slow_r50")
C2D, SLOWONLY, SLOW = (publishers.CASES[name].file for name in CASES)
(S3D,) = (r for r in records.builtin_records() if r.model == "S3D")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files of small networks under their publishers' names, and torchvision's S3D."""
    folder = tmp_path_factory.mktemp("files")
    write_torch(folder / S3D.file, state("s3d"))
    for name in CASES:
        weights = publishers.state(name, blocks=(1, 1, 1, 1), classes=400)
        publishers.write(folder, name, weights)
    return folder


@pytest.fixture
def server(files, monkeypatch, trust):
    """A mirror of the files alone, whose digests the records have."""
    for file in files.iterdir():
        if file.name != SLOWONLY:
            trust(file)
    monkeypatch.setattr(fetching, "_BACKOFF", 0)
    monkeypatch.setenv("no_proxy", "*")
    with contextlib.closing(Server(folder=files)) as server:
        monkeypatch.setenv("SMALLBIG_WEIGHTS_URL", server.root)
        yield server


def cache():
    return sorted(f.name for f in fetching.cache_folder().rglob("*") if f.suffix != ".lock")


def scores(model):
    clips = np.random.default_rng(0).normal(size=(2, *SMALL["input_shape"])).astype("float32")
    return keras.ops.convert_to_numpy(model(clips))


def loaded(function, **arguments):
    """Returns a model, and the texts of the warnings that came with it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = getattr(smallbig_keras, function)(**SMALL, **arguments)
    return model, [str(warning.message) for warning in caught]


@pytest.mark.parametrize(
    "name, networks, meant",
    [
        ("k400", "C2DR50 C2DR101 SmallBigR50 SmallBigR101", "k400-c2d"),
        ("k400", "SlowOnlyR50 SlowOnlyR101 SmallBigSlowOnlyR50", "k400-slowonly"),
        ("k400", "TSMR50", "k400-tsm"),
        ("sthv2", "SlowOnlyR50 SmallBigSlowOnlyR50", "sthv2-slow"),
        ("sthv2", "TSMR50 TSMR101", "sthv2-tsm"),
        ("sthv2", "C2DR50 SmallBigR50", "sthv2-tsn"),
    ],
)
def test_names_of_datasets(name, networks, meant, tmp_path, monkeypatch):
    """The file that each network is looked for under, where it has none of its own."""
    monkeypatch.setenv("SMALLBIG_WEIGHTS_URL", tmp_path.as_uri())
    for network in networks.split():
        (record,) = (r for r in records.builtin_records() if (r.name, r.model) == (meant, network))
        with pytest.raises(WeightsNotFoundError, match=f"(?s){meant}, .*{record.file}"):
            find_weights(name, network)


@pytest.mark.parametrize("network", ["SmallBigR23", "NonLocalR50", "C2DR23"])
def test_networks_without_a_trunk(network):
    with pytest.raises(WeightsNotFoundError, match="Weights of|No 'k400' weights of SmallBigR23"):
        find_weights("k400", network)


def test_smallbig_by_the_name_of_the_dataset(server):
    """One warning: whose weights they are, their figure, and that the big views do nothing yet."""
    model, said = loaded("SmallBigR50", weights="k400")
    (text,) = said
    assert "no trained weights of its own here: these are OpenMMLab's k400-c2d" in text
    assert "73.44% / 91% (8x10x3) as OpenMMLab measured" in text
    assert "extra units and normalisations of the big view are new, at scale 0" in text
    trunk, said = loaded("C2DR50", weights="k400")
    assert not said
    assert relative_error(scores(model), scores(trunk)) < 1e-6
    paths = [path for path in server.paths if path.endswith(".pth")]
    assert paths == [f"/{C2D}"]


def test_without_a_network_afterwards(server):
    expected = scores(loaded("SmallBigR50", weights="k400")[0])
    server.close()
    for name in ("k400", "k400-c2d"):
        np.testing.assert_array_equal(scores(loaded("SmallBigR50", weights=name)[0]), expected)
    with pytest.raises(
        DownloadError, match="(?s)in 4 attempts.*put .* into a folder and set SMALL"
    ):
        find_weights("k400-tsm", "TSMR50")


@pytest.mark.parametrize("place", ["SMALLBIG_WEIGHTS", "SMALLBIG_WEIGHTS_URL"])
def test_a_trained_network_comes_first(place, published, trained, server, monkeypatch):
    loaded("SmallBigR50", weights="k400")
    monkeypatch.setenv(place, str(published))
    model = smallbig_keras.SmallBigR50(weights="k400")
    for ours, theirs in zip(model.weights, trained.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_a_name_alone(server, tmp_path):
    """Of a publisher's name the plain network; of a dataset's the network of its recipe."""
    video = write_video(tmp_path / "a.webm", 40)
    options = {"blocks": (1, 1, 1, 1), "clips": {"frames": 2, "size": 64}}
    plain = smallbig_keras.load("k400-c2d", **options)
    with pytest.warns(UserWarning, match="OpenMMLab's k400-c2d"):
        ours = smallbig_keras.load("k400", **options)
    assert (plain.model.name, ours.model.name) == ("C2DR50", "SmallBigR50")
    names = [name for name, _ in plain.predict(video)]
    assert names == [name for name, _ in ours.predict(video)] and len(names) == 5
    assert set(names) <= set(smallbig_keras.class_names("k400"))


def test_new_classes_on_a_trunk(server):
    model, said = loaded("SmallBigR50", weights="k400", classes=3)
    assert model.output_shape == (None, 3)
    assert len(said) == 1 and "a new classifier on OpenMMLab's k400-c2d" in said[0]
    assert "400 classes, the model has 3" in said[0]


def test_both_views_under_one_normalisation_are_no_trunk(server):
    _, said = loaded("SmallBigR50", weights="k400-c2d", normalization="single", extra=None)
    (text,) = said
    assert "OpenMMLab's k400-c2d" in text and "does not compute what their network does" in text


def test_the_clip_of_a_publisher(server):
    classifier = smallbig_keras.load("k400-slow", blocks=(1, 1, 1, 1))
    clips = classifier.clips
    assert classifier.model.name == "SlowOnlyR50"
    assert (clips.frames, clips.sampling, clips.stride) == (8, "dense", 8)
    assert (clips.short_side, clips.size) == (256, 256)
    assert clips.mean == (0.45,) * 3 and clips.std == (0.225,) * 3
    model, _ = loaded("SlowOnlyR50", weights="k400-slow")
    assert model.clips == clips.replace(frames=2, size=64)


class TestWithoutADigest:
    """PyTorchVideo prints none; the first download is checked by its content, and kept."""

    find = staticmethod(lambda: find_weights("k400-slow", "SlowOnlyR50").path)

    def test_first_seen(self, server, files, capfd):
        path = self.find()
        digest = hashlib.sha256((files / SLOW).read_bytes()).hexdigest()
        assert path.with_name(f"{SLOW}.sha256").read_text() == f"{digest}  {SLOW}\n"
        assert f"This download has {digest}: it is kept in" in capfd.readouterr().err
        assert self.find() == path and capfd.readouterr().err == ""
        assert [p for p in server.paths if p.endswith(".pyth")] == [f"/kinetics/{SLOW}"]
        # Another file under the name is not believed, and got again.
        path.write_bytes(b"changed")
        assert self.find().read_bytes() == (files / SLOW).read_bytes()
        assert f"has another SHA-256 than {digest}: it is not used" in capfd.readouterr().err
        server.close()
        path.write_bytes(b"changed")
        with pytest.raises(DownloadError, match="(?s)4 attempts.*put kinetics/.* into a folder"):
            self.find()

    def test_a_damaged_file_without_a_note_is_got_again(self, server, files, capfd):
        path = fetching.cache_folder() / "kinetics" / SLOW
        path.parent.mkdir(parents=True)
        path.write_bytes((files / SLOW).read_bytes()[:5_000_000])
        assert self.find().read_bytes() == (files / SLOW).read_bytes()
        assert "is damaged or another file: it is not used" in capfd.readouterr().err

    def test_a_note_from_elsewhere(self, server, monkeypatch):
        note = fetching.cache_folder() / "kinetics" / f"{SLOW}.sha256"
        note.parent.mkdir(parents=True)
        note.write_text(f"{'0' * 64}  {SLOW}\n")
        with pytest.raises(DownloadError, match="gave a wrong file, twice"):
            self.find()
        assert cache() == [note.name, "kinetics"]

    @pytest.mark.parametrize("content", [b"<html>Sign in</html>", b"", b"PK\x03\x04 cut"])
    def test_a_page_in_its_place(self, content, server, tmp_path):
        server.folder = tmp_path / "page"
        server.folder.mkdir()
        (server.folder / SLOW).write_bytes(content)
        with pytest.raises(DownloadError, match="gave a wrong file, twice: A checkpoint must"):
            self.find()
        assert cache() == ["kinetics"]

    def test_another_dataset_in_its_place(self, server):
        with pytest.raises(DownloadError, match="of 174 classes. Received: .* with 400 classes"):
            find_weights("sthv2-slow", "SlowOnlyR50")

    def test_four_processes(self, server):
        script = (
            "import smallbig_keras.weights as w\n"
            "print(w.find_weights('k400-slow', 'SlowOnlyR50').path)"
        )
        command = [sys.executable, "-W", "error", "-c", script]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        running = [subprocess.Popen(command, **pipes) for _ in range(4)]
        said = [process.communicate(timeout=120) for process in running]
        assert {process.returncode for process in running} == {0}, said
        (path,) = {out.strip() for out, _ in said}
        assert pathlib.Path(path).name == SLOW
        assert len([p for p in server.paths if p.endswith(".pyth")]) == 1

    def test_folder_of_the_user(self, files, monkeypatch):
        """The publisher's own name is enough there."""
        monkeypatch.setenv("SMALLBIG_WEIGHTS", str(files))
        assert self.find() == files / SLOW
        (row,) = (
            row
            for row in list_weights()
            if (row["name"], row["model"]) == ("k400-slow", "SmallBigSlowOnlyR50")
        )
        assert row["available"]
        # Files of two datasets have that name.
        with pytest.raises(WeightsError, match="of 174 classes. Received: .* with 400 classes"):
            find_weights("sthv2-slow", "SlowOnlyR50")


def test_doubtful_digits_are_a_warning(server):
    with pytest.warns(UserWarning, match="OpenMMLab prints df42dc84 for it, which it also"):
        find_weights("k400-slowonly", "SmallBigSlowOnlyR50")
    # Its own is kept.
    find_weights("k400-slowonly", "SmallBigSlowOnlyR50")
    assert [p for p in server.paths if p.endswith(".pth")] == [f"/{SLOWONLY}"]


def test_certain_digits_are_demanded(server, files, tmp_path):
    server.folder = tmp_path / "other"
    server.folder.mkdir()
    (server.folder / C2D).write_bytes((files / SLOWONLY).read_bytes())
    with pytest.raises(DownloadError, match="(?s)k400-c2d, cannot be had.*wrong file, twice"):
        smallbig_keras.SmallBigR50(weights="k400")
    assert cache() == []


@pytest.mark.parametrize(
    "name, network, near",
    [("k400-cd2", "SmallBigR50", "k400-c2d"), ("k400-slowony", "SlowOnlyR50", "k400-slowonly")],
)
def test_nearest_name(name, network, near):
    with pytest.raises(WeightsNotFoundError, match=f"Did you mean '{near}'.*Received: {name}"):
        find_weights(name, network)


def test_s3d_by_name(server):
    shape = clip("s3d").shape[1:]
    model = smallbig_keras.S3D(weights="k400", input_shape=shape, classifier_activation=None)
    scores = keras.ops.convert_to_numpy(model(clip("s3d")))
    assert relative_error(scores, golden("s3d")["logits"]) < 1e-5
    assert server.paths.count(f"/{S3D.file}") == 1


def test_a_file_beside_other_weights(files, monkeypatch):
    """A folder that the user names holds the publisher's file, of another digest."""
    with pytest.raises(WeightsError, match="SHA-256.*d76dad2f"):
        find_weights("k400", "S3D", files)


def test_labels_of_a_video(server, tmp_path, capsys):
    video = write_video(tmp_path / "a.webm", 40)
    flags = ["--weights", "k400", "--model", "SmallBigR50", "--frames", "2", "--size", "64"]
    options = ["--options", json.dumps({"blocks": SMALL["blocks"]})]
    with pytest.warns(UserWarning, match="OpenMMLab's k400-c2d"):
        main(["predict", str(video), *flags, *options])
    printed = capsys.readouterr().out
    assert sum(name in printed for name in smallbig_keras.class_names("k400")) >= 5
