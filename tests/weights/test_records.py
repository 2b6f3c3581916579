"""The records of published weights."""

import dataclasses
import json
import shutil

import pytest

import smallbig_keras
from smallbig_keras import runs
from smallbig_keras.cli import main
from smallbig_keras.weights import list_weights
from smallbig_keras.weights.records import builtin_records, read_record, write_record


def test_records_can_be_recomputed():
    """Parameters and operations of every record, and what is not published says so."""
    for record in builtin_records():
        model = getattr(smallbig_keras, record.model)(
            input_shape=tuple(record.input_shape),
            classes=record.classes,
            variant=record.variant,
            **record.options,
        )
        size = smallbig_keras.complexity(model)
        assert (record.parameters, record.macs) == size, record.stem
        if isinstance(record.labels, str):
            assert len(smallbig_keras.class_names(record.labels)) == record.classes
        assert record.accuracy is None or (record.publisher and not record.accuracy["run"])
        if record.file is None:
            assert "Not published" in record.source
            assert (record.url, record.sha256, record.publisher) == (None,) * 3
        else:
            assert record.url.endswith(f"/{record.file}") and record.licence
            assert record.publisher == "PyTorchVideo" or record.sha256 in record.file


def test_damaged_records(tmp_path):
    record = builtin_records()[0]
    file = tmp_path / "x.json"
    write_record(record, file)
    assert read_record(file) == record
    fields = json.loads(file.read_text())
    for change, message in (
        ({"classes": "400"}, "of another type.*classes"),
        ({"more": 1}, "must have the fields"),
        ({"file": "../x.h5"}, "must lie beside it"),
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
