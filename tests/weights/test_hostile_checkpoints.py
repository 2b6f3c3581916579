"""PyTorch's files, safetensors and NumPy's that claim more than they have."""

import codecs
import io
import json
import pickle
import zipfile

import numpy as np
import pytest

from smallbig_keras.weights import CheckpointError, read_state_dict
from smallbig_keras.weights.loading import count_classes
from tests.weights.hostile import bomb, little_memory, refused
from tests.weights.networks import tiny
from tests.weights.test_torch_files import legacy
from tests.weights.torch_writer import View, write_torch


@pytest.fixture(scope="module")
def model():
    return tiny(variant="paper")


def npz(path, shape, dtype, data=b""):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("fc.weight.npy", header.getvalue() + data)
    return path


@pytest.mark.parametrize(
    "shape, dtype, message",
    [
        ((1_250_000_000,), "<f4", "5,000,000,000 bytes of float32 are claimed, 0 are there"),
        ((10**30, 0, 10**30), "<f4", ""),
        ((3,), "|O", "24 bytes of object are claimed"),
        ((3,), "<U100000000", "1,200,000,000 bytes of <U100000000 are claimed"),
    ],
)
def test_npz_that_claims_more_than_it_has(model, tmp_path, shape, dtype, message):
    refused(model, npz(tmp_path / "x.npz", shape, dtype), f"must be whole .*{message}")


def test_npz_that_expands(model, tmp_path):
    bomb(tmp_path / "x.npz", "a.npy")
    refused(model, tmp_path / "x.npz", "members claim 2")


@pytest.mark.parametrize("legacy_format", [False, True])
@pytest.mark.parametrize("shape", [(20_000, 20_000), (400_000_000,)])
def test_a_tensor_that_repeats_a_number(tmp_path, legacy_format, shape):
    """377 bytes that claim 1.6 GB by a stride of 0."""
    value = View(np.ones(1, "float32"), shape, (0,) * len(shape))
    path = write_torch(tmp_path / "x.pth", {"fc.weight": value}, legacy_format)
    assert path.stat().st_size < 1000
    for read in (read_state_dict, count_classes):
        with little_memory(), pytest.raises(CheckpointError, match="storage, 1, not 400000000"):
            read(path)


def test_tensors_that_overlap(tmp_path):
    """Windows over a storage: more numbers than it holds, all of them inside it."""
    value = View(np.ones(1000, "float32"), (500, 500), (1, 1))
    with pytest.raises(CheckpointError, match="storage, 1000, not 250000"):
        read_state_dict(write_torch(tmp_path / "x.pth", {"fc.weight": value}))


def test_members_that_overlap(tmp_path):
    """One storage in the file under many names of the archive."""
    arrays = {f"w{i}": np.full(1000, 7, "float32") for i in range(20)}
    with zipfile.ZipFile(write_torch(tmp_path / "x.pth", arrays)) as old:
        contents = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(tmp_path / "y.pth", "w") as new:
        for name, content in contents.items():
            if not name.endswith(tuple(f"data/{i}" for i in range(1, 20))):
                new.writestr(name, content)
        first = next(info for info in new.filelist if info.filename.endswith("data/0"))
        for index in range(1, 20):
            twin = zipfile.ZipInfo(f"{first.filename[:-1]}{index}")
            for field in ("header_offset", "file_size", "compress_size", "CRC"):
                setattr(twin, field, getattr(first, field))
            new.filelist.append(twin)
            new.NameToInfo[twin.filename] = twin
    assert (tmp_path / "y.pth").stat().st_size < 10_000
    with pytest.raises(CheckpointError, match="side by side.*Received: .*y.pth"):
        read_state_dict(tmp_path / "y.pth")


def test_a_compressed_pickle(tmp_path):
    """Its program might have any length."""
    with zipfile.ZipFile(tmp_path / "x.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("a/data.pkl", "w") as file:
            file.write(b"\x80\x02")
            for _ in range(200):
                file.write(b"0" * (1 << 20))
    with little_memory(), pytest.raises(CheckpointError, match="data.pkl must not be compressed"):
        read_state_dict(tmp_path / "x.pth")


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint16", "int64", "float16", "float32", "float64"]
)
def test_arrays_of_numpy(tmp_path, dtype, protocol):
    rows = np.arange(6).reshape(2, 3).astype(dtype)
    state = {
        "rows": rows,
        "columns": np.asfortranarray(rows),
        "number": rows[1, 2, None].reshape(()),
    }
    found = read_state_dict(legacy(tmp_path / "x.pth", pickle.dumps(state, protocol)))
    for name, array in state.items():
        assert found[name].dtype == array.dtype and not found[name].flags.writeable
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize(
    "array",
    [
        np.array(["a", "b"]),
        np.array([None, 1]),
        np.zeros(2, ">f4"),
        np.zeros(2, "complex64"),
        np.zeros(2, "M8[s]"),
        np.zeros(2, [("a", "f4")]),
    ],
)
def test_arrays_of_other_content(tmp_path, array):
    state = {"a": np.zeros(2), "fc.weight": array}
    file = legacy(tmp_path / "x.pth", pickle.dumps(state, 2))
    with pytest.raises(
        CheckpointError, match="fc.weight is made by .*_reconstruct, .*Received: .*x"
    ):
        read_state_dict(file)


@pytest.mark.parametrize(
    "shape", [(2, 4), (2, 2), (2**31 - 1, 2**31 - 1), (-2, -3), (True, 6), "ab"]
)
def test_arrays_that_claim_other_numbers(tmp_path, shape):
    program = pickle.dumps({"fc.weight": np.zeros((2, 3), "float32")}, 3)
    claimed = pickle.dumps(shape, 3)[2:-1]
    assert program.count(b"K\x02K\x03\x86") == 1
    program = program.replace(b"K\x02K\x03\x86", claimed.replace(b"q\x00", b""))
    with little_memory(), pytest.raises(CheckpointError, match="as its shape says, not 24 bytes"):
        read_state_dict(legacy(tmp_path / "x.pth", program))


def test_arrays_that_share_their_bytes(tmp_path):
    """A thousand arrays of one megabyte, which the file has once."""
    array = np.zeros(250_000, "float32")
    function, arguments, (_, *state) = array.__reduce__()
    text = array.tobytes().decode("latin1")

    class Array:
        def __reduce__(self):
            return function, arguments, (1, *state[:-1], Bytes())

    class Bytes:
        def __reduce__(self):
            return codecs.encode, (text, "latin1")

    content = {f"w{i}": Array() for i in range(1000)}
    file = legacy(tmp_path / "x.pth", pickle.dumps(content, 2))
    with little_memory():
        assert len(read_state_dict(file)) == 1000


@pytest.mark.parametrize(
    "header",
    [
        {"w": {"dtype": "F32", "shape": [1_250_000_000], "data_offsets": [0, 5_000_000_000]}},
        {"w": {"dtype": "F32", "shape": [1_250_000_000], "data_offsets": [0, 4]}},
        {"w": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 4]}},
        {
            "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
            "b": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
        },
    ],
)
def test_safetensors_that_claim_more_than_they_have(tmp_path, header):
    """The library compares the header with the file; two arrays may not share bytes."""
    pytest.importorskip("safetensors")
    text = json.dumps(header).encode()
    (tmp_path / "x.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(4))
    (tmp_path / "y.safetensors").write_bytes((2**62).to_bytes(8, "little") + text)
    for name in ("x.safetensors", "y.safetensors"):
        for read in (read_state_dict, count_classes):
            with little_memory(), pytest.raises(CheckpointError, match="must be whole.*Received"):
                read(tmp_path / name)


@pytest.mark.parametrize("twice", [b"2", b"q\x00h\x00"])
def test_a_tuple_that_is_hashed_for_hours(tmp_path, twice):
    """Each of forty tuples holds the one before twice: 2**40 visits in a key of 200 bytes."""
    levels = b"".join(twice.replace(b"\x00", bytes([i])) + b"\x86" for i in range(40))
    program = b"\x80\x02}K\x01" + levels + b"K\x01s."
    with pytest.raises(CheckpointError, match="a tuple of more than 100000 tuples"):
        read_state_dict(legacy(tmp_path / "x.pth", program))
