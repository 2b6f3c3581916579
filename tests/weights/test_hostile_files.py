"""Files made to run code, to open other files or to take memory: one error, and nothing more."""

import json
import shutil
import sys
import warnings
import zipfile

import h5py
import keras
import numpy as np
import pytest

from smallbig_keras.weights import WeightsError, load_weights
from smallbig_keras.weights.keras_files import load_training_state, read_config
from smallbig_keras.weights.loading import count_classes
from tests.weights.hostile import bomb, little_memory, refused
from tests.weights.networks import equal, tiny

KERNEL, BIAS = "layers/dense/vars/0", "layers/dense/vars/1"


@pytest.fixture(scope="module")
def weights_file(trained, tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "good.weights.h5"
    trained.save_weights(path)
    return path


@pytest.fixture(scope="module")
def model():
    return tiny(variant="paper")


def soft_link(file, folder):
    file[BIAS] = h5py.SoftLink("/layers/frame_conv/vars/0")


def external_link(file, folder):
    file[BIAS] = h5py.ExternalLink(str(folder / "other.h5"), "/secret")


def external_group(file, folder):
    del file["layers/dense"]
    file["layers/dense"] = h5py.ExternalLink(str(folder / "other.h5"), "/")


def external_storage(file, folder):
    file.create_dataset(BIAS, (3,), "float32", external=[(str(folder / "secret"), 0, 12)])


def virtual(file, folder):
    layout = h5py.VirtualLayout((3,), "float32")
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "secret", (3,))
    file.create_virtual_dataset(BIAS, layout)


def cycle(file, folder):
    file[BIAS] = np.zeros(3, "float32")
    file["layers/again"] = file["layers"]


def text(file, folder):
    file[BIAS] = ["a", "b", "c"]


def references(file, folder):
    file[BIAS] = np.array([file.ref] * 3, h5py.ref_dtype)


def lengths(file, folder):
    file.create_dataset(BIAS, (3,), h5py.vlen_dtype("float32"))


def nothing(file, folder):
    file[BIAS] = h5py.Empty("float32")


def a_type(file, folder):
    file[BIAS] = np.dtype("float32")


def a_name_that_draws(file, folder):
    file[f"{BIAS}\x1b[2J"] = np.zeros(3, "float32")


def never_written(file, folder):
    file.create_dataset(BIAS, (3,), "float32")


def huge(file, folder):
    file.create_dataset(BIAS, (1_250_000_000,), "float32")


def huge_in_chunks(file, folder):
    file.create_dataset(BIAS, (1_250_000_000,), "float32", chunks=(1000,))[:1000] = 1


def huge_and_compressed(file, folder):
    options = {"chunks": (1 << 20,), "compression": "gzip"}
    file.create_dataset(BIAS, (1_250_000_000,), "float32", **options)[:1000] = 1


def compressed_twice(file, folder):
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((1 << 20,))
    properties.set_deflate(9)
    properties.set_deflate(9)
    shape = h5py.h5s.create_simple((1 << 20,))
    item = h5py.h5d.create(file.id, BIAS.encode(), h5py.h5t.NATIVE_FLOAT, shape, properties)
    item.write(h5py.h5s.ALL, h5py.h5s.ALL, np.zeros(1 << 20, "float32"))


def another_filter(file, folder):
    file.create_dataset(BIAS, data=np.zeros(3, "float32"), chunks=(3,), compression="lzf")


HDF5 = {
    soft_link: "is a SoftLink",
    external_link: "is a ExternalLink",
    external_group: "is a ExternalLink",
    external_storage: "lie in other files",
    virtual: "lie in other files",
    cycle: "linked twice",
    text: "which is no number",
    references: "which is no number",
    lengths: "which is no number",
    nothing: "is no array",
    a_type: "is no array",
    a_name_that_draws: "is not text",
    never_written: "claims 12 bytes of which 0 are in the file",
    huge: "claims 5,000,000,000 bytes of which 0 are in",
    huge_in_chunks: "claims 5,000,000,000 bytes of which 4,000 are in",
    huge_and_compressed: "claims 5,000,000,000 bytes of which",
    compressed_twice: "compressed in a way that is not read",
    another_filter: "compressed in a way that is not read",
}


@pytest.mark.parametrize("change", HDF5, ids=lambda f: f.__name__)
def test_hdf5(model, weights_file, tmp_path, change):
    """The numbers of other files, and arrays that are not in the file, are not loaded."""
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["secret"] = np.zeros(3, "float32")
    (tmp_path / "secret").write_bytes(bytes(12))
    path = shutil.copy(weights_file, tmp_path / "x.weights.h5")
    with h5py.File(path, "r+") as file:
        del file[BIAS]
        change(file, tmp_path)
    refused(model, path, HDF5[change])
    with zipfile.ZipFile(tmp_path / "x.keras", "w") as archive:
        archive.writestr("config.json", "{}")
        archive.write(path, "model.weights.h5")
    refused(model, tmp_path / "x.keras", HDF5[change])


def test_a_small_file_that_claims_gigabytes(model, tmp_path):
    """1 kB alone, for a network that has no such variable."""
    for name, key in (("x.weights.h5", "layers/frame_conv/vars/0"), ("x.h5", "conv/conv/kernel")):
        with h5py.File(tmp_path / name, "w", libver="latest") as file:
            file.create_dataset(key, (7, 7, 1000, 25_000), "float32")
        assert (tmp_path / name).stat().st_size < 3000
        refused(model, tmp_path / name, "claims 4,900,000,000 bytes of which 0 are in the file")


def test_arrays_that_share_their_bytes(model, tmp_path):
    """The place of one array's numbers, written into the descriptions of three others."""
    path, size = tmp_path / "x.weights.h5", 400_000
    with h5py.File(path, "w") as file:
        for index in range(4):
            item = file.create_dataset(f"layers/a/vars/{index}", (size // 4,), "float32")
            if index == 0:
                item[:] = 1
                place = item.id.get_offset()
    nowhere, length = b"\xff" * 8, size.to_bytes(8, "little")
    data = path.read_bytes()
    assert data.count(nowhere + length) == 3
    path.write_bytes(data.replace(nowhere + length, place.to_bytes(8, "little") + length))
    with h5py.File(path) as file:
        assert all(np.all(file[f"layers/a/vars/{index}"][:] == 1) for index in range(4))
    refused(model, path, "claim 1,600,000 bytes of a file")


def test_compressed_numbers_are_compared_before_they_are_read(model, weights_file, tmp_path):
    """Zeros that are really there: 1000 times smaller in the file than in memory."""
    for change in (KERNEL, BIAS, "layers/frame_conv/vars/0", "optimizer/vars/0"):
        path = shutil.copy(weights_file, tmp_path / "x.weights.h5")
        with h5py.File(path, "r+") as file:
            if change in file:
                del file[change]
            item = file.create_dataset(
                change, (1 << 25,), "float32", chunks=(1 << 22,), compression="gzip"
            )
            for start in range(0, 1 << 25, 1 << 22):
                item[start : start + (1 << 22)] = 0
        with little_memory():
            if change == "optimizer/vars/0":
                load_weights(tiny(variant="paper"), path)
            elif change == BIAS:
                with pytest.raises(WeightsError, match="as many biases as columns"):
                    count_classes(path)
                # The classifier alone is of another number of classes, and is not read.
                assert load_weights(tiny(variant="paper"), path).new == ["classifier/bias"]
            else:
                with pytest.raises(WeightsError, match="of another shape"):
                    load_weights(model, path)
            model.compile("adam", "mse")
            with pytest.raises(WeightsError, match="of another shape"):
                load_training_state(model, path)


def test_archives_that_expand(model, weights_file, tmp_path):
    """200 MB of zeros in 200 kB, as the weights, as the configuration, and as something else."""
    good = ("model.weights.h5", weights_file.read_bytes())
    path = tmp_path / "x.keras"
    for name, others in (
        ("model.weights.h5", [("config.json", "{}")]),
        ("config.json", [good]),
        ("assets/x", [good, ("config.json", "{}")]),
    ):
        bomb(path, name, others)
        refused(model, path, "members claim 2.*, of which a file of .* may hold 67,108,864")
        with little_memory(), pytest.raises(WeightsError, match="members claim"):
            read_config(path)


def test_a_long_configuration(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b" " * 50_000_001)
    with little_memory(), pytest.raises(WeightsError, match="50,000,001 bytes, 50,000,000 are"):
        read_config(tmp_path / "x.keras")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions(model, tmp_path, method):
    with zipfile.ZipFile(tmp_path / "x.keras", "w", method) as archive:
        archive.writestr("config.json", "{}")
    refused(model, tmp_path / "x.keras", "compressed in a way that is not read")


def test_an_archive_without_weights(model, tmp_path):
    with zipfile.ZipFile(tmp_path / "x.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    refused(model, tmp_path / "x.keras", "model.weights.h5")


def with_config(path, config, weights_file):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("metadata.json", "{}")
        archive.write(weights_file, "model.weights.h5")
    return path


def write_evidence(path):
    """Returns a function that Keras stores as Python's own code."""
    return eval(f"lambda x: (__import__('pathlib').Path({str(path)!r}).touch(), x)[1]")


def test_a_function_in_a_file_is_not_run(trained, tmp_path):
    """Python in a Lambda layer: Keras runs it where its safe mode is off, this package never."""
    evidence = tmp_path / "evidence"
    layer = keras.layers.Lambda(write_evidence(evidence), name="extra")
    keras.Model(trained.input, layer(trained.output)).save(tmp_path / "x.keras")
    evidence.unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keras.saving.load_model(tmp_path / "x.keras", safe_mode=False)
    assert evidence.exists(), "the file does not do what it is for"
    evidence.unlink()

    assert equal(tiny(variant="paper", weights=tmp_path / "x.keras"), trained)
    assert count_classes(tmp_path / "x.keras") == 3
    assert read_config(tmp_path / "x.keras")["config"]["layers"][-1]["class_name"] == "Lambda"
    assert not evidence.exists()


@pytest.mark.parametrize("place", ["model", "layer", "initializer", "compile"])
def test_a_module_in_a_file_is_not_imported(trained, weights_file, tmp_path, monkeypatch, place):
    evidence = tmp_path / "evidence"
    code = f"import pathlib\npathlib.Path({str(evidence)!r}).touch()\nclass Evil: pass\n"
    (tmp_path / "evil_module.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    trained.save(tmp_path / "good.keras")
    config = read_config(tmp_path / "good.keras")
    evil = {"module": "evil_module", "class_name": "Evil", "registered_name": None, "config": {}}
    if place == "model":
        config.update(evil, config=config["config"])
    elif place == "layer":
        config["config"]["layers"][1].update(evil)
    elif place == "initializer":
        config["config"]["layers"][1]["config"]["kernel_initializer"] = evil
    else:
        config["compile_config"] = {"optimizer": evil, "loss": evil}
    path = with_config(tmp_path / "x.keras", config, weights_file)
    assert equal(tiny(variant="paper", weights=path), trained)
    assert count_classes(path) == 3
    assert not evidence.exists() and "evil_module" not in sys.modules


def test_a_function_in_h5_is_not_run(trained, tmp_path):
    """The older format stores the same code in an attribute."""
    evidence = tmp_path / "evidence"
    layer = keras.layers.Lambda(write_evidence(evidence), name="extra")
    keras.Model(trained.input, layer(trained.output)).save(tmp_path / "x.h5")
    evidence.unlink()
    assert equal(tiny(variant="paper", weights=tmp_path / "x.h5"), trained)
    assert not evidence.exists()


def test_no_reader_of_keras_is_called(trained, weights_file, tmp_path, monkeypatch):
    """Neither of networks nor of weights, for any form of file."""
    trained.save(tmp_path / "x.keras")
    trained.save(tmp_path / "x.h5")

    def fail(*args, **kwargs):
        raise AssertionError("a reader of Keras was called")

    for name in ("load_model", "load_weights", "deserialize_keras_object"):
        monkeypatch.setattr(keras.saving, name, fail)
    monkeypatch.setattr(keras.Model, "load_weights", fail)
    monkeypatch.setattr(keras.Model, "from_config", fail)
    for path in (tmp_path / "x.keras", tmp_path / "x.h5", weights_file):
        assert equal(tiny(variant="paper", weights=path), trained)
