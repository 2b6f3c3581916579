"""Classes that a mirrored clip exchanges: left and right, clockwise and counterclockwise."""

import re
import unicodedata
from collections import defaultdict

from smallbig_keras.data.annotations.video import shorten
from smallbig_keras.errors import SmallBigError

# Words of a name: numbers, and letters up to the next capital. Of "LEFTturn" LEFT is a word, of
# "TVRight" TV.
_LOWER = r"[^\W\d_A-Z]"
_WORDS = re.compile(rf"\d+|(?:LEFT|RIGHT)(?={_LOWER})|[A-Z]+(?!{_LOWER})|[A-Z]?{_LOWER}+")
# Spellings that are one: the first word of a pair becomes the second.
_SPELLINGS = (
    (re.compile(r"\b(?:(?:counter|anti) ?clock ?wise|ccw)\b"), "counterclockwise"),
    (re.compile(r"\b(?:clock wise|cw)\b"), "clockwise"),
    # It is its own mirror image.
    (re.compile(r"\bright (and|or) left\b"), r"left \1 right"),
)
_ENDINGS = "(?=(?:wards?|hand|handed|most|side|bound)?\\b)"
_DIRECTION = re.compile(rf"\b(?:(?:left|right){_ENDINGS}|(?:counter)?clockwise\b)")
# At the ends of other words it is one only if there is a class of the mirror image: "swipeleft"
# is of the left and "upright" is not of the right.
_PART = re.compile(r"\b(?:left|right)|(?:left|right|(?:counter)?clockwise)\b")
# Here the words are no direction. Something-Something has "pulling it right out".
_IDIOM = re.compile(
    r"\b(?:all right|right (?:angle|away|now|out|side up)|left (?:alone|behind|over))\b"
)
_SIDE = re.compile("left|right", re.IGNORECASE)
_OPPOSITE = {"left": "right", "clockwise": "counterclockwise"}
_OPPOSITE |= {other: word for word, other in _OPPOSITE.items()}


def left_right_pairs(class_names):
    """Finds the classes that are each other's mirror image, by their names.

    The words are left, right, leftward, right-handed and others of this kind, clockwise and cw,
    counterclockwise, anticlockwise and ccw, in any case and with any separators:
    `SwipeLeft` and `swipe_right` are a pair.

    Args:
        class_names: list of str.

    Returns:
        list of `(name, name)`, in the order of `class_names`.

    Raises:
        SmallBigError: the mirror image of a class is no class, or may be several.

    Example:

    >>> left_right_pairs(["SwipeLeft", "SwipeRight", "bright"])
    [('SwipeLeft', 'SwipeRight')]
    """
    texts = {name: _read(name) for name in class_names}
    by_text = defaultdict(list)
    for name, text in texts.items():
        by_text[text.replace(" ", "")].append(name)
    candidates, alone = {}, []
    for name, text in texts.items():
        mirrored = _mirror(text)
        if mirrored == text:
            continue
        same, found = (by_text.get(key.replace(" ", ""), []) for key in (text, mirrored))
        if len(same) > 1 or len(found) > 1:
            found = [other for other in found if _spelled_alike(name, other)] or found
        if found:
            candidates[name] = found
        elif _DIRECTION.search(_IDIOM.sub("", text)):
            alone.append((name, _respell(name, mirrored)))
    if alone:
        name, missing = alone[0]
        raise SmallBigError(
            'flip="swap" needs the mirror image of each class of left or right, or clockwise, as a '
            f'class, for {name!r} a class {missing!r}: flip="none" (--flip none) mirrors no clip, '
            'flip="plain" (--flip plain) half of them, which keep their labels. '
            f"Received: {shorten([repr(name) for name, _ in alone])} without it"
        )
    partners = {name: found[0] for name, found in candidates.items() if len(found) == 1}
    partners = {a: b for a, b in partners.items() if partners.get(b) == a}
    unclear = [name for name in set(candidates) - set(partners) if _DIRECTION.search(texts[name])]
    if unclear:
        name = min(unclear)
        raise SmallBigError(
            'flip="swap" needs one class as the mirror image of another: name them apart by more '
            'than case and separators, or set flip to "none" or "plain" (--flip). '
            f"Received: {name!r} and {shorten([repr(other) for other in candidates[name]])}"
        )
    order = {name: i for i, name in enumerate(texts)}
    return [(a, b) for a, b in partners.items() if order[a] < order[b]]


def left_right_label_map(class_names):
    """Returns the class id of the mirrored clip for every class id, by `left_right_pairs`."""
    ids = {name: i for i, name in enumerate(class_names)}
    other = list(range(len(class_names)))
    for left, right in left_right_pairs(class_names):
        other[ids[left]], other[ids[right]] = ids[right], ids[left]
    return other


def _read(name):
    """The words of a name in small letters, each in one spelling."""
    text = " ".join(_WORDS.findall(unicodedata.normalize("NFC", name))).casefold()
    return _unify(text)


def _unify(text):
    for pattern, spelling in _SPELLINGS:
        text = pattern.sub(spelling, text)
    return text


def _mirror(text):
    pattern = _DIRECTION if _DIRECTION.search(text) else _PART
    return _unify(pattern.sub(lambda match: _OPPOSITE[match[0]], text))


def _spelled_alike(name, other):
    return other == _respell(name) or name == _respell(other)


def _respell(name, default=None):
    """Exchanges left and right in a name, in its own spelling; `default` where it has neither."""

    def exchange(match):
        other = _OPPOSITE[match[0].lower()]
        if match[0].isupper():
            return other.upper()
        return other.capitalize() if match[0][0].isupper() else other

    spelled = _SIDE.sub(exchange, name)
    return default if spelled == name and default else spelled
