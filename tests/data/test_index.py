import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from smallbig_keras.data import (
    AnnotationWarning,
    UnreadableVideos,
    Video,
    VideoSource,
    clip_dataset,
    index as module,
    make_index,
    read_index,
)
from smallbig_keras.data.decoding import read_with_times
from smallbig_keras.data.index import file_stamp
from tests.data.videos import HEIGHT, WIDTH, write_frames, write_video

TEMPLATE = "img_{:05d}.jpg"


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for i in range(5):
        write_video(folder / f"{i}.mp4", 20 + i, "libx264")
    return folder


@pytest.fixture
def root(originals, tmp_path):
    return Path(shutil.copytree(originals, tmp_path / "root"))


@pytest.fixture
def videos(root):
    return [Video(str(root / f"{i}.mp4"), i, str(i)) for i in (3, 0, 4, 1, 2)]


@pytest.fixture
def probed(monkeypatch):
    """Names of the files that are decoded."""
    names = []

    def probe(path):
        names.append(os.path.basename(path))
        return original(path)

    original = module.probe_video
    monkeypatch.setattr(module, "probe_video", probe)
    return names


def test_lines(root, videos, tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"bad")
    os.mkfifo(root / "fifo.mp4")
    write_frames(root / "frames", 7)
    (root / "empty").mkdir()
    others = [
        Video(str(tmp_path / "bad.mp4"), 0, "bad"),
        Video(str(root / "fifo.mp4"), 0, "fifo"),
        Video(str(root / "missing.mp4"), 0, "missing"),
        Video(os.fsdecode(bytes(root / "caf") + b"\xe9.mp4"), 0, "another code"),
        Video(str(root / "frames"), 0, "frames", None, TEMPLATE),
        Video(str(root / "empty"), 0, "empty", None, TEMPLATE),
    ]
    shutil.copy(root / "0.mp4", others[3].path)
    seen = []
    path = root / "index.jsonl"
    infos = make_index([*videos, *others], path, 2, lambda *counts: seen.append(counts))
    assert seen == [(i + 1, 11) for i in range(11)]
    lines = [json.loads(line) for line in path.read_text("ascii").splitlines()]
    # In the order of the list; below the folder of the index a path begins there.
    expected = [f"{i}.mp4" for i in (3, 0, 4, 1, 2)]
    expected += [str(tmp_path / "bad.mp4"), "fifo.mp4", "missing.mp4", "caf\udce9.mp4"]
    assert [line["path"] for line in lines] == [*expected, "frames", "empty"]
    for line, count in zip(lines[:5], (23, 20, 24, 21, 22), strict=True):
        file = root / line.pop("path")
        status = file.stat()
        assert line == {
            **{"bytes": status.st_size, "mtime": status.st_mtime_ns, "num_frames": count},
            **{"width": WIDTH, "height": HEIGHT, "error": None},
            "digest": file_stamp(file).digest,
            "times": read_with_times(file, lambda _: [0])[1].to_list(),
        }
        assert len(line["times"][1]) < 60
    reasons = ["not a video", "not a regular file", "No such file", "not UTF-8", None, "no frame"]
    for line, reason in zip(lines[5:], reasons, strict=True):
        assert (reason in line["error"]) if reason else line["error"] is None
    assert (lines[9]["num_frames"], lines[9]["width"], lines[9]["height"]) == (7, WIDTH, HEIGHT)
    assert read_index(path) == infos and list(infos) == [v.path for v in (*videos, *others)]


def test_killed_at_any_byte(root, videos, probed):
    path = root / "index.jsonl"
    make_index(videos, path)
    whole = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    for cut in (0, 1, 12, ends[0] - 1, ends[0], ends[2] + 30, ends[4] - 2):
        path.write_bytes(whole[:cut])
        assert len(read_index(path)) == sum(end <= cut for end in ends)
        probed.clear()
        make_index(videos, path, 2)
        assert path.read_bytes() == whole
        assert len(probed) == sum(end > cut for end in ends)


def test_changed_files_are_decoded_again(root, videos, probed, monkeypatch):
    path = root / "index.jsonl"
    make_index(videos, path)
    before = path.read_bytes()
    make_index(videos[:2], path)
    assert path.read_bytes() == before
    probed.clear()
    shutil.copy(root / "0.mp4", root / "4.mp4")
    os.utime(root / "3.mp4")
    (root / "1.mp4").unlink()
    assert [f.num_frames for f in make_index(videos, path).values()] == [23, 20, 20, 0, 22]
    assert sorted(probed) == ["1.mp4", "3.mp4", "4.mp4"]
    # The folder with all in it, under another name and seen from another place.
    moved = root.rename(root.with_name("moved"))
    monkeypatch.chdir(moved)
    assert [Path(p).parent for p in read_index("index.jsonl")] == [moved] * 5
    probed.clear()
    make_index([Video(video.id + ".mp4", 0, video.id) for video in videos], "index.jsonl")
    assert probed == []


@pytest.mark.parametrize("change", ["time", "head", "tail", "size"])
def test_a_file_that_changed_in_any_way(root, videos, change):
    """Of the same size and time it differs at its ends, of the same content by its time."""
    infos = make_index(videos, root / "index.jsonl")
    path = Path(videos[0].path)
    before, data = path.stat(), bytearray(path.read_bytes())
    if change == "size":
        data += b"free"
    elif change != "time":
        data[{"head": 9, "tail": -9}[change]] ^= 1
    path.write_bytes(data)
    if change != "time":
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    source = VideoSource(videos, infos)
    with pytest.warns(AnnotationWarning, match="Videos that changed since they were indexed"):
        assert source.info_of(videos[0]) is None
    assert source.info_of(videos[1]) == infos[videos[1].path]
    if change == "tail":
        # The frames are the same, the stamp is not.
        assert (
            make_index(videos, root / "index.jsonl")[videos[0].path].stamp
            != infos[videos[0].path].stamp
        )


def test_an_index_of_version_0_1_0_is_made_again(root, videos, probed):
    path = root / "index.jsonl"
    make_index(videos, path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        del line["times"], line["digest"]
        line["exact_seek"] = True
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_index(path) == {}
    probed.clear()
    assert len(make_index(videos, path)) == len(probed) == 5
    assert len(read_index(path)) == 5


def test_the_info_of_another_file_is_not_used(root, videos):
    make_index(videos, root / "index.jsonl")
    infos = read_index(root / "index.jsonl")
    source = VideoSource(videos, infos)
    assert all(source.info_of(video) == infos[video.path] for video in videos)
    assert source.ids == ["3", "0", "4", "1", "2"] and source.labels == [3, 0, 4, 1, 2]
    shutil.copy(root / "4.mp4", root / "0.mp4")
    (root / "1.mp4").write_bytes(b"bad")
    with pytest.warns(AnnotationWarning, match="0.mp4") as caught:
        assert source.info_of(videos[1]) is None
        assert source.info_of(videos[3]) is None
    assert len(caught) == 1
    options = dict(frames=4, size=64, batch_size=1, training=False, normalize=False)
    unreadable = UnreadableVideos("skip")
    clips = clip_dataset(source, unreadable=unreadable, **options)
    for (clip, label), i in zip(clips, (3, 0, 4, 2), strict=True):
        expected = Video(str(root / f"{i}.mp4"), i, "")
        ((other, _),) = clip_dataset([expected], **options)
        assert label == i
        np.testing.assert_array_equal(clip, other)
    assert unreadable.num_files == 1


@pytest.mark.parametrize("content", [b"id;label\n1;a\n", b"no line", b'{"path": "a"}\n', b"[]\n"])
def test_another_file_is_left_alone(videos, tmp_path, content):
    path = tmp_path / "other"
    path.write_bytes(content)
    for use in (lambda: make_index(videos, path), lambda: read_index(path)):
        with pytest.raises(ValueError, match=rf"{path}.* must be .* Received: "):
            use()
        assert path.read_bytes() == content


def test_paths_that_hold_no_index(videos, tmp_path):
    with pytest.raises(FileNotFoundError, match="Received: .*missing"):
        read_index(tmp_path / "missing")
    with pytest.raises(OSError, match=f"Received: {tmp_path}: Is a directory"):
        make_index(videos, tmp_path)
