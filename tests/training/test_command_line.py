"""The flags of `fit.py`, the recipes behind them and what they come to."""

import dataclasses
import os
import subprocess
import sys

import building
import command_line
import fit
import numpy as np
import prepare
import pytest
from recipes import PAPER, SAMPLE, Recipe

from smallbig_keras import cli


@pytest.mark.parametrize(
    "flags, rule",
    [
        (
            ["--data-root", "nowhere"],
            r"(?s)20bn-something.*--sample.*Received: .*nowhere",
        ),
        ([], r"(?s)20bn-something.*--sample"),
        (["--data-root", "x", "--test-short-side", "200"], "must fit into the short side"),
        (["--data-root", "x", "--epochs", "0"], "--epochs must be at least 1"),
        (["--data-root", "x", "--momentum", "1"], "--momentum from 0"),
        (["--data-root", "x", "--options", '{"units": [4]}'], "convolutions among"),
        (["--data-root", "x", "--variant", "published"], "`variant` must be one of"),
        (["--data-root", "x", "--randaugment", "1.5", "0.5"], "`randaugment` must be"),
    ],
)
def test_bad_flags(flags, rule, tmp_path):
    output = tmp_path / "run"
    with pytest.raises(SystemExit, match=rule) as error:
        fit.main(["--dataset", "sthv2", "--output", str(output), *flags])
    assert "Received: " in str(error.value)
    assert not output.exists()


@pytest.mark.parametrize(
    "flags, rule",
    [
        (["--sample", "--data-root", "x", "--dataset", "sthv2"], "leave out --data-root"),
        ([], "--dataset or --resume is needed"),
        (["--resume", "x", "--epochs", "3"], "no other. Received"),
        (["--dataset", "sthv2", "--epoch", "3"], "unrecognized arguments: --epoch"),
        (["--dataset", "k401"], "invalid choice: 'k401'"),
        (["--dataset", "k400", "--sample"], "laid out as sthv2. Received: --dataset k400"),
        (["--dataset", "sthv2", "--options", "{units: 3}"], "must be JSON"),
        (["--dataset", "sthv2", "--options", "[1]"], "must be a JSON object"),
    ],
)
def test_rejected_flags(flags, rule, capsys):
    with pytest.raises(SystemExit):
        fit.main(flags)
    assert rule in capsys.readouterr().err


def test_options_are_added_to_those_of_the_recipe(monkeypatch, tmp_path):
    monkeypatch.setattr(prepare, "main", lambda arguments: None)
    flags = ["--dataset", "sthv2", "--sample", "--options", '{"dropout": 0.5}']
    args = command_line.parse("", [*flags, "--output", str(tmp_path / "run")])
    config = command_line.resolve(args)
    assert config["options"]["dropout"] == 0.5
    assert config["options"]["width"] == SAMPLE["sthv2"].options["width"]


def test_short_side_follows_the_size(tmp_path):
    flags = ["--dataset", "k400", "--data-root", "x", "--output", str(tmp_path / "run")]
    config = command_line.resolve(command_line.parse("", [*flags, "--size", "112"]))
    assert (config["short_side"], config["test_short_side"]) == ((128, 160), 128)
    flags += ["--size", "112", "--short-side", "112", "130"]
    config = command_line.resolve(command_line.parse("", flags))
    assert (config["short_side"], config["test_short_side"]) == ([112, 130], 128)


def test_help_names_every_recipe_field():
    result = subprocess.run(
        [sys.executable, fit.__file__, "--help"],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "100"},
        timeout=120,
    )
    for field in dataclasses.fields(Recipe):
        if field.name != "lr_batch":
            assert f"--{field.name.replace('_', '-')}" in result.stdout


def test_recipe_is_the_papers():
    """Paper, section 6, "Training" and "Inference"."""
    recipe = PAPER["sthv2"]
    assert (recipe.model, recipe.frames, recipe.size) == ("SmallBigSlowOnlyR50", 8, 224)
    assert (recipe.short_side, recipe.test_short_side, recipe.flip) == ((256, 320), 256, "none")
    assert (recipe.epochs, recipe.lr, recipe.milestones) == (50, 0.01, (30, 40, 45))
    assert (recipe.momentum, recipe.l2) == (0.9, 1e-4)


def test_learning_rate_schedules():
    config = {"lr": 1.0, "epochs": 4, "schedule": "step", "milestones": [2, 3]}
    schedule = building.learning_rate_schedule(config, steps=5)
    rates = [float(schedule(step)) for step in range(20)]
    np.testing.assert_allclose(rates, [1.0] * 10 + [0.1] * 5 + [0.01] * 5, rtol=1e-5)
    cosine = building.learning_rate_schedule({**config, "schedule": "cosine"}, steps=5)
    expected = (1 + np.cos(np.pi * np.arange(20) / 20)) / 2
    np.testing.assert_allclose([float(cosine(k)) for k in range(20)], expected, rtol=1e-5)


def test_interruption_ends_at_once(monkeypatch, capsys):
    codes = []
    monkeypatch.setattr("smallbig_keras.cli.errors.os._exit", codes.append)

    @cli.readable_errors
    def main():
        raise KeyboardInterrupt

    main()
    assert codes == [130] and "what is done is kept" in capsys.readouterr().err
