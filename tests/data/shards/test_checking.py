import hashlib
import shutil

import pytest

from smallbig_keras.data import ShardOptions, ShardSource, check_shards, make_shards
from tests.data.shards.shard_files import NAMES, damage, examples, rewrite


def test_check_finds_damage(shards, tmp_path):
    assert check_shards(shards) == []
    copy = shutil.copytree(shards, tmp_path / "copy")
    paths = sorted(copy.glob("*.tfrecord"))
    sizes = [path.stat().st_size for path in paths]
    counts = [len(examples(path)) for path in paths]
    for path, kind in zip(paths, ("flipped bit", "cut between examples", "gone"), strict=True):
        damage(path, kind)
    first, second, third = paths
    seen = []
    problems = check_shards(str(copy), 1, lambda *counts: seen.append(counts))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    digest = hashlib.sha256(first.read_bytes()).hexdigest()
    assert problems[0].startswith(f"{first}: sha256 {digest}, not ")
    assert problems[1].startswith(f"{first}, example {counts[0] // 2}: corrupted record at ")
    assert problems[2] == f"{first}: {counts[0] // 2} whole examples, not {counts[0]}"
    assert problems[3] == f"{second}: bytes {second.stat().st_size}, not {sizes[1]}"
    assert problems[5] == f"{second}: 1 whole examples, not {counts[1]}"
    assert problems[6].startswith(f"{third}: ") and "No such file" in problems[6]
    assert len(problems) == 7


@pytest.mark.parametrize("content, reason", [("frames", "cannot be decoded"), ("video", "not a")])
def test_check_decodes_what_checksums_cannot_tell(videos, tmp_path, content, reason):
    out = tmp_path / "out"
    make_shards({"train": videos}, NAMES, out, ShardOptions("csv", content))
    assert check_shards(out) == []

    def spoil(found):
        found[1].features.feature[content].bytes_list.value[-1] = b"bad"
        found[2].features.feature["label"].int64_list.value[0] += 1
        found[3].Clear()

    path = rewrite(out, spoil)
    problems = check_shards(out)
    assert len(problems) == 3
    for number, words in ((1, reason), (2, "another label"), (3, "no example of a video")):
        assert problems[number - 1].startswith(f"{path}, example {number}: ")
        assert words in problems[number - 1]


@pytest.mark.parametrize("content", ["frames", "video"])
def test_check_writes_a_missing_index(videos, tmp_path, content):
    """Shards without an index are of 0.1.0."""
    out = tmp_path / "out"
    make_shards({"train": videos, "test": videos[:2]}, NAMES, out, ShardOptions("csv", content))
    indexes = {path: path.read_bytes() for path in out.glob("*.index")}
    assert len(indexes) == 2
    for path in indexes:
        path.unlink()
    with pytest.raises(FileNotFoundError, match=f"smallbig prepare check {out}. Received: no "):
        ShardSource(out, "train")
    assert check_shards(out) == []
    assert {path: path.read_bytes() for path in out.glob("*.index")} == indexes
    assert len(ShardSource(out, "train")) == 5


def test_check_compares_indexes(shards, tmp_path):
    copy = shutil.copytree(shards, tmp_path / "copy")
    first, second, third = sorted(copy.glob("*.index"))
    shutil.copy(first, second)
    third.write_bytes(third.read_bytes()[:-1])
    words = "not the index of its shard. Delete it, and check again"
    assert check_shards(copy) == [f"{path}: {words}" for path in (second, third)]
    # Nothing is written beside a shard that is damaged.
    second.unlink()
    damage(second.with_suffix(""), "flipped bit")
    assert f"{second.with_suffix('')}: sha256" in check_shards(copy)[0]
    assert not second.exists()
