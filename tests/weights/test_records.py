"""The records of published weights."""

import dataclasses
import functools
import json
import shutil

import pytest

import smallbig_keras
from smallbig_keras import runs
from smallbig_keras.cli import main
from smallbig_keras.data import ClipConfig
from smallbig_keras.weights import list_weights
from smallbig_keras.weights.records import builtin_records, read_record, write_record


def test_records_can_be_recomputed():
    """Parameters and operations of every record, and what is not published says so."""

    @functools.cache
    def build(name, variant):
        return getattr(smallbig_keras, name)(include_top=False, pooling="avg", variant=variant)

    for record in builtin_records():
        model = build(record.model, record.variant)
        size = smallbig_keras.complexity(model, tuple(record.input_shape))
        head = model.output_shape[-1] * record.classes
        size = (size.parameters + head + record.classes, size.macs + head)
        assert not record.options and (record.parameters, record.macs) == size, record.stem
        if isinstance(record.labels, str):
            assert len(smallbig_keras.class_names(record.labels)) == record.classes
        assert record.accuracy is None or (record.publisher and not record.accuracy["run"])
        if record.file is None:
            assert "Not published" in record.source
            assert (record.url, record.sha256, record.publisher) == (None,) * 3
        else:
            assert record.url.endswith(f"/{record.file}") and record.licence
            assert record.publisher == "PyTorchVideo" or record.sha256 in record.file


OPENMMLAB = "https://download.openmmlab.com/mmaction/v1.0/recognition"
PYTORCHVIDEO = "https://dl.fbaipublicfiles.com/pytorchvideo/model_zoo"
# Name, networks, percent of top-1 and top-5, protocol, size in it, digits of the hash.
PUBLISHED = """
k400-c2d           C2DR50,SmallBigR50               73.44 91.00 8x10x3  224 e0227b22
k400-c2d           C2DR101,SmallBigR101             74.97 91.77 8x10x3  224 557bd8bc
k400-tsn           C2DR50,SmallBigR50               74.12 91.34 25x1x10 224 2692d16c
k400-tsn           C2DR101,SmallBigR101             75.89 92.07 25x1x10 224 23cff032
sthv2-tsn          C2DR50,SmallBigR50               35.51 67.09 25x1x10 224 06ad7d03
k400-slowonly      SlowOnlyR50,SmallBigSlowOnlyR50  76.45 92.55 8x10x3  256 df42dc84
k400-slowonly-4x16 SlowOnlyR50,SmallBigSlowOnlyR50  75.12 91.72 4x10x3  256 e7b65fad
k400-slowonly      SlowOnlyR101                     76.59 92.80 8x10x3  256 e6281431
k400-tsm           TSMR50                           73.18 90.56 8x1x10  224 64d69186
k400-tsm-16        TSMR50                           75.12 91.55 16x1x10 224 042b1748
sthv2-tsm          TSMR50                           62.72 87.70 8x2x3   256 be0fc26e
sthv2-tsm-16       TSMR50                           64.16 88.61 16x2x3  256 ec6696ad
sthv2-tsm          TSMR101                          63.70 88.28 8x2x3   256 efcc0d1b
k400-slow          SlowOnlyR50,SmallBigSlowOnlyR50  74.58 91.63 8x10x3  256 -
k400-slow-4x16     SlowOnlyR50,SmallBigSlowOnlyR50  72.40 90.18 4x10x3  256 -
sthv2-slow         SlowOnlyR50,SmallBigSlowOnlyR50  60.04 85.19 8x1x3   256 -
k400               S3D                              68.368 88.05 128x1x1 224 d76dad2f
"""


def test_records_are_those_of_the_publishers():
    expected = {}
    for line in PUBLISHED.split("\n")[1:-1]:
        name, networks, top1, top5, protocol, size, digits = line.split()
        expected |= {
            (name, model): (float(top1), float(top5), protocol, int(size), digits)
            for model in networks.split(",")
        }
    found = {(r.name, r.model): r for r in builtin_records() if r.accuracy}
    assert set(found) == set(expected)
    for key, record in found.items():
        rule, clips, crops = record.protocol
        top1, top5, protocol, size, digits = expected[key]
        accuracy = (record.accuracy["top1"], record.accuracy["top5"])
        assert accuracy == pytest.approx((top1 / 100, top5 / 100)), key
        assert f"{rule.frames}x{clips}x{crops}" == record.accuracy["protocol"] == protocol
        assert rule.for_crops(crops).size == size and (record.sha256 or "-") == digits, key
        assert record.accuracy["dataset"] == record.labels == key[0].split("-")[0]
        assert record.classes == (400 if record.labels == "k400" else 174)
    whose = {key: record.publisher for key, record in found.items()}
    assert set(whose.values()) == {"OpenMMLab", "PyTorchVideo", "torchvision"}
    folder = found["k400-tsm", "TSMR50"].file.rpartition("_")[0]
    assert found["k400-tsm", "TSMR50"].url.startswith(f"{OPENMMLAB}/tsm/{folder}/")
    assert found["sthv2-slow", "SlowOnlyR50"].url == f"{PYTORCHVIDEO}/ssv2/SLOW_8x8_R50.pyth"


def test_clips_of_the_publishers():
    """Kinetics' C2D and SlowOnly see neighbouring frames, TSN and TSM segments."""
    for record in builtin_records():
        clips, kind = record.description.clips, record.name.partition("-")[2]
        if record.publisher == "OpenMMLab":
            assert clips == ClipConfig(
                frames=int(record.accuracy["protocol"].split("x")[0]) if "tsn" not in kind else 8,
                sampling="dense" if kind[:3] in ("c2d", "slo") else "segment",
                stride=16 if kind.endswith("4x16") else 8,
            )
        if record.publisher == "PyTorchVideo":
            assert (clips.mean, clips.std, clips.size) == ((0.45,) * 3, (0.225,) * 3, 256)
            assert clips.sampling == ("segment" if record.labels == "sthv2" else "dense")
    (s3d,) = (r.description.clips for r in builtin_records() if r.model == "S3D")
    assert (s3d.frames, s3d.stride, s3d.short_side, s3d.size) == (128, 2, 256, 224)
    assert not s3d.keep_aspect and s3d.mean == (0.43216, 0.394666, 0.37645)


def test_damaged_records(tmp_path):
    record = builtin_records()[0]
    file = tmp_path / "x.json"
    write_record(record, file)
    assert read_record(file) == record
    fields = json.loads(file.read_text())
    for change, message in (
        ({"classes": "400"}, "of another type.*classes"),
        ({"more": 1}, "must have the fields"),
        *(({"file": file}, "must lie beside it") for file in ("../x.h5", "/x", "a/b/c", "a\\b")),
    ):
        file.write_text(json.dumps({**fields, **change}))
        with pytest.raises(ValueError, match=message):
            read_record(file)
    file.write_text("{")
    with pytest.raises(ValueError, match="whole JSON file. Received: .*x.json"):
        read_record(file)


def test_list_skips_what_is_no_record(published, tmp_path, monkeypatch):
    """Also what an interrupted download leaves; a damaged file asked for by name is an error."""
    folder = shutil.copytree(published, tmp_path / "weights")
    for name, text in (
        ("a.json", "{"),
        ("b.json", '{"url": "http://x", "length": 3}'),
        ("c.json", "[" * 100_000),
        ("SmallBigR50-sthv2.json", "<html>"),
        ("SmallBigR50-k400.weights.h5.part.note", "{}"),
    ):
        (folder / name).write_text(text)
    (folder / "d.json").mkdir()
    record = read_record(folder / "SmallBigR50-k400.json")
    write_record(dataclasses.replace(record, file=None), folder / "e.json")
    named = {"name": "k400-c2d", "model": "C2DR50", "file": None}
    write_record(dataclasses.replace(record, **named), folder / "g.json")
    (folder / "f.json").write_bytes(b"\xff\xfe")
    rows = list_weights(folder)
    assert len(rows) == len(builtin_records())
    assert [row["name"] for row in rows if row["available"]] == ["k400"]
    monkeypatch.setenv("SMALLBIG_WEIGHTS", str(folder))
    with pytest.raises(ValueError, match="whole JSON file. Received: .*SmallBigR50-sthv2.json"):
        smallbig_keras.SmallBigR50(weights="sthv2")


def test_publishing_errors(run, published, tmp_path):
    arguments = ["publish", str(run), "--out", str(published), "--name"]
    with pytest.raises(SystemExit, match="not replaced without --overwrite"):
        main([*arguments, "k400"])
    for name in ("imagenet", "K400", "../x", ""):
        with pytest.raises(SystemExit, match="A name has small letters"):
            main([*arguments, name])
    half = shutil.copytree(run, tmp_path / "half")
    runs.write_log(half, runs.read_log(half)[:1])
    with pytest.raises(SystemExit, match="must be finished, 2 epochs; .*Received: .*half after 1"):
        main(["publish", str(half), "--name", "k400", "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()
