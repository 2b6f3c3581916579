"""The command line: help, misspelt words, exit codes, interruptions, quiet start."""

import os
import pathlib
import signal
import subprocess
import sys
import time
import warnings

import pytest

from smallbig_keras import cli, errors, runs
from smallbig_keras.cli import COMMANDS, main, make_parser, prepare
from smallbig_keras.options import fields_by_group
from smallbig_keras.training.options import FitOptions

ROOT = pathlib.Path(__file__).parents[2]
NAMES = [name for name in COMMANDS if name != "prepare"]
NAMES += [f"prepare {part}" for part in ("index", "shards", "check", "sample", "publish")]


def smallbig(*words, **options):
    """Runs the command in a process of its own, as its entry point does."""
    code = "from smallbig_keras.cli import console; console()"
    environment = {name: value for name, value in os.environ.items() if name[:3] != "TF_"}
    options = {"capture_output": True, "text": True, "timeout": 300, "env": environment} | options
    return subprocess.run([sys.executable, "-c", code, *words], **options)


@pytest.mark.parametrize(
    "words, message",
    [
        (["fti"], "Did you mean 'fit'? Received: fti"),
        (["prepare", "shard"], "Did you mean 'shards'? Received: shard"),
        (["fit", "--network", "x"], "has no option --network."),
        (["fit", "tests"], "does not take 'tests' here. Did you mean --data-root tests?"),
        (["fit", "--epoch", "3"], "has no option --epoch. Did you mean '--epochs'?"),
        (["fit", "--dataset", "k401"], "Did you mean 'k400'? Received: k401"),
        (["fit", "--dataset", "STHv2"], "Did you mean 'sthv2'? Received: STHv2"),
        (["fit", "--model", "SmallBigR5"], "Did you mean 'SmallBigR50'? Received: SmallBigR5"),
        (["fit", "--epochs", "many"], "--epochs: must be a whole number. Received: many"),
        (["fit", "--options", "{units: 3}"], "must be a JSON object. Received: {units: 3}"),
        (["fit", "--options", "[1]"], "must be a JSON object"),
        (["fit", "--short-side", "3"], "--short-side: expected 2 arguments"),
        (["fit"], "needs --dataset, --sample or --resume"),
        (
            ["fit", "--resume", "x", "--epochs", "3"],
            "that have moved, and --allow-versions. Received: --epochs",
        ),
        (["fit", "--sample", "--data-root", "x"], "leave out --data-root"),
        (["fit", "--sample", "--dataset", "k400"], "laid out as sthv2"),
        (["fit", "--config", "nowhere.json"], "No such file or directory"),
        (["predict", "a.mp4", "--weigths", "x"], "Did you mean '--weights'?"),
        (["predict", "a.mp4"], "required: --weights"),
        (["predict", "a.mp4", "--weights", "nowhere"], "nowhere, which is not there"),
        (["predict", "a.mp4", "--weights", "x", "--top", "0"], "--top must be at least 1"),
        (["predict", "a.mp4", "--weights", "x", "--layers", "res4"], "without --features"),
        (["predict", "a.mp4", "--weights", "x", "--features", "x.npy"], "a file .npz"),
        (["evaluate", "--weights", "nowhere"], "nowhere, which is not there"),
        (
            ["evaluate", "--weights", "x", "--crops", "2"],
            "`crops` of a clip are 1, 3 or 10",
        ),
        (["export", "--weights", "x", "--output", "x.onnx", "--precision", "int8"], "it is for"),
        (["export", "--weights", "x", "--output", "x.tflite", "--clips", "3"], "no effect here"),
        (["export", "--weights", "x", "--output", "x.tfilte"], "Did you mean '.tflite'?"),
        (["verify", "--weights", "x"], "required: ARTIFACT"),
        (["client", "a.mp4", "--model", "m"], "by --url or by --grpc"),
        (["client", "a.mp4", "--model", "m", "--url", "localhost"], "like http://host:8501"),
        (["models", "R5000"], "No network, weights or publisher has that"),
        (["publish", "nowhere", "--name", "k400"], "nowhere, which is not there"),
    ],
)
def test_an_error_of_the_user_is_one_line(words, message, capsys):
    with pytest.raises(SystemExit) as end:
        main(words)
    printed = capsys.readouterr()
    assert end.value.code == 2 and printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("error: ") and message in line, line


@pytest.mark.parametrize("name", NAMES)
def test_help_shows_every_option_with_its_default(name, capsys):
    with pytest.raises(SystemExit) as end:
        main([*name.split(), "--help"])
    assert end.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    _, module = make_parser(name)
    for fields in fields_by_group(module.Options).values():
        for field in fields:
            shown = field.metadata["metavar"] if field.metadata["positional"] else None
            assert (shown or f"--{field.name.replace('_', '-')}") in text
    options = [field for fields in fields_by_group(module.Options).values() for field in fields]
    optional = [field for field in options if not field.metadata["required"]]
    assert text.count("(default: ") == len(optional)


@pytest.mark.parametrize(
    "words",
    [
        ["fit", "--sample", "--output"],
        ["evaluate", "--weights", "run", "--output"],
        ["export", "--weights", "run", "--output"],
        ["predict", "a.mp4", "--weights", "run", "--features"],
        ["verify", "artifact", "--weights", "run", "--output"],
        ["publish", "run", "--name", "k400", "--out"],
        ["prepare", "sample", "--out"],
        ["prepare", "shards", "--dataset", "csv", "--data-root", "run", "--out"],
        ["prepare", "index", "--dataset", "csv", "--data-root", "run", "--index"],
    ],
)
def test_an_output_that_cannot_be_written_is_one_line(words, tmp_path, monkeypatch, capsys):
    """Before any work, whatever the command; nothing is made."""
    monkeypatch.chdir(tmp_path)
    config = dict.fromkeys(runs._NEEDED, 1) | {"dataset": "csv", "sampling": "segment"}
    runs.write_config("run", config | {"data_root": "run"})
    pathlib.Path("file").write_text("")
    for place in ("file/out", "/proc/out/x", "n" * 300):
        with pytest.raises(SystemExit) as end:
            main([*words, place])
        assert end.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "cannot be written" in line and place in line, line
    assert sorted(os.listdir()) == ["file", "run"] and os.listdir("run") == [runs.CONFIG]


def test_help_shows_defaults_by_dataset(capsys):
    with pytest.raises(SystemExit):
        main(["fit", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    own = "by the number of videos for frames, folder, csv"
    assert f"(default: 110; {own}; 50 for sthv1, sthv2)" in text
    assert "(default: SmallBigR50; SmallBigSlowOnlyR50 for sthv1, sthv2)" in text


@pytest.mark.parametrize("words", [["--help"], ["fit", "--help"], ["fit", "--dataset", "k401"]])
def test_help_and_misspelt_words_import_no_framework(words):
    code = (
        "import sys; from smallbig_keras.cli import main\n"
        f"try: main({words!r})\n"
        "except SystemExit: pass\n"
        "print([m for m in ('keras', 'tensorflow', 'cv2', 'jax') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.splitlines()[-1] == "[]", result.stderr


def test_tensorflow_starts_quietly(tmp_path):
    """No line but the message, although TensorFlow was imported and looked for devices."""
    result = smallbig("fit", "--dataset", "csv", "--data-root", ".", cwd=tmp_path)
    assert result.returncode == 2 and result.stdout == ""
    assert result.stderr.startswith("error: A dataset in csv files"), result.stderr
    assert "no train.csv in it" in result.stderr and "oneDNN" not in result.stderr


def test_a_missing_dataset_shows_the_layout_at_once(capsys):
    with pytest.raises(SystemExit) as end:
        main(["fit", "--dataset", "sthv2", "--data-root", "nowhere"])
    printed = capsys.readouterr().err
    assert end.value.code == 2
    assert "20bn-something-something-v2" in printed and "nowhere (there is no such" in printed


def test_errors_are_kept_that_follow_a_quiet_start(capfd):
    from smallbig_keras.machine import hidden_stderr

    with pytest.raises(ImportError), hidden_stderr():
        os.write(2, b"the reason\n")
        raise ImportError
    assert capfd.readouterr().err == "the reason\n"
    with hidden_stderr():
        os.write(2, b"a start-up line\n")
    assert capfd.readouterr().err == ""


class Command:
    """A command that raises."""

    NEEDS_TENSORFLOW = False

    def __init__(self, error):
        self.error = error

    def check(self, given):
        return given

    def run(self, args):
        raise self.error


@pytest.fixture
def raising(monkeypatch):
    def run(error):
        monkeypatch.setattr(cli, "_parse", lambda words: (Command(error), {}))
        return main([])

    return run


@pytest.mark.parametrize(
    "error, code, message",
    [
        (errors.SmallBigError("Wrong."), 2, "error: Wrong."),
        (errors.NotFoundError("Not there."), 2, "error: Not there."),
        (errors.ResourceError("The disk."), 1, "error: The disk."),
        (OSError(28, "No space left on device", "x"), 1, "No space left on device. Received: x"),
        (RuntimeError("... BadVideoError: a.mp4 is cut\n\n\t [[node]]"), 2, "error: a.mp4 is cut"),
        (RuntimeError("... ResourceError: a is gone\n\n\t [[node]]"), 1, "error: a is gone"),
        (KeyboardInterrupt("Resume with: smallbig fit --resume x"), 130, "--resume x"),
        (KeyboardInterrupt(), 130, "Interrupted."),
    ],
)
def test_exit_codes(error, code, message, raising, capsys):
    with pytest.raises(SystemExit) as end:
        raising(error)
    assert end.value.code == code
    assert message in capsys.readouterr().err


def test_an_interrupted_command_that_goes_on_says_so(monkeypatch, capsys):
    def interrupt(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(prepare.COMMANDS["index"], "run", interrupt)
    with pytest.raises(SystemExit):
        main(["prepare", "index", "--dataset", "csv", "--data-root", "."])
    printed = capsys.readouterr().err.splitlines()[-1]
    assert printed == "Interrupted. The same command continues."


def test_faults_of_the_package_keep_their_traceback(raising):
    with pytest.raises(ValueError, match="a fault"):
        raising(ValueError("a fault"))


def test_a_warning_is_printed_once(monkeypatch):
    """Also where a command reads its dataset twice, each time with filters of its own."""

    class Warning(Command):
        def run(self, args):
            return [warnings.formatwarning(text, UserWarning, "a.py", 1) for text in "aab"]

    monkeypatch.setattr(cli, "_parse", lambda words: (Warning(None), {}))
    assert main([]) == main([]) == ["warning: a\n", "", "warning: b\n"]


def test_an_interruption_leaves_the_process_alive(raising, monkeypatch):
    """A notebook's kernel is one; only the console ends its process."""
    monkeypatch.setattr(os, "_exit", lambda code: pytest.fail("the process was ended"))
    before = warnings.formatwarning
    with pytest.raises(SystemExit):
        raising(KeyboardInterrupt())
    assert warnings.formatwarning is before


def test_ctrl_c_ends_with_130():
    code = (
        "import signal, time\n"
        # A shell starts what runs in its background with the signal ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from smallbig_keras import cli\n"
        "class Command:\n"
        "    NEEDS_TENSORFLOW = False\n"
        "    def check(self, given): pass\n"
        "    def run(self, args):\n"
        "        print('started', flush=True)\n"
        "        time.sleep(60)\n"
        "cli._parse = lambda words: (Command(), {})\n"
        "cli.console()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "started\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, printed = process.communicate(timeout=30)
    assert process.returncode == 130 and printed.split() == ["Interrupted."]


def test_a_reader_that_has_enough_leaves_no_traceback():
    command = f"{sys.executable} -c 'from smallbig_keras.cli import console; console()'"
    result = subprocess.run(
        f"{command} models --markdown | head -c 1", shell=True, capture_output=True, text=True
    )
    assert result.stdout == "|" and result.stderr == ""


@pytest.mark.parametrize(
    "script, prefix",
    [
        *((f"training/{n}.py", n) for n in ("fit", "evaluate", "predict")),
        *((f"export/{n}.py", "export") for n in ("to_saved_model", "to_tflite", "to_onnx")),
        *((f"export/{n}.py", n) for n in ("verify", "client")),
    ],
)
def test_scripts_are_the_command(script, prefix):
    result = subprocess.run(
        [sys.executable, ROOT / script, "--help"], capture_output=True, text=True, cwd=ROOT
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"usage: smallbig {prefix}")
    assert len((ROOT / script).read_text().splitlines()) < 12


def test_older_flags_still_work():
    parser, _ = make_parser("fit")
    given = vars(parser.parse_args(["--l2", "0.1", "--mix", "mixup", "--sync-norm"]))
    assert given == {"weight_decay": 0.1, "mixup_mode": "mixup", "sync_bn": True}
    assert set(given) <= set(FitOptions.__dataclass_fields__)
