"""The reader of PyTorch's files: real ones, damaged ones, and ones that want to run something."""

import pathlib
import pickle
import shutil
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from smallbig_keras.weights import CheckpointError, read_state_dict, read_torch
from tests.reference_formula import CASES, weight
from tests.weights.torch_writer import MAGIC, PROTOCOL, write_torch

FILES = pathlib.Path(__file__).parent / "checkpoints"
CASE = "smallbig_extra_stride2"
FORMATS = ("zip", "legacy")


@pytest.mark.parametrize("form", FORMATS)
def test_odd_tensors(form):
    """Views, shared storages, every type, a scalar, an empty one and a parameter."""
    found = read_torch(FILES / f"odd_tensors_{form}.pth")
    with np.load(FILES / "odd_tensors_expected.npz") as expected:
        assert set(found) == set(expected)
        for name, array in expected.items():
            assert found[name].dtype == array.dtype, name
            np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("name", ["block_zip", "block_legacy", "block_bare_legacy"])
def test_state_dicts(name):
    """Training checkpoints with the prefix of data-parallel training, and a bare state dict."""
    state = read_state_dict(FILES / f"{name}.pth")
    expected = dict(CASES[CASE]["state_dict"])
    assert set(state) == set(expected)
    for key, shape in expected.items():
        np.testing.assert_array_equal(state[key], weight(key, shape, f"{CASE}/"))


AUDIT = """
import sys
from smallbig_keras.weights import CheckpointError, read_state_dict
seen = []
sys.addaudithook(lambda event, values: seen.append((event, *map(str, values[:1]))))
try:
    print(list(read_state_dict(sys.argv[1])))
except CheckpointError as error:
    print(error)
ran = ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "exec", "compile")
print([event for event in seen if event[0] in ran or event == ("import", "antigravity")])
"""


def audited(file):
    """Reads a file in a process of its own, whose audit sees every command and import."""
    return subprocess.run(
        [sys.executable, "-c", AUDIT, str(file)],
        capture_output=True,
        text=True,
        cwd=file.parent,
        timeout=120,
    ).stdout.splitlines()


@pytest.mark.parametrize("form", FORMATS)
def test_a_call_beside_weights_is_not_run(form, tmp_path):
    file = shutil.copy(FILES / f"malicious_{form}.pth", tmp_path / "x.pth")
    assert b"touch ./evil_was_here" in file.read_bytes()
    assert audited(file) == ["['a']", "[]"]
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    "program, name",
    [
        (b"cposix\nsystem\nX\x0c\x00\x00\x00touch ./evil\x85R.", "posix.system"),
        (b"(X\x0c\x00\x00\x00touch ./evilios\nsystem\n.", "os.system"),
        (b"cantigravity\ngeohash\n)R.", "antigravity.geohash"),
    ],
)
def test_a_call_alone_is_not_run(tmp_path, program, name):
    message, ran = audited(legacy(tmp_path / "x.pth", b"\x80\x02" + program))
    assert f"holds an object of {name}. Save its state dict" in message
    assert ran == "[]"
    assert [file.name for file in tmp_path.iterdir()] == ["x.pth"]


@pytest.mark.parametrize("form", FORMATS)
def test_truncated(form):
    with pytest.raises(CheckpointError, match=f"cut short.*Received: .*truncated_{form}.pth"):
        read_torch(FILES / f"truncated_{form}.pth")


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(
        [
            "block_zip.pth",
            "block_legacy.pth",
            "odd_tensors_zip.pth",
            "objects_zip.pth",
            "objects_legacy.pth",
        ]
    ),
    place=st.floats(0, 1, exclude_max=True),
    value=st.integers(0, 255),
    length=st.sampled_from([None, 0, 1, 100]),
)
def test_damaged_bytes_give_one_kind_of_error(tmp_path_factory, name, place, value, length):
    """A changed byte or a cut anywhere: the numbers, or an error of the reader; nothing else."""
    data = bytearray((FILES / name).read_bytes())
    index = int(place * len(data))
    data[index] = value
    file = tmp_path_factory.getbasetemp() / "damaged.pth"
    file.write_bytes(data if length is None else data[: index + length])
    try:
        read_torch(file)
    except CheckpointError as error:
        assert "Received: " in str(error)


def test_changed_numbers_are_found(tmp_path):
    file = write_torch(tmp_path / "x.pth", {"w": np.arange(100, dtype="float32")})
    data = file.read_bytes()
    place = data.index(struct.pack("<f", 50.0))
    file.write_bytes(data[:place] + b"\xff" + data[place + 1 :])
    with pytest.raises(CheckpointError, match="archive/data/0 are damaged"):
        read_torch(file)


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def legacy(path, program):
    headers = (MAGIC, PROTOCOL, {"little_endian": True})
    parts = [pickle.dumps(header, 2) for header in headers]
    path.write_bytes(b"".join([*parts, program, pickle.dumps([], 2)]))
    return path


@pytest.mark.parametrize(
    "value",
    [
        Call(eval, "1"),
        Call(getattr, "", "join"),
        Call(np.zeros, 3),
        Call(__import__, "os"),
        Call(pathlib.Path, "x"),
    ],
)
def test_one_unknown_object_is_no_checkpoint(tmp_path, value):
    function = value.call[0]
    # Python 2's name of the module of builtins.
    name = f"{function.__module__}.{function.__qualname__}".replace("builtins", "__builtin__")
    file = legacy(tmp_path / "x.pth", pickle.dumps(value, 2))
    with pytest.raises(CheckpointError, match=f"an object of {name}. Save its .*Received: .*x.pth"):
        read_torch(file)


@pytest.mark.parametrize(
    "program",
    [
        # State on a function, on a class and on a storage type of the reader.
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\x01\x00\x00\x00aK\x01sb.",
        b"\x80\x02ccollections\nOrderedDict\n}X\x01\x00\x00\x00aK\x01sb.",
        b"\x80\x02ctorch\nFloatStorage\n}X\x01\x00\x00\x00aK\x01sb.",
        # A dotted name, a storage as the result, a call of a type that is no function.
        b"\x80\x04\x8c\x0bcollections\x8c\x16OrderedDict.__init__.__globals__\x93.",
        b"\x80\x02ctorch\nFloatStorage\n.",
        b"\x80\x02ctorch\nFloatStorage\n)R.",
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.",
        # Places and lengths for which Python would take gigabytes.
        b"\x80\x02]r\xff\xff\xff\x7f.",
        b"\x80\x02]p2000000000\n.",
        b"\x80\x05\x96\x00\x00\x00\x00\x04\x00\x00\x00.",
    ],
)
def test_hostile_programs(tmp_path, program):
    with pytest.raises(CheckpointError, match="Received: .*x.pth"):
        read_torch(legacy(tmp_path / "x.pth", program))


def test_references_that_multiply_do_not(tmp_path):
    """Thirty lists, each of the one before twice: 2**30 leaves in a file of a few hundred bytes."""
    value = []
    for _ in range(30):
        value = [value, value]
    found = read_torch(legacy(tmp_path / "x.pth", pickle.dumps(value, 2)))
    assert found[0] is found[1]


@pytest.mark.parametrize(
    "offset, size, stride, message",
    [
        (0, (5,), (1,), "must lie inside its storage of 4 numbers"),
        (3, (2,), (1,), "must lie inside"),
        (0, (2, 2), (3, 1), "must lie inside"),
        (-1, (1,), (1,), "a size and a stride of ints"),
        (0, (2,), (1, 1), "a size and a stride of ints"),
        (0, (2,), (-1,), "a size and a stride of ints"),
    ],
)
def test_tensors_stay_in_their_storage(tmp_path, offset, size, stride, message):
    from smallbig_keras.weights.torch_tensors import Storage, Tensor

    storage = Storage("0", np.dtype("float32"), 4, np.zeros(4, "float32"))
    with pytest.raises(CheckpointError, match=message):
        Tensor(storage, offset, size, stride).array()


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "must not be empty"),
        (b"not found", "cut short, damaged or of another kind"),
        (pickle.dumps({"a": 1}), "zip archive or begin with PyTorch's mark"),
        (pickle.dumps([1]), "zip archive or begin with"),
    ],
)
def test_other_files(tmp_path, content, message):
    file = tmp_path / "x.pth"
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{message}.*Received: .*x.pth"):
        read_torch(file)
    with pytest.raises(FileNotFoundError, match="Received: .*missing.pth"):
        read_torch(tmp_path / "missing.pth")


def test_archives_that_are_no_checkpoint(tmp_path):
    file = tmp_path / "x.pth"
    for name, data, message in (
        ("a/other", b"", "one file data.pkl"),
        ("a/data.pkl", pickle.dumps({"x": 1}), "must hold a state dict"),
    ):
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(name, data)
        with pytest.raises(CheckpointError, match=message):
            read_state_dict(file)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a/data.pkl", pickle.dumps({}))
        archive.writestr("a/byteorder", "big")
    with pytest.raises(CheckpointError, match="little-endian"):
        read_torch(file)


@pytest.mark.parametrize("legacy_format", [False, True])
def test_writer_and_reader(tmp_path, legacy_format):
    rng = np.random.default_rng(0)
    value = {"epoch": 3, "state_dict": {"module.a": rng.standard_normal((2, 3)).astype("float32")}}
    file = write_torch(tmp_path / "x.pth", value, legacy_format)
    found = read_torch(file)
    assert found["epoch"] == 3
    np.testing.assert_array_equal(found["state_dict"]["module.a"], value["state_dict"]["module.a"])
    assert list(read_state_dict(file)) == ["a"]
    assert "torch" not in sys.modules


MEMORY = """
import resource, sys
import numpy as np
import smallbig_keras.weights as weights
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
state = weights.read_state_dict(sys.argv[1])
total = sum(float(np.sum(array)) for array in state.values())
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024, total)
"""


@pytest.mark.parametrize("legacy_format", [False, True])
def test_memory_is_that_of_the_file(tmp_path, legacy_format):
    arrays = {f"w{i}": np.ones((1000, 2500), "float32") for i in range(6)}
    file = write_torch(tmp_path / "x.pth", arrays, legacy_format)
    output = subprocess.run(
        [sys.executable, "-c", MEMORY, str(file)], capture_output=True, text=True, timeout=120
    ).stdout
    used, total = map(float, output.split())
    assert total == 6 * 2_500_000
    assert used < 1.2 * file.stat().st_size


def test_safetensors(tmp_path):
    from safetensors.numpy import save_file

    array = np.arange(6, dtype="float32").reshape(2, 3)
    save_file({"module.a": array}, tmp_path / "x.safetensors")
    np.testing.assert_array_equal(read_state_dict(tmp_path / "x.safetensors")["a"], array)
    (tmp_path / "y.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{broken}")
    with pytest.raises(CheckpointError, match="must be whole.*Received: .*y.safetensors"):
        read_state_dict(tmp_path / "y.safetensors")


def test_safetensors_is_optional(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    (tmp_path / "x.safetensors").write_bytes(b"x")
    with pytest.raises(ImportError, match=r'pip install "smallbig-keras\[safetensors\]"'):
        read_state_dict(tmp_path / "x.safetensors")
