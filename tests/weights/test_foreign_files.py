"""Files of other kinds under the names of checkpoints: each is named, with the way out."""

import gzip
import io
import json
import shutil
import tarfile
import zipfile

import h5py
import numpy as np
import pytest
from safetensors.numpy import save

import smallbig_keras
from smallbig_keras.weights import CheckpointError, load_weights, read_state_dict
from smallbig_keras.weights.loading import count_classes
from tests.weights.networks import equal
from tests.weights.test_torch_files import FILES


def hdf5():
    file = io.BytesIO()
    with h5py.File(file, "w") as content:
        content["x"] = [1.0]
    return file.getvalue()


def tar(data):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        info = tarfile.TarInfo("weights.pth")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


CHECKPOINT = (FILES / "block_zip.pth").read_bytes()
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
OTHERS = {
    "an HDF5 file": hdf5(),
    "a tar archive: unpack": tar(CHECKPOINT),
    "a gzip file: unpack": gzip.compress(tar(CHECKPOINT)),
    "a pointer of Git LFS": POINTER,
    "a web page": b"\n<!DOCTYPE html><html><body>Sign in</body></html>",
    "a web page: download": b"\xef\xbb\xbf<HTML lang=en>",
    "a safetensors file: name it .safetensors": save({"a": np.ones(2, "float32")}),
    "an ONNX file": b"\x08\x08\x12\x07pytorch\x1a\x052.1.0",
}


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("name", ["x.pth", "x.pth.tar"])
def test_files_that_are_named(tmp_path, kind, name):
    (tmp_path / name).write_bytes(OTHERS[kind])
    for read in (read_state_dict, count_classes):
        with pytest.raises(CheckpointError, match=f"this is {kind}.*Received: .*{name}"):
            read(tmp_path / name)


@pytest.mark.parametrize(
    "members, kind",
    [
        (("x/data.pkl", "x/constants.pkl", "x/version"), r"a TorchScript archive.*torch.jit.load"),
        (("x/data.pkl", "x/code/__torch__.py"), "a TorchScript archive"),
        (("x/archive_format", "x/models/model.json"), r"an exported program: .*state_dict\(\)"),
        (("metadata.json", "config.json", "model.weights.h5"), "a file of Keras: name it .keras"),
    ],
)
def test_archives_that_are_named(tmp_path, members, kind):
    with zipfile.ZipFile(tmp_path / "x.pt", "w") as archive:
        for member in members:
            archive.writestr(member, json.dumps({}))
    with pytest.raises(CheckpointError, match=f"this is {kind}.*Received: .*x.pt"):
        read_state_dict(tmp_path / "x.pt")


@pytest.mark.parametrize("name", ["ckpt.pth.tar", "last.ckpt"])
def test_other_names_of_checkpoints(tmp_path, name):
    path = shutil.copy(FILES / "ckpt.pth.tar", tmp_path / name)
    assert count_classes(path) == 3
    network = {"width": 4, "blocks": (1, 1, 1, 1), "classes": 3, "input_shape": (2, 32, 32, 3)}
    one, other = (smallbig_keras.SmallBigR50(**network) for _ in range(2))
    report = load_weights(one, path)
    assert len(report.loaded) == len(one.weights) and not report.skipped and not report.new
    assert not equal(one, other)
    assert equal(smallbig_keras.SmallBigR50(**network, weights=str(path)), one)
