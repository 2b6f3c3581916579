"""Rules for the fields of a spec."""

import dataclasses

from smallbig_keras.errors import SmallBigError


def check(spec, name, holds, rule):
    """Raises `SmallBigError` for a field that does not hold a rule."""
    if not holds:
        raise SmallBigError(f"`{name}` must be {rule}. Received: {name}={getattr(spec, name)!r}")


def check_counts(spec, *names):
    """Checks fields that are ints of at least 1."""
    for name in names:
        check(spec, name, are_counts((getattr(spec, name),), 1), "an int of at least 1")


def check_rate(spec, name):
    """Checks a field that is a share below 1."""
    rate = getattr(spec, name)
    is_rate = isinstance(rate, int | float) and not isinstance(rate, bool) and 0 <= rate < 1
    check(spec, name, is_rate, "a number of at least 0 and below 1")


def freeze_tuples(spec):
    """Makes tuples of lists, in all fields whose default is a tuple; anything else is refused."""
    for field in dataclasses.fields(spec):
        if isinstance(field.default, tuple):
            value = getattr(spec, field.name)
            check(spec, field.name, isinstance(value, tuple | list), "a tuple")
            object.__setattr__(spec, field.name, tuple(value))


def is_int(value):
    """Tells whether a value is an int, and no bool."""
    return isinstance(value, int) and not isinstance(value, bool)


def are_counts(values, length):
    """Tells whether values are `length` ints of at least 1."""
    return len(values) == length and all(is_int(n) and n > 0 for n in values)


def is_subset(values, allowed):
    """Tells whether values are ints among those allowed, each once."""
    return all(is_int(n) and n in allowed for n in values) and len(set(values)) == len(values)


def is_pattern(value):
    """Tells whether a value is a sequence of zeros and ones."""
    return (
        isinstance(value, tuple | list) and value and all(is_int(n) and n in (0, 1) for n in value)
    )
