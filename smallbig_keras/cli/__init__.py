"""The command `smallbig`: a small module a command.

`main` runs a command in this process, also in a notebook; `console` is what the installed command
and the scripts in `training/` and `export/` call.
"""

import contextlib
import importlib
import os
import re
import sys
import warnings

from smallbig_keras.errors import (
    OptionError,
    ResourceError,
    SmallBigError,
    Terminated,
    did_you_mean,
)
from smallbig_keras.files import disk_error
from smallbig_keras.machine import quiet_tensorflow
from smallbig_keras.options import Parser, add_flags

# A command is a module of its name: `Options`, a dataclass; `check`, from the options given to the
# arguments of `run`, before TensorFlow is imported; and `run`.
COMMANDS = {
    "fit": "train a network on a dataset",
    "evaluate": "measure a run by the test protocols of the paper",
    "predict": "name what happens in videos",
    "prepare": "index, shard or check a dataset, or make the sample set",
    "export": "write a SavedModel, TFLite or ONNX artifact",
    "verify": "compare artifacts with the Keras model on real clips",
    "publish": "write the weights of a run for others",
    "models": "list networks and weights",
    "client": "ask a TensorFlow Serving server",
}
# Shells report this code of a process that Ctrl-C ended.
INTERRUPTED = 130
# And this one of a process that SIGTERM ended.
TERMINATED = 143
# TensorFlow puts words of its own around an error of the loader.
_IN_GRAPH = re.compile(r"(BadVideo|Resource)Error: (.*?)(?=\nTraceback|\n\n\t|\Z)", re.DOTALL)


class CommandExit(SystemExit):
    """The end of a command: its message is printed, its `code` is the exit code."""

    def __init__(self, message, code):
        super().__init__(message)
        self.code = code


def main(arguments=None):
    """Runs a command.

    Args:
        arguments: list of str. The command and its options. Defaults to `None`, those of the
            process.

    Returns:
        The result of the command: for `fit` the best row of the log, for `evaluate` the measured
        accuracies.

    Raises:
        SystemExit: after a message, with code 2 for an error in what the user gave, 1 for
            what failed, 130 for an interruption, 143 for a training that SIGTERM ended; or with 0
            after `--help`.
    """
    with _readable_errors():
        words = list(sys.argv[1:] if arguments is None else arguments)
        command, given = _parse(words)
        args = command.check(given)
        if getattr(command, "NEEDS_TENSORFLOW", True):
            quiet_tensorflow()
        try:
            return command.run(args)
        except KeyboardInterrupt as error:
            raise type(error)(*error.args or [getattr(command, "CONTINUE", "")]) from None


def console(arguments=None):
    """Runs a command as the whole of this process."""
    code = 0
    try:
        main(arguments)
    except CommandExit as end:
        code = end.code
    except BrokenPipeError:
        # Nobody reads the output any more, as in `smallbig models | head -1`.
        code = 1
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
    sys.stderr.flush()
    if code:
        # Threads that decode would abort a process that ends in any other way.
        os._exit(code)


def script(*prefix):
    """Returns the `main` of a script, which stands for a command with its first words."""

    def run(arguments=None):
        if arguments is None:
            return console([*prefix, *sys.argv[1:]])
        return main([*prefix, *arguments])

    return run


def make_parser(name):
    """Returns the parser of a command, whose name may have two words, with its module."""
    name, *rest = name.split()
    module = importlib.import_module(f"smallbig_keras.cli.{name}")
    commands = getattr(module, "COMMANDS", None)
    if commands is None:
        part, options, documentation = module, module.Options, module.__doc__
    else:
        part = commands[rest[0]]
        options, documentation = part.Options, part.__doc__
    prog = " ".join(["smallbig", name, *rest])
    parser = Parser(prog=prog, usage=_usage(prog, options), description=documentation)
    recipes = getattr(module, "recipes", None)
    add_flags(parser, options, recipes and recipes())
    return parser, part


def _usage(prog, options):
    fields = getattr(options, "__dataclass_fields__", {}).values()
    positional = [field.metadata["metavar"] for field in fields if field.metadata.get("positional")]
    return " ".join([prog, *positional, "[OPTIONS]"]).replace("%", "%%")


def _parse(words):
    """Returns the module of a command, or its part, and the options given."""
    if not words or words[0] in ("-h", "--help"):
        raise CommandExit(_help(), 0 if words else 2)
    if words[0] == "--version":
        from smallbig_keras.version import __version__

        raise CommandExit(f"smallbig-keras {__version__}", 0)
    name = _choose(words.pop(0), COMMANDS, "smallbig")
    commands = getattr(importlib.import_module(f"smallbig_keras.cli.{name}"), "COMMANDS", None)
    if commands:
        if not words or words[0] in ("-h", "--help"):
            lines = [f"  {key:8} {part.__doc__.splitlines()[0]}" for key, part in commands.items()]
            text = f"usage: smallbig {name} COMMAND [OPTIONS]\n\n" + "\n".join(lines)
            raise CommandExit(text, 0 if words else 2)
        name = f"{name} {_choose(words.pop(0), commands, f'smallbig {name}')}"
    parser, module = make_parser(name)
    given = vars(parser.parse_args(words))
    return module, {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}


def _choose(word, commands, prog):
    if word not in commands:
        raise OptionError(
            f"{prog} has the commands {', '.join(commands)}.{did_you_mean(word, commands)} "
            f"Received: {word}"
        )
    return word


def _help():
    lines = [f"  {name:9} {summary}" for name, summary in COMMANDS.items()]
    return (
        "usage: smallbig COMMAND [OPTIONS]\n\n"
        + "\n".join(lines)
        + "\n\nsmallbig COMMAND --help lists the options of a command with their defaults."
    )


@contextlib.contextmanager
def _readable_errors():
    """Prints an error in what the user gave, or of the machine, without a traceback.

    Any other error is a fault of this package and keeps its traceback.
    """
    format_warning, shown = warnings.formatwarning, set()

    def once(message, *_, **__):
        # A command may read its dataset more than once.
        text = f"warning: {message}\n"
        new = text not in shown
        shown.add(text)
        return text if new else ""

    warnings.formatwarning = once
    try:
        yield
    except CommandExit as end:
        print(end, file=sys.stderr if end.code else sys.stdout)
        raise
    except KeyboardInterrupt as error:
        code = TERMINATED if isinstance(error, Terminated) else INTERRUPTED
        raise _end(f"\nInterrupted. {error}".rstrip(), code) from None
    except SmallBigError as error:
        raise _end(f"error: {error}", error.exit_code) from error
    except Exception as error:
        message = _IN_GRAPH.search(str(error))
        reason = disk_error(error)
        if message:
            kind = ResourceError if message[1] == "Resource" else SmallBigError
            raise _end(f"error: {message[2]}", kind.exit_code) from error
        if reason and isinstance(error, OSError):
            name = f" Received: {error.filename}" if error.filename else ""
            raise _end(f"error: {reason}.{name}", 1) from error
        raise
    finally:
        warnings.formatwarning = format_warning


def _end(message, code):
    print(message, file=sys.stderr, flush=True)
    return CommandExit(message, code)
