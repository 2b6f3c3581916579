"""Makes six small sets of labelled clips from footage, and a larger one to start from.

    python -m benchmarks.small_sets --footage DIR --out SETS

DIR has `train/` and `val/` with videos and photographs of any kind; no file may be in both, so that
a set's validation shows nothing that its training has shown. A virtual camera films each
clip: in sets of motion its path is the class and everything else is chance, in sets of
appearance the picture is the class and the path is chance.

SETS/NAME/train/CLASS and SETS/NAME/val/CLASS have 40 and 20 clips a class, VP9, 160 x 120,
24 to 30 frames; `other`, a set to train a source on, has 150 and 20.
"""

import argparse
import pathlib
from concurrent.futures import ThreadPoolExecutor

import av
import cv2
import numpy as np

from smallbig_keras.data.annotations.listing import is_video
from smallbig_keras.data.decoding import iterate_frames
from smallbig_keras.machine import num_processors

WIDTH, HEIGHT, RATE = 160, 120, 12
COUNTS = {"train": 40, "val": 20}
_PICTURES = (".png", ".jpg", ".jpeg")
# Longest side of the footage in memory, frames of a video at most, and mean change in grey levels
# between two frames that is a cut.
_SIDE, _FRAMES, _CUT = 480, 300, 25.0
# Frames of a shot from one picture to the next.
_STILL = 100
# Least difference in grey levels of neighbours in a clip, along both axes together.
_STRUCTURE = 16.0


def still(rng):
    """The camera of a clip whose class is another thing: hand-held, drifting a little."""
    angle = rng.uniform(0, 2 * np.pi)
    speed = rng.uniform(0, 0.25)
    return {"move": (speed * np.cos(angle), speed * np.sin(angle))}


def moving(x=0.0, y=0.0, zoom=0.0, turn=0.0, shake=0.0, beats=0):
    """A camera that moves by parts of the window, zooms and turns, once or to and fro."""

    def camera(rng):
        speed = rng.uniform(0.4, 0.8)
        return {
            "move": (x * speed, y * speed),
            "zoom": zoom * rng.uniform(0.45, 0.8),
            "turn": turn * rng.uniform(0.4, 0.9),
            "shake": shake * rng.uniform(0.08, 0.15),
            "beats": beats,
        }

    return camera


def plain(picture, rng):
    """The picture as it was filmed."""
    return picture


def tinted(colour, low, high):
    """A picture of another light: a tint, and a range of brightness."""

    def look(picture, rng):
        light = picture.astype(np.float32) * np.array(colour, np.float32)
        return np.clip(light * (high - low) + 255 * low, 0, 255).astype(np.uint8)

    return look


def letterbox(picture, rng):
    """A wide picture between two bars."""
    bar = HEIGHT // 4
    return np.pad(picture[bar : HEIGHT - bar], ((bar, bar), (0, 0), (0, 0)))


def portrait(picture, rng):
    """A high picture between two bars, as phones show what was filmed upright."""
    bar = WIDTH * 3 // 8
    return np.pad(picture[:, bar : WIDTH - bar], ((0, 0), (bar, bar), (0, 0)))


def spotlight(picture, rng):
    """A picture that is dark outside a circle."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    radius = HEIGHT * 0.38
    inside = np.hypot(y - HEIGHT / 2, x - WIDTH / 2) < radius
    return np.where(inside[:, :, None], picture, picture // 6)


# Set: footage, and for each class the camera and the look.
SETS = {
    "slide": (
        "pictures",
        {
            "Slide Left": (moving(x=-1), plain),
            "Slide Right": (moving(x=1), plain),
            "Hold": (moving(), plain),
        },
    ),
    "spin": (
        "pictures",
        {
            "turn_clockwise": (moving(turn=1), plain),
            "turn_counterclockwise": (moving(turn=-1), plain),
            "zoom_in": (moving(zoom=1), plain),
            "zoom_out": (moving(zoom=-1), plain),
        },
    ),
    "drift": (
        "pictures",
        {
            "up and left": (moving(x=-1, y=-1), plain),
            "up and right": (moving(x=1, y=-1), plain),
            "down and left": (moving(x=-1, y=1), plain),
            "down and right": (moving(x=1, y=1), plain),
            "nearer": (moving(zoom=1), plain),
            "farther": (moving(zoom=-1), plain),
        },
    ),
    "hand": (
        "pictures",
        {
            "steady": (moving(), plain),
            "shaking": (moving(shake=1), plain),
            "gliding": (moving(x=1), plain),
        },
    ),
    "light": (
        "footage",
        {
            "day": (still, plain),
            "dusk": (still, tinted((0.95, 0.6, 0.45), 0.0, 0.8)),
            "night": (still, tinted((0.5, 0.65, 1.0), 0.0, 0.35)),
            "fog": (still, tinted((1.0, 1.0, 1.0), 0.55, 0.9)),
        },
    ),
    "frame": (
        "footage",
        {
            "full": (still, plain),
            "letterbox": (still, letterbox),
            "portrait": (still, portrait),
            "spotlight": (still, spotlight),
        },
    ),
}
# A source that knows no class of the others: a camera that moves to and fro.
SOURCE = {
    "other": (
        "pictures",
        {
            "swaying": (moving(x=1, beats=2), plain),
            "bouncing": (moving(y=1, beats=2), plain),
            "pulsing": (moving(zoom=1, beats=2), plain),
            "twisting": (moving(turn=1, beats=2), plain),
        },
    ),
}


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--footage", required=True, type=pathlib.Path)
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=[*SETS, *SOURCE])
    args = parser.parse_args(arguments)
    make_sets(args.footage, args.out, args.sets)


def make_sets(footage, out, names=tuple(SETS)):
    """Writes sets of clips; the same footage gives the same clips."""
    for split, count in COUNTS.items():
        shots = []
        for file in sorted((footage / split).iterdir()):
            if is_video(file.name) or file.suffix.lower() in _PICTURES:
                shots += _shots(file)
        # Camera motion of the videos themselves would be in the way of classes of motion.
        pictures = [frame[None] for shot in shots for frame in shot[::_STILL]]
        kinds = {"footage": shots, "pictures": pictures}
        for name in names:
            kind, classes = (SETS | SOURCE)[name]
            wanted = 150 if name in SOURCE and split == "train" else count
            jobs = [(label, number) for label in classes for number in range(wanted)]

            def make(job, name=name, split=split, classes=classes, shots=kinds[kind]):
                label, number = job
                path = out / name / split / label / f"{number:02d}.webm"
                path.parent.mkdir(parents=True, exist_ok=True)
                rng = np.random.default_rng([*f"{name} {split} {label} {number}".encode()])
                camera, look = classes[label]
                pictures = _film(shots, camera(rng), rng)
                _encode(path, (look(picture, rng) for picture in pictures))

            with ThreadPoolExecutor(num_processors()) as pool:
                list(pool.map(make, jobs))
            source = f"{len(kinds[kind])} {kind}"
            print(f"{name}/{split}: {len(jobs)} clips of {len(classes)} classes from {source}")


def _shots(file):
    """The shots of a video, each `(frames, height, width, 3)`; of a photograph one frame."""
    if not is_video(file.name):
        return [_shrink(cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB))[None]]
    shots, shot, last = [], [], None
    for number, frame in enumerate(iterate_frames(file)):
        if number == _FRAMES:
            break
        frame = _shrink(frame)
        small = cv2.resize(frame, (64, 36), interpolation=cv2.INTER_AREA).mean(axis=2)
        if last is not None and np.abs(small - last).mean() > _CUT:
            shots.append(shot)
            shot = []
        shot.append(frame)
        last = small
    return [np.stack(shot) for shot in [*shots, shot] if len(shot) >= RATE]


def _shrink(picture):
    scale = _SIDE / max(picture.shape[:2])
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    return cv2.resize(
        picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    )


def _film(shots, camera, rng):
    """Returns the pictures of a clip, `(120, 160, 3)` uint8 RGB."""
    while True:
        pictures = list(_take(shots[rng.integers(len(shots))], camera, rng))
        # A white wall shows no motion.
        if min(_structure(pictures[0]), _structure(pictures[-1])) > _STRUCTURE:
            return pictures


def _structure(picture):
    """Returns the mean difference in grey levels of neighbours, in the size that networks see."""
    small = cv2.resize(picture, (64, 48), interpolation=cv2.INTER_AREA).mean(axis=2)
    return np.abs(np.diff(small, axis=0)).mean() + np.abs(np.diff(small, axis=1)).mean()


def _take(footage, camera, rng):
    """Yields the pictures of one path of the camera."""
    length = int(rng.integers(24, 31))
    span = min(rng.uniform(0.5, 1.5) * (length - 1), len(footage) - 1)
    times = rng.uniform(0, len(footage) - 1 - span) + np.linspace(0, span, length)
    mirrored = rng.random() < 0.5
    gain, offset = rng.uniform(0.8, 1.2), rng.uniform(-15, 15)
    height, width = footage.shape[1:3]
    # From 0 to 1 and centred, faster or slower at the ends than in the middle.
    time = np.linspace(0, 1, length)
    travel = time + rng.uniform(-0.6, 0.6) * np.sin(2 * np.pi * time) / (2 * np.pi) - 0.5
    if camera.get("beats"):
        beats = camera["beats"] * rng.uniform(0.8, 1.2)
        travel = np.sin(2 * np.pi * (beats * time + rng.random())) / 2
    move_x, move_y = camera.get("move", (0, 0))
    zoom, turn = camera.get("zoom", 0), camera.get("turn", 0)
    # The window, in pixels of the footage, has room for its path.
    side = min(height, width * HEIGHT / WIDTH) * rng.uniform(0.42, 0.55)
    sides = side * np.exp(-zoom * travel)
    ratio = WIDTH / HEIGHT
    jitter = rng.normal(0, 0.004 + camera.get("shake", 0), (length, 2))
    steps = np.array([move_x * ratio * side, move_y * side])
    reach = np.abs(steps) / 2 + side / 2 * np.array([ratio, 1])
    low, high = reach, np.array([width, height]) - reach
    centre = np.where(low < high, rng.uniform(np.minimum(low, high), np.maximum(low, high)), 0)
    centre = np.where(low < high, centre, np.array([width, height]) / 2)
    for i in range(length):
        x, y = centre + steps * travel[i] + jitter[i] * sides[i]
        scale, angle = sides[i] / HEIGHT, turn * travel[i]
        cos, sin = scale * np.cos(angle), scale * np.sin(angle)
        window = np.array([[cos, -sin, 0], [sin, cos, 0]])
        window[:, 2] = (x, y) - window[:, :2] @ (WIDTH / 2, HEIGHT / 2)
        frame = footage[int(round(times[i]))]
        # The footage is mirrored, not the path of the camera.
        frame = frame[:, ::-1] if mirrored else frame
        picture = cv2.warpAffine(
            np.ascontiguousarray(frame),
            window,
            (WIDTH, HEIGHT),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT,
        )
        yield np.clip(picture * gain + offset, 0, 255).astype(np.uint8)


def _encode(path, pictures):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx-vp9", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.thread_count = 1
        stream.options = {"deadline": "realtime", "cpu-used": "8", "crf": "34", "b": "0"}
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


if __name__ == "__main__":
    main()
