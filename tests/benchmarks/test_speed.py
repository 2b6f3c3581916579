"""The comparison of speed: its arguments, its table, and a run of a tiny network."""

import json
import shutil
import sys

import numpy as np
import pytest

from benchmarks import reports, scaling, speed
from benchmarks.turns import Result

# Any program stands for another environment's Python.
PEER = shutil.which("sh")
TINY = {"blocks": [1, 1, 1, 1], "width": 8}


def test_a_tiny_network_is_measured(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    path = tmp_path / "speed"
    arguments = ["inference", "--model", "C2DR50", "--options", json.dumps(TINY)]
    arguments += ["--frames", "2", "--size", "32", "--rounds", "3", "--matrix", "64"]
    speed.main([*arguments, "--contenders", "tensorflow", "--output", str(path)])
    written = json.loads(path.with_suffix(".json").read_text())
    assert written["macs"] == tiny_macs()
    result = written["results"]["tensorflow"]
    assert len(result["seconds"]) == 3 and min(result["seconds"]) > 0
    assert result["peak"] >= result["loaded"] > 1e8
    assert {"keras", "tensorflow"} <= set(written["versions"])
    assert "| TensorFlow graph |" in capsys.readouterr().out
    assert "| TensorFlow graph |" in path.with_suffix(".md").read_text()
    assert path.with_suffix(".png").stat().st_size > 1000


def tiny_macs():
    """Multiply-adds of `TINY` on 2 frames of 32 x 32 pixels, from the description of a ResNet."""
    frames, macs, inputs, side = 2, 16 * 16 * 49 * 3 * 8, 8, 8
    for stage in range(4):
        width, stride = 8 * 2**stage, 1 + (stage > 0)
        out = side // stride
        macs += side**2 * inputs * width + out**2 * (9 * width**2 + 4 * width**2)
        macs += out**2 * inputs * 4 * width
        inputs, side = 4 * width, out
    return frames * macs + inputs * 400


def test_the_table_compares_with_the_fastest_peer():
    settings = {"task": "training", "batch": 4, "matrix": 1000}
    results = {
        "tensorflow": Result([1.0, 2.0, 4.0], int(1e9), int(2e9)),
        "onnxruntime": Result([2.0]),
        "torch": Result([8.0]),
        "torch-channels-last": Result([3.0]),
        "torch-compiled": Result(error="RuntimeError: no compiler"),
        "torch-onnxruntime": Result([1.0]),
        "s3d": Result([1.0], facts={"macs": 2 * 10**9, "clip": "16 x 224 x 224"}),
        "matrix": Result([0.1, 0.2]),
    }
    # 20 GFLOP/s; a step has 3 * 4 * 2 GFLOP.
    heading, *rows = reports.speed_rows(results, settings, 10**9)
    table = {row[0]: dict(zip(heading, row, strict=True)) for row in rows}
    ours = table["TensorFlow graph"]
    assert ours["median, s"] == "2.000" and ours["quartiles, s"] == "1.500 to 3.000"
    assert ours["clips/s"] == "2.00" and ours["peak, GB"] == "2.00"
    assert ours["times PyTorch's best"] == "1.50" and ours["of the matrix rate"] == "60%"
    assert table["ONNX Runtime"]["times PyTorch's export"] == "0.50"
    assert table["PyTorch compiled"]["median, s"] == "failed"
    assert table["torchvision s3d (16 x 224 x 224)"]["of the matrix rate"] == "240%"
    assert table["torchvision s3d (16 x 224 x 224)"]["times PyTorch's best"] == ""
    assert reports.failures(results) == ["PyTorch compiled: RuntimeError: no compiler"]


def test_networks_that_differ_are_not_compared():
    ours = Result([1.0], facts={"parameters": 10})
    reports.check_twins({"tensorflow": ours, "torch": ours, "s3d": Result([1.0])})
    with pytest.raises(SystemExit, match="not one network"):
        reports.check_twins({"tensorflow": ours, "torch": Result(facts={"parameters": 11})})


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["training", "--contenders", "litert"], "litert has no training in float32"),
        (["inference", "--dtype", "bfloat16", "--contenders", "litert"], "litert has no inference"),
        (["training", "--families"], "give --peer-python"),
        (["training", "--dtype", "tf32"], "on a cpu, --dtype is one of float32, bfloat16"),
        (["training", "--device", "gpu", "--contenders", "tensorflow"], "in bfloat16 on a gpu"),
        (["training", "--rounds", "0"], "a whole number of at least 1. Received: 0"),
        (["training", "--peer-python", "none/python"], "must be a program. Received: none/python"),
        (["training", "--output", f"{__file__}/x"], "This cannot be written: "),
        (["training", "--model", "SmallBigR5"], "Did you mean 'SmallBigR50'"),
    ],
)
def test_arguments_that_do_not_fit(arguments, message, capsys):
    with pytest.raises(SystemExit):
        speed.parse(arguments)
    assert message in capsys.readouterr().err


def test_without_peers_they_are_left_out_and_said(capsys):
    args = speed.parse(["training"])
    assert args.contenders == ["tensorflow", "tensorflow-remat", "jax", "matrix"]
    assert "left out: torch, torch-channels-last" in capsys.readouterr().err


def test_a_gpu_has_contenders_and_precisions_of_its_own():
    args = speed.parse(["inference", "--device", "gpu", "--peer-python", PEER])
    assert args.contenders == ["jax", "torch-channels-last", "torch-compiled", "torch-matrix"]
    assert args.dtype == "bfloat16"
    assert speed.parse(["training", "--device", "gpu", "--dtype", "tf32"]).contenders == ["jax"]


def test_kernels_are_counted_without_their_numbers():
    kernels = {"loop_add_fusion_12": 0.001, "loop_add_fusion": 0.002, "gemm": 0.001}
    results = {"jax": Result([1.0], facts={"kernels": kernels}), "torch": Result([1.0])}
    (table,) = reports.kernel_tables([results])
    assert table.startswith("\n\nJAX\n\n")
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()[4:]]
    assert cells[2:] == [
        ["all", "4.00", ""],
        ["loop_add_fusion", "3.00", "75%"],
        ["gemm", "1.00", "25%"],
    ]


def test_a_peer_runs_in_its_own_environment():
    args = speed.parse(["inference", "--no-extra", "--peer-python", PEER])
    config = speed.shared_config(args)
    command, given = speed.entry("torch-compiled", config, args.peer_python)
    assert command == [PEER, "-m", "benchmarks.peers.worker"]
    assert given["twin"] == {"extra": False} and given["compile"]
    command, given = speed.entry("litert-int8", config, args.peer_python)
    assert command == [sys.executable, "-m", "benchmarks.engines"]
    assert given["options"] == {"extra": None} and given["file"] == "int8.tflite"


def test_a_command_names_no_file_of_the_machine():
    arguments = ["training", "--peer-python", "/a/b", "--options", '{"width": 8}', "--output", "/c"]
    assert reports.describe_command("speed", arguments) == (
        "python -m benchmarks.speed training --peer-python PEERS/bin/python "
        "--options '{\"width\": 8}' --output PATH"
    )


def test_points_of_an_axis_are_measured(monkeypatch, capsys):
    monkeypatch.setattr(scaling, "AXES", {"size": (32,)})
    scaling.main(["--model", "C2DR50", "--options", json.dumps(TINY), "--rounds", "1"])
    *_, row = capsys.readouterr().out.strip().splitlines()
    axis, value, seconds, *_ = (cell.strip() for cell in row.split("|")[1:])
    assert (axis, value) == ("size", "32") and float(seconds) > 0


@pytest.mark.parametrize("benchmark, task", [(speed, ["inference"]), (scaling, [])])
def test_nothing_that_could_be_measured_is_a_failure(benchmark, task, monkeypatch, capsys):
    failed = {"tensorflow": Result(error="MemoryError: no more")}
    monkeypatch.setattr(
        scaling, "race", lambda entries, *_: dict.fromkeys(entries, Result(error="no more"))
    )
    monkeypatch.setattr(speed, "compare", lambda *_: (failed, 1))
    names = ["--contenders", "tensorflow"] if task else ["--axes", "batch"]
    with pytest.raises(SystemExit, match="could be measured"):
        benchmark.main([*task, *names])


def test_growth_is_the_slope_of_the_logarithms():
    points = np.array([4, 8, 16, 64])
    assert scaling.exponent(points, 3 * points**1.7) == pytest.approx(1.7)
    assert scaling.exponent([4], [1.0]) is None
