"""Checkpoints with objects beside their weights: read past, and nothing of them is kept or run."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import smallbig_keras
from smallbig_keras.weights import CheckpointError, read_state_dict, read_torch, torch_files
from smallbig_keras.weights.torch_tensors import Placeholder
from tests.weights.hostile import little_memory
from tests.weights.test_torch_files import FILES, FORMATS, legacy
from tests.weights.torch_writer import Made, Named, write_torch

WEIGHT = np.arange(6, dtype="float32").reshape(2, 3)


@pytest.mark.parametrize("form", FORMATS)
def test_objects_of_a_training(form):
    """Of PyTorch 2.14: Namespace, optimizer, schedule, device, dtype, Counter, NumPy, tensors."""
    found = read_torch(FILES / f"objects_{form}.pth")
    names = {key: repr(value) for key, value in found.items() if isinstance(value, Placeholder)}
    for key, name in {
        "args": "argparse.Namespace",
        "counter": "collections.Counter",
        "path": "pathlib.PosixPath",
        "scalar": "numpy._core.multiarray.scalar",
        "objects": "numpy.core.multiarray._reconstruct",
        "device": "torch.device",
        "dtype": "torch.float32",
        "optimizer": "torch.optim.adamw.AdamW",
        "sched": "torch.optim.lr_scheduler.CosineAnnealingLR",
        "enum": "__main__.Color",
        "set": "__builtin__.set",
        "q": "torch._utils._rebuild_qtensor",
        "sparse": "torch._utils._rebuild_sparse_tensor",
        "meta": "torch._utils._rebuild_meta_tensor_no_storage",
        "f8": "torch._utils._rebuild_tensor_v3",
    }.items():
        assert names.pop(key) == name
    np.testing.assert_array_equal(found["array"], np.arange(5))
    np.testing.assert_array_equal(found["sub"], np.zeros(2))
    np.testing.assert_array_equal(found["buffer"], np.ones(2))
    assert found["size"] == (1, 2) and found["optsd"]["state"][0]["step"] == 1
    # Keys of a dict may be placeholders.
    keys = ["pathlib.PosixPath", "torch.device", "torch.float32"]
    assert [repr(key) for key in found["keys"]] == keys
    state = read_state_dict(FILES / f"objects_{form}.pth")
    shapes = {name: array.shape for name, array in state.items()}
    assert shapes == {
        "conv1.weight": (2, 3, 1, 1, 1),
        "conv1.bias": (2,),
        "fc.weight": (3, 2),
        "fc.bias": (3,),
    }


@pytest.mark.parametrize("name", ["namespace.pth", "ckpt.pth.tar"])
def test_weights_into_their_network(name):
    """Checkpoints of a small SmallBig network, one beside an argparse.Namespace."""
    state = read_state_dict(FILES / name)
    assert len(state) == 170
    network = {"width": 4, "blocks": (1, 1, 1, 1), "classes": 3, "input_shape": (2, 32, 32, 3)}
    model = smallbig_keras.SmallBigR50(weights=str(FILES / name), **network)
    np.testing.assert_array_equal(model.get_layer("classifier").kernel, state["fc.weight"].T)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


@pytest.mark.parametrize("legacy_format", [False, True])
def test_only_tensors_count_in_a_state_dict(tmp_path, legacy_format):
    entries = {
        "fc.weight": WEIGHT,
        "fc._extra_state": Made("torch.device", "cpu"),
        "version": 2,
        "note": "x",
        "_metadata": None,
    }
    file = write_torch(tmp_path / "x.pth", entries, legacy_format)
    state = read_state_dict(file)
    assert list(state) == ["fc.weight"]
    np.testing.assert_array_equal(state["fc.weight"], WEIGHT)
    del entries["fc.weight"]
    with pytest.raises(CheckpointError, match="must hold a state dict.*Received: .*x.pth"):
        read_state_dict(write_torch(file, entries, legacy_format))


@pytest.mark.parametrize(
    "name",
    [
        "torch._utils._rebuild_qtensor",
        "torch._utils._rebuild_sparse_tensor",
        "torch._utils._rebuild_tensor_v3",
        "torch._utils._rebuild_wrapper_subclass",
        "torch._utils._rebuild_device_tensor_from_numpy",
        "jax._src.array._reconstruct_array",
        "numpy._core.numeric._frombuffer",
    ],
)
def test_a_tensor_that_is_not_read_is_no_missing_one(tmp_path, name):
    made = Made(name, WEIGHT)
    for value in (
        made,
        (made, None),
        Made("torch._utils._rebuild_parameter", made, True, {}),
        Made("torch._tensor._rebuild_from_type_v2", Named(name), None, (WEIGHT,), {}),
    ):
        file = write_torch(tmp_path / "x.pth", {"state_dict": {"a": WEIGHT, "conv1.weight": value}})
        with pytest.raises(
            CheckpointError, match=f"conv1.weight is made by {name}, .*Received: .*x.pth"
        ):
            read_state_dict(file)


def test_a_subclass_is_the_tensor_under_it(tmp_path):
    tensor = Named("torch._utils._rebuild_parameter"), Named("x.Sub"), (WEIGHT, True, {}), {}
    value = Made("torch._tensor._rebuild_from_type_v2", *tensor)
    state = read_state_dict(write_torch(tmp_path / "x.pth", {"fc.weight": value}))
    np.testing.assert_array_equal(state["fc.weight"], WEIGHT)


@pytest.mark.parametrize("legacy_format", [False, True])
def test_a_whole_model_is_named(tmp_path, legacy_format):
    model = Made("project.models.Net", WEIGHT)
    under = {"epoch": 1, "fitness": WEIGHT, "model": model}
    for content, place in ((model, ""), (under, " under model")):
        file = write_torch(tmp_path / "x.pth", content, legacy_format)
        with pytest.raises(
            CheckpointError,
            match=f"an object of project.models.Net{place}. Save its state dict: torch.save",
        ):
            read_state_dict(file)


def test_a_whole_model_before_pytorch_1_6(tmp_path):
    """Its class is beside its source, where storages are beside their bytes."""
    identity = b"(X\x06\x00\x00\x00modulecproject\nNet\nX\x01\x00\x00\x00xX\x00\x00\x00\x00t"
    program = b"\x80\x02" + identity + b"Q)\x81}b."
    with pytest.raises(CheckpointError, match="an object of project.Net"):
        read_torch(legacy(tmp_path / "x.pth", program))
    for identity in (b"X\x06\x00\x00\x00moduleK\x01\x86", b"ca\nb\n", b"ca\nb\nK\x01\x86"):
        with pytest.raises(CheckpointError, match="Received: .*x.pth"):
            read_torch(legacy(tmp_path / "x.pth", b"\x80\x02" + identity + b"Q."))


# Ways to use a placeholder, and the placeholder that is left.
USES = {
    "REDUCE": b"ca\nb\nK\x01\x85R",
    "NEWOBJ": b"ca\nb\nK\x01\x85\x81",
    "NEWOBJ_EX": b"\x8c\x01a\x8c\x01b\x93)}\x8c\x01xK\x01s\x92",
    "INST": b"(K\x01ia\nb\n",
    "INST without arguments": b"(ia\nb\n",
    "OBJ": b"(ca\nb\nK\x01o",
    "OBJ without arguments": b"(ca\nb\no",
    "BUILD": b"ca\nb\n}\x8c\x01xK\x01sb",
    "BUILD of slots": b"ca\nb\nN}\x8c\x04nameK\x01s\x86b",
    "SETITEM": b"ca\nb\nK\x01K\x02s",
    "SETITEMS": b"ca\nb\n(K\x01K\x02u",
    "APPEND": b"ca\nb\nK\x01a",
    "APPENDS": b"ca\nb\n(K\x01K\x02e",
    "ADDITEMS": b"ca\nb\n(K\x01K\x02\x90",
    "all of an object that was made": b"ca\nb\n)\x81}b(K\x01K\x02uK\x01aK\x01\x85R)R",
}


@pytest.mark.parametrize("use", USES)
def test_every_use_of_a_placeholder(tmp_path, use):
    program = b"\x80\x04}" + USES[use] + b"]" + USES[use] + b"as."
    (key, value), *_ = read_torch(legacy(tmp_path / "x.pth", program)).items()
    assert repr(key) == "a.b" and value == [key]


@pytest.mark.parametrize("name", [*torch_files._KNOWN, "_codecs.encode"])
def test_the_names_that_are_known_cannot_be_changed(tmp_path, name):
    module, _, short = name.rpartition(".")
    known = f"c{module}\n{short}\n".encode()
    for state in (
        b"}\x8c\x01xK\x01s",
        b"N}\x8c\x08__call__ca\nb\ns\x86",
        b"N}\x8c\x07__new__Ns\x86",
    ):
        with pytest.raises(CheckpointError, match="Received: .*x.pth"):
            read_torch(legacy(tmp_path / "x.pth", b"\x80\x04]" + known + state + b"ba."))
    test_every_use_of_a_placeholder(tmp_path, "REDUCE")


def repeated(first, part, count=20_000):
    """A list of many uses of what `first` puts into place 0."""
    return b"\x80\x02" + first + b"q\x000](" + part * count + b"e."


BYTES = 100_000
BIG_LIST = b"](" + b"N" * BYTES + b"e"
KEYS = [b"J" + key.to_bytes(4, "little") for key in range(BYTES // 10)]
BIG_DICT = b"}(" + b"".join(key + b"N" for key in KEYS) + b"u"
BIG_PAIRS = b"](" + b"".join(key + b"N\x86" for key in KEYS) + b"e"
BOMBS = {
    "names": b"\x80\x02](" + b"".join(b"cm\n%d\n" % n for n in range(20_000)) + b"e.",
    "objects": repeated(b"ca\nb\n", b"h\x00)\x81"),
    "state": repeated(b"ca\nb\n", b"h\x00)R}K\x01]K\x01asb"),
    "items": repeated(b"ca\nb\n", b"h\x00(]K\x01]K\x02u"),
    "text": repeated(
        b"X" + BYTES.to_bytes(4, "little") + b"x" * BYTES, b"c_codecs\nencode\nh\x00N\x86R"
    ),
    "sizes": repeated(BIG_LIST, b"ctorch\nSize\nh\x00\x85R"),
    "dicts": repeated(BIG_PAIRS, b"ccollections\nOrderedDict\nh\x00\x85R"),
    "tensors": repeated(BIG_LIST, b"ctorch._utils\n_rebuild_tensor\n(K\x00K\x00h\x00h\x00tR", 100),
    "attributes": repeated(BIG_DICT, b"ccollections\nOrderedDict\n)Rh\x00b"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_memory_is_bounded_by_the_file(tmp_path, name):
    """Gigabytes if content were kept or copied; a list in a pickle takes eight bytes an item."""
    file = legacy(tmp_path / "x.pth", BOMBS[name])
    most = 10_000_000 + 40 * file.stat().st_size
    with little_memory(most):
        try:
            read_torch(file)
        except CheckpointError as error:
            assert "Received: " in str(error)


def test_python_2(tmp_path):
    """It has bytes in its strings, and an ordered dict is a call with a list of lists."""
    program = b"\x80\x02ccollections\nOrderedDict\n](](U\x01aU\x01\xffee\x85R."
    assert read_torch(legacy(tmp_path / "x.pth", program)) == {"a": "\xff"}


def test_too_many_names(tmp_path):
    with pytest.raises(CheckpointError, match="may name 1000 functions and classes, not more"):
        read_torch(legacy(tmp_path / "x.pth", BOMBS["names"]))


def test_names_do_not_reach_a_terminal_as_they_are(tmp_path):
    program = b"\x80\x04\x8c\x05\x1b[31m\x8c\x01x\x93."
    with pytest.raises(CheckpointError, match=r"object of '\\x1b\[31m.x'\. Save"):
        read_torch(legacy(tmp_path / "x.pth", program))


def test_a_function_that_gets_itself(tmp_path):
    """A subclass of a subclass, and so on, for ever."""
    program = (
        b"ctorch._tensor\n_rebuild_from_type_v2\nq\x000]q\x01(h\x00Nh\x01Ne0h\x00(h\x00Nh\x01NtR."
    )
    with pytest.raises(CheckpointError, match="RecursionError"):
        read_torch(legacy(tmp_path / "x.pth", b"\x80\x02" + program))


LEAVES = st.sampled_from(
    [b"N", b"K\x01", b"K\x02", b"\x8c\x01x", b")", b"]", b"}", b"\x8f", b"G" + bytes(8), b"C\x01x"]
    + [f"c{n.rpartition('.')[0]}\n{n.rpartition('.')[2]}\n".encode() for n in torch_files._KNOWN]
    + [b"ca\nb\n", b"cposix\nsystem\n", b"cbuiltins\neval\n", b"c_codecs\nencode\n"] * 5
    + [b"(\x8c\x07storagectorch\nFloatStorage\n\x8c\x010NK\x01tQ"] * 3
)


def grown(inner):
    """Programs of one value, from programs of one value each."""
    several = st.lists(inner, max_size=4).map(b"".join)
    pairs = st.lists(st.tuples(inner, inner).map(b"".join), max_size=2).map(b"".join)
    arguments = several.map(lambda items: b"(" + items + b"t")
    return st.one_of(
        arguments,
        st.tuples(inner, arguments, st.sampled_from([b"R", b"\x81"])).map(b"".join),
        st.tuples(inner, arguments, st.just(b"}\x92")).map(b"".join),
        st.tuples(st.just(b"("), inner, several, st.just(b"o")).map(b"".join),
        st.tuples(st.just(b"("), several, st.just(b"ia\nb\n")).map(b"".join),
        st.tuples(inner, inner, st.sampled_from([b"b", b"a"])).map(b"".join),
        st.tuples(inner, inner, inner, st.just(b"s")).map(b"".join),
        st.tuples(inner, st.just(b"("), pairs, st.just(b"u")).map(b"".join),
        st.tuples(inner, st.just(b"("), several, st.sampled_from([b"e", b"\x90"])).map(b"".join),
        st.tuples(inner, st.just(b"Q")).map(b"".join),
    )


@settings(max_examples=400, deadline=None)
@given(program=st.recursive(LEAVES, grown, max_leaves=12))
def test_programs_give_values_or_one_kind_of_error(tmp_path_factory, program):
    file = legacy(tmp_path_factory.getbasetemp() / "program.pth", b"\x80\x04" + program + b".")
    for read in (read_torch, read_state_dict):
        try:
            read(file)
        except CheckpointError as error:
            assert "Received: " in str(error)
