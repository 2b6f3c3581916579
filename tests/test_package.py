"""The package as others get it: wheel, imports, documentation."""

import ast
import doctest
import importlib
import inspect
import os
import pathlib
import re
import site
import subprocess
import sys
import venv
import zipfile

import keras
import numpy as np
import pytest

import smallbig_keras

ROOT = pathlib.Path(__file__).parent.parent
FOLDERS = [
    *(
        importlib.import_module(".".join(path.parent.relative_to(ROOT).parts))
        for path in (ROOT / "smallbig_keras").rglob("__init__.pyi")
    ),
    smallbig_keras.optimizers,
]
# The names that the folders list, each once.
PUBLIC = {
    f"{value.__module__}.{name}": value
    for folder in FOLDERS
    for name, value in ((name, getattr(folder, name)) for name in dir(folder))
    if not name.startswith("_")
    and getattr(value, "__module__", "").startswith("smallbig_keras")
    and (inspect.isclass(value) or inspect.isfunction(value))
}


def run(*command, **options):
    result = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, timeout=600, **options
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_wheel_in_a_clean_environment(tmp_path):
    """Only the package is in the wheel, and it runs without the repository."""
    run("-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT))
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    folders = {name.split("/")[0] for name in names}
    assert folders == {"smallbig_keras", wheel.name[: -len("-py3-none-any.whl")] + ".dist-info"}
    assert "smallbig_keras/labels/sthv2.txt" in names
    assert "smallbig_keras/weights/publishers/smallbig.json" in names
    assert "smallbig_keras/__init__.pyi" in names and "smallbig_keras/cli/fit.py" in names

    venv.create(tmp_path / "clean", with_pip=False)
    library = next((tmp_path / "clean" / "lib").glob("python*")) / "site-packages"
    # The dependencies of this environment, but not the repository that it has installed.
    (library / "dependencies.pth").write_text("\n".join(site.getsitepackages()))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(library)
    script = (
        "import pathlib, numpy as np, smallbig_keras;"
        f"assert pathlib.Path(smallbig_keras.__file__).is_relative_to({str(library)!r});"
        "model = smallbig_keras.SmallBigR23(input_shape=(2, 32, 32, 3), classes=3);"
        "print(model(np.zeros((1, 2, 32, 32, 3))).shape);"
        "print(len(smallbig_keras.class_names('k400')))"
    )
    python = tmp_path / "clean" / "bin" / "python"
    # A path to the repository would come before the wheel.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(
        [python, "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.stdout == "(1, 3)\n400\n", result.stderr
    entry = "smallbig = smallbig_keras.cli:console"
    (entries,) = library.glob("*.dist-info/entry_points.txt")
    assert entry in entries.read_text()


OPTIONAL = (
    *("ai_edge_litert", "cv2", "matplotlib", "onnx", "onnxruntime", "skvideo", "tensorboard"),
    *("mlflow", "safetensors", "tensorflow_io", "tensorflow_serving", "tf2onnx", "wandb"),
)


def test_import_alone_is_light():
    """Names load what they need: a framework when a network is built, a decoder for a video."""
    heavy = ["keras", "tensorflow", "jax", "av", "requests", *OPTIONAL]
    script = "import sys, smallbig_keras; smallbig_keras.list_models(); smallbig_keras.data;"
    script += f"print([m for m in {heavy} if m in sys.modules])"
    assert run("-c", script) == "[]\n"


@pytest.mark.parametrize("backend, absent", [("tensorflow", ()), ("jax", ("tensorflow",))])
def test_imports_of_the_whole_api(backend, absent):
    """Every name but those of clips and exports; TensorFlow where it is the backend."""
    # Keras imports OpenCV and matplotlib itself where they are installed.
    keras = ("cv2", "matplotlib")
    optional = [name for name in (*OPTIONAL, *absent) if name not in (backend, *keras)]
    script = (
        "import sys; import smallbig_keras\n"
        "for name in dir(smallbig_keras): getattr(smallbig_keras, name)\n"
        "for part in (smallbig_keras.layers, smallbig_keras.models, smallbig_keras.weights):\n"
        "    for name in dir(part): getattr(part, name)\n"
        f"print([m for m in {optional} if m in sys.modules])"
    )
    assert run("-c", script, env={**os.environ, "KERAS_BACKEND": backend}) == "[]\n"


def test_import_time():
    """At most 0.3 s beyond Keras with the whole API, the best of three."""
    script = (
        "import time, keras; start = time.perf_counter()\n"
        "import smallbig_keras\n"
        "for name in dir(smallbig_keras): getattr(smallbig_keras, name)\n"
        "print(time.perf_counter() - start)"
    )
    assert min(float(run("-c", script)) for _ in range(3)) < 0.3


def test_keras_knows_the_layers_after_the_import():
    """In either order, and without the use of a name."""
    for imports in ("smallbig_keras, keras", "keras, smallbig_keras"):
        script = f"import {imports}; print(sorted(keras.saving.get_custom_objects()))"
        assert "smallbig_keras>SmallBigUnit" in run("-c", script)
        assert "smallbig_keras>SGDWithL2" in run("-c", script)


def test_optional_packages_are_imported_inside_functions():
    for path in (ROOT / "smallbig_keras").rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in tree.body:
            names = [a.name for a in getattr(node, "names", [])] + [getattr(node, "module", "")]
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert not {str(name).split(".")[0] for name in names} & set(OPTIONAL), path
        assert "keras.src" not in path.read_text(), path


def parameters(value):
    signature = inspect.signature(value.__init__ if inspect.isclass(value) else value)
    return {k: p for k, p in signature.parameters.items() if k != "self"}


@pytest.mark.parametrize("name", PUBLIC)
def test_documentation_agrees_with_the_signature(name):
    value = PUBLIC[name]
    text = inspect.getdoc(value)
    assert text, name
    section = re.search(r"^Args:\n((?:    .*\n|\n)*)", text + "\n", re.MULTILINE)
    entries = re.findall(
        r"^    (\*{0,2}\w+):(.*(?:\n        .*)*)", section[1] if section else "", re.M
    )
    documented = {key.lstrip("*"): entry for key, entry in entries}
    actual = parameters(value)
    if not (inspect.isclass(value) and issubclass(value, Exception | tuple)):
        assert list(documented) == list(actual), name
    for key, entry in documented.items():
        stated = re.search(r"Defaults\s+to\s+`([^`]*)`", entry)
        default = actual[key].default
        if default is inspect.Parameter.empty:
            assert stated is None, f"{name}: {key} has no default"
        else:
            assert stated, f"{name}: the default of {key} is not documented"
            shown = stated[1].replace("\n", " ").strip()
            shown = re.sub(r"\s+", " ", shown)
            assert ast.literal_eval(shown) == default, f"{name}: {key}={default!r}, not {shown}"


@pytest.mark.parametrize(
    "name", [n for n, v in PUBLIC.items() if ">>>" in (inspect.getdoc(v) or "")]
)
def test_examples(name):
    names = {"keras": keras, "np": np}
    names.update((n, getattr(smallbig_keras, n)) for n in dir(smallbig_keras) if n[0] != "_")
    names.update(vars(inspect.getmodule(PUBLIC[name])))
    test = doctest.DocTestParser().get_doctest(inspect.getdoc(PUBLIC[name]), names, name, None, 0)
    output = []
    result = doctest.DocTestRunner().run(test, out=output.append)
    assert result.attempted > 0 and result.failed == 0, "".join(output)
