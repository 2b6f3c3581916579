"""Pairs of classes that a mirrored clip exchanges, by their names."""

import re
import subprocess
import sys

import pytest

from smallbig_keras import class_names
from smallbig_keras.data.mirroring import left_right_label_map, left_right_pairs
from smallbig_keras.errors import SmallBigError


@pytest.mark.parametrize(
    "one, other",
    [
        ("Swiping Left", "Swiping Right"),
        ("turn_left", "turn_right"),
        ("turn-left", "turn-right"),
        ("SwipeLeft", "SwipeRight"),
        ("swipeLeftFast", "swipeRightFast"),
        ("swipeleft", "swiperight"),
        ("pushing (left)", "pushing (right)"),
        ("LEFT_HAND", "RIGHT_HAND"),
        ("LEFTturn", "RIGHTturn"),
        ("lefthanded", "righthanded"),
        ("Left-Right Swipe", "Right-Left Swipe"),
        ("from left to right", "from right to left"),
        ("moving leftwards", "moving rightwards"),
        ("leftward", "rightward"),
        ("to_the_left", "to_the_right"),
        ("left 12", "right 12"),
        ("bright LEFT", "bright RIGHT"),
        # Each in a spelling of its own.
        ("SwipeLeft", "swipe_right"),
        ("swipeleft", "Swipe Right"),
        ("rotate clockwise", "rotate counterclockwise"),
        ("Rotate_Clockwise", "Rotate_Counter-Clockwise"),
        ("rotateClockwise", "rotate anti_clockwise"),
        ("clockwise", "anticlockwise"),
        ("knob CW", "knob CCW"),
        ("cw", "counter clockwise"),
    ],
)
def test_spellings(one, other):
    """In a list with others, in both orders."""
    names = ["upright", one, "nod", other]
    assert left_right_pairs(names) == [(one, other)]
    assert left_right_label_map(names) == [0, 3, 2, 1]
    assert left_right_pairs(names[::-1]) == [(other, one)]


@pytest.mark.parametrize(
    "names",
    [
        ["bright", "upright", "copyright", "leftover", "clockwork", "hacw"],
        ["all right", "turning at a right angle", "left over rice"],
        ["look left and right", "a left or right turn"],
        [],
    ],
)
def test_names_without_a_direction_stay(names):
    assert left_right_pairs(names) == []
    assert left_right_label_map(names) == list(range(len(names)))


@pytest.mark.parametrize(
    "names, missing",
    [
        (["nod", "turn left"], "for 'turn left' a class 'turn right'"),
        (["Swipe-RIGHT", "swipe down"], "for 'Swipe-RIGHT' a class 'Swipe-LEFT'"),
        (["from left to right", "nod"], "a class 'from right to left'"),
        (["stir cw", "stir"], "for 'stir cw' a class 'stir counterclockwise'"),
        (["left 1", "right 2"], "for 'left 1' a class 'right 1'"),
    ],
)
def test_class_without_its_mirror_image(names, missing):
    fix = r'flip="none" \(--flip none\) mirrors no clip, flip="plain" \(--flip plain\)'
    with pytest.raises(SmallBigError, match=f'^flip="swap" needs .*{missing}: {fix}') as error:
        left_right_pairs(names)
    unpaired = [repr(name) for name in names if re.search("left|right|cw", name.lower())]
    assert str(error.value).endswith(f"Received: {', '.join(unpaired)} without it")


def test_several_mirror_images():
    """The one in the same spelling, else an error."""
    names = ["Turn Left", "turn left", "turn right", "Turn Right"]
    assert left_right_label_map(names) == [3, 2, 1, 0]
    assert left_right_pairs(["up left", "up right", "upright"]) == [("up left", "up right")]
    with pytest.raises(SmallBigError, match="Received: 'Turn Right' and 'turn-left'"):
        left_right_pairs(["turn-left", "turn right", "Turn Right"])
    both = r"""set flip to "none" or "plain" \(--flip\). Received: 'Turn Left' and 'turn right'"""
    with pytest.raises(SmallBigError, match=both):
        left_right_pairs(["Turn Left", "turn left", "turn right"])


@pytest.mark.parametrize(
    "dataset, expected",
    [
        ("sthv1", {(2, 4), (30, 41), (52, 66)}),
        ("sthv2", {(86, 87), (93, 94), (166, 167)}),
        ("k400", set()),
        ("ucf101", set()),
        ("hmdb51", set()),
    ],
)
def test_published_classes(dataset, expected):
    """Every class of left and right has its mirror image but one, which pulls "right out"."""
    names = class_names(dataset)
    mirrored = left_right_label_map(names)
    assert {(i, other) for i, other in enumerate(mirrored) if i < other} == expected
    assert [mirrored[other] for other in mirrored] == list(range(len(names)))


def test_no_framework_is_imported():
    script = (
        "import sys, smallbig_keras.data.mirroring\n"
        "print(sorted({'keras', 'tensorflow'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("[]\n", "")
