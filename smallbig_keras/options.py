"""Options that are declared once: fields of frozen dataclasses.

A field made by `option` has a type, a default and a sentence of help. Flags, `--config` files, a
run's `config.json` and the page of options in the documentation are read off the field. Argparse
does the parsing: tyro and jsonargparse have no defaults that depend on another option, which
recipes need, and report a misspelt flag on many lines.
"""

import argparse
import dataclasses
import json
import os
import shlex
import types
import typing

from smallbig_keras.errors import OptionError, SmallBigError, did_you_mean


def option(
    default,
    help,
    *,
    metavar=None,
    choices=None,
    aliases=(),
    shown=None,
    positional=False,
    required=False,
):
    """Declares an option, a field of a dataclass.

    Args:
        default: Its value where nobody gives one. `None` means that it is not set.
        help: str. A sentence without the default.
        metavar: str. What the value is. Defaults to `None`, the name in capitals.
        choices: sequence of str. Allowed values. Defaults to `None`, those of a `Literal` type.
        aliases: tuple of str. Older flags that mean the same. Defaults to `()`.
        shown: str. What help says of the default. Defaults to `None`, the default itself.
        positional: bool. Whether the value comes without a flag. Defaults to `False`.
        required: bool. Whether it must be given. Defaults to `False`.

    Returns:
        `dataclasses.Field`.
    """
    metadata = {
        "help": help,
        "metavar": metavar,
        "choices": choices,
        "aliases": aliases,
        "shown": shown,
        "positional": positional,
        "required": required,
    }
    if isinstance(default, dict | list):
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


_KINDS = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    dict: "a JSON object",
}


def flag(name):
    """Returns the flag of a field."""
    return "--" + name.replace("_", "-")


def fields_by_group(cls):
    """Returns the fields by the class that declares them, whose documentation is their title."""
    groups, seen = {}, set()
    for base in reversed(cls.__mro__):
        names = set(vars(base).get("__annotations__", {})) - seen
        # A field without help is no option: that of another base may be one.
        fields = dataclasses.fields(base) if names else ()
        fields = [field for field in fields if field.name in names and field.metadata]
        seen.update(field.name for field in fields)
        if fields:
            title = base.__doc__.partition("\n")[0].rstrip(".")
            groups.setdefault(title, []).extend(cls.__dataclass_fields__[f.name] for f in fields)
    return groups


def default_text(field, recipes=None):
    """Returns what help and documentation say of a default; recipes may give others by dataset."""
    if field.metadata["shown"] is not None:
        return field.metadata["shown"]
    default = field.default
    if default is dataclasses.MISSING:
        default = field.default_factory()
    values = {}
    for dataset, recipe in (recipes or {}).items():
        values.setdefault(value_text(recipe.get(field.name, default)), []).append(dataset)
    if not values:
        return value_text(default)
    # The commonest first, and by name the datasets that have another one.
    (common, _), *others = sorted(values.items(), key=lambda item: -len(item[1]))
    return "; ".join([common, *(f"{text} for {', '.join(names)}" for text, names in others)])


def value_text(value):
    """Returns a value as a user writes it."""
    if isinstance(value, tuple | list):
        return " ".join(map(str, value)) or "none"
    if isinstance(value, dict):
        return json.dumps(value)
    if value is None or isinstance(value, bool):
        return {None: "not set", True: "on", False: "off"}[value]
    return str(value)


def command_line(command, values):
    """Returns a command as a user types it, with the flags that give these options.

    Args:
        command: str. Its first words, such as `"smallbig fit"`.
        values: dict. Options by name. `None`, False and empty ones have no flag.

    Returns:
        str.
    """
    words = command.split()
    for name, value in values.items():
        if value is True:
            words.append(flag(name))
        elif value not in (None, False, (), []):
            several = isinstance(value, tuple | list)
            words += [flag(name), *(map(str, value) if several else [value_text(value)])]
    return shlex.join(words)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line with the nearest right word, and exit code 2."""

    def __init__(self, *args, **kwargs):
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(*args, allow_abbrev=False, **kwargs)

    def error(self, message):
        raise OptionError(message)

    def parse_args(self, args=None, namespace=None):
        # First of all: a misspelt flag would be reported as the lack of the right one.
        for word in args:
            name = word.partition("=")[0]
            if name == "--":
                break
            if name.startswith("--") and name not in self._option_string_actions:
                flags = [flag for flag in self._option_string_actions if flag.startswith("--")]
                raise OptionError(f"{self.prog} has no option {name}.{did_you_mean(name, flags)}")
        namespace, unknown = self.parse_known_args(args, namespace)
        if unknown:
            text, root = " ".join(unknown), "--data-root"
            is_root = root in self._option_string_actions and os.path.isdir(text)
            hint = f" Did you mean {root} {shlex.quote(text)}?" if is_root else ""
            raise OptionError(f"{self.prog} does not take {text!r} here.{hint}")
        return namespace


def add_flags(parser, cls, recipes=None):
    """Adds the options of a dataclass in groups; help shows the defaults of recipes by dataset."""
    hints = typing.get_type_hints(cls)
    for title, fields in fields_by_group(cls).items():
        group = parser.add_argument_group(title)
        for field in fields:
            settings = _settings(field, hints[field.name])
            text = field.metadata["help"]
            required = field.metadata["required"]
            if not required:
                text += f" (default: {default_text(field, recipes)})"
            # argparse formats help with `%`.
            settings |= {"default": argparse.SUPPRESS, "help": text.replace("%", "%%")}
            if field.metadata["positional"]:
                group.add_argument(field.name, **settings)
            else:
                settings |= {"required": required}
                names = (flag(field.name), *field.metadata["aliases"])
                group.add_argument(*names, dest=field.name, **settings)


def _settings(field, hint):
    """The arguments of `add_argument` that follow from the type of a field."""
    metavar = field.metadata["metavar"]
    kind, length = _kind(hint)
    choices = field.metadata["choices"]
    if typing.get_origin(kind) is typing.Literal:
        kind, choices = str, typing.get_args(kind)
    if kind is bool:
        return {"action": argparse.BooleanOptionalAction}
    settings = {"type": _Reader(kind, choices)}
    if choices and metavar is None:
        metavar = "{" + ",".join(choices) + "}"
    if length is not None:
        settings["nargs"] = length if isinstance(length, int) else "+"
        if isinstance(metavar, str) and isinstance(length, int):
            metavar = tuple(metavar.split())
    elif field.metadata["positional"] and not field.metadata["required"]:
        settings["nargs"] = "?"
    return settings | {"metavar": metavar or field.name.upper()}


def _kind(hint):
    """The type of one value, and how many there are: `None`, a number or `"+"`."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        (hint,) = [arg for arg in typing.get_args(hint) if arg is not type(None)]
    if typing.get_origin(hint) is tuple:
        kind, *rest = typing.get_args(hint)
        return kind, "+" if rest == [Ellipsis] else 1 + len(rest)
    return hint, None


class _Reader:
    """Reads one word of the command line; errors name the rule and the nearest right word."""

    def __init__(self, kind, choices):
        self.kind = kind
        self.choices = choices

    def __call__(self, text):
        try:
            value = json.loads(text) if self.kind is dict else self.kind(text)
        except ValueError:
            value = None
        if not isinstance(value, self.kind):
            raise argparse.ArgumentTypeError(f"must be {_KINDS[self.kind]}. Received: {text}")
        if self.choices and value not in self.choices:
            raise argparse.ArgumentTypeError(choice_error(value, self.choices))
        return value


def choice_error(value, choices):
    """Returns the end of an error about a word that is none of the choices."""
    return (
        f"must be one of {', '.join(map(str, choices))}.{did_you_mean(value, choices)} "
        f"Received: {value}"
    )


def read_file(path, cls, facts=(), update=dict):
    """Reads options by name from a JSON file, such as a run's `config.json`.

    `facts` are keys that are no options; `update` turns the keys of older files into today's.
    """
    try:
        with open(path, encoding="utf-8") as file:
            given = json.load(file)
    except OSError as error:
        raise SmallBigError(
            f"--config must be a JSON file of options ({error.strerror}). Received: {path}"
        ) from None
    except ValueError as error:
        raise SmallBigError(
            f"--config must be a JSON file of options ({error}). Received: {path}"
        ) from None
    if not isinstance(given, dict):
        raise SmallBigError(f"--config must hold a JSON object of options. Received: {path}")
    given = {k: v for k, v in update(given).items() if k not in facts and v is not None}
    check_values(given, cls, path)
    return {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}


def check_values(given, cls, path):
    """Checks names and types of options from a file."""
    hints = typing.get_type_hints(cls)
    by_name = {field.name: field for field in dataclasses.fields(cls)}
    for name, value in given.items():
        if name not in by_name:
            raise OptionError(
                f"{path} has no option of that name.{did_you_mean(name, by_name)} Received: {name}"
            )
        kind, length = _kind(hints[name])
        choices = by_name[name].metadata["choices"]
        if typing.get_origin(kind) is typing.Literal:
            kind, choices = str, typing.get_args(kind)
        values = value if length is not None else [value]
        # Whole numbers are numbers; True is none.
        kinds = (int, float) if kind is float else (kind,)
        right = isinstance(values, list | tuple) and all(
            isinstance(one, kinds) and (kind is bool or not isinstance(one, bool)) for one in values
        )
        if not right or (isinstance(length, int) and len(values) != length):
            many = {None: "", "+": "a list, each "}.get(length, f"a list of {length}, each ")
            raise SmallBigError(
                f"{path}: {name} must be {many}{_KINDS[kind]}. Received: {json.dumps(value)}"
            )
        wrong = [one for one in values if choices and one not in choices]
        if wrong:
            raise SmallBigError(f"{path}: {name} {choice_error(wrong[0], choices)}")
