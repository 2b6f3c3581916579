"""UCF101 and HMDB51: three official splits of a few thousand videos."""

from pathlib import Path

from smallbig_keras.data.annotations.listing import Listing
from smallbig_keras.data.annotations.text_files import (
    LineParser,
    check_class_name,
    parse_number,
    parse_rows,
    read_lines,
)
from smallbig_keras.data.annotations.video import Video, check_split, not_found, shorten
from smallbig_keras.errors import SmallBigError
from smallbig_keras.labels import class_names as official_names

SPLIT_NUMBERS = (1, 2, 3)
_LAYOUT_UCF = """\
{root}
├── UCF-101                (or videos)
│   ├── ApplyEyeMakeup
│   │   ├── v_ApplyEyeMakeup_g01_c01.avi
│   │   └── ...
│   └── ...
└── ucfTrainTestlist       (or annotations)
    ├── classInd.txt
    ├── trainlist01.txt    (02 and 03 for the other splits)
    └── testlist01.txt"""
_HINT_UCF = """\
UCF101 is given out by the Center for Research in Computer Vision of the University of Central
Florida: an archive of the videos, and one of the splits for action recognition."""
_UCF_LISTS = (
    *("ucfTrainTestlist", "UCF101TrainTestSplits-RecognitionTask/ucfTrainTestlist"),
    *("annotations", "splits", ""),
)
_UCF_VIDEOS = ("UCF-101", "UCF101", "videos", "")
_LAYOUT_HMDB = """\
{root}
├── hmdb51_org             (or videos; or the class folders in {root} itself)
│   ├── brush_hair
│   │   ├── April_09_brush_hair_u_nm_np1_ba_goo_0.avi
│   │   └── ...
│   └── ...
└── testTrainMulti_7030_splits    (or annotations)
    ├── brush_hair_test_split1.txt    (2 and 3 for the other splits)
    └── ..."""
_HINT_HMDB = """\
HMDB51 is given out by the Serre Lab of Brown University: an archive of the videos with one archive
for each class inside, which is unpacked into a folder of its name, and one of the splits."""
_HMDB_LISTS = (
    *("testTrainMulti_7030_splits", "test_train_splits/testTrainMulti_7030_splits"),
    *("test_train_splits", "annotations", "splits", ""),
)
_HMDB_VIDEOS = ("hmdb51_org", "hmdb51", "videos", "")
_HMDB_USES = {"train": 1, "validation": 2, "test": 2}


def read_ucf101(root, split, split_number=1, skip_bad_lines=False):
    """Reads an official split of UCF101; validation and test are both the official test list."""
    _check(split, split_number)
    root = Path(root)
    class_names = _read_class_ids(_find_ucf(root, "classInd.txt"))
    class_ids = {name.casefold(): i for i, name in enumerate(class_names)}
    kind = "train" if split == "train" else "test"
    path = _find_ucf(root, f"{kind}list{split_number:02d}.txt")
    listing = Listing()
    folders = [str(root / name) for name in _UCF_VIDEOS if listing.names(root / name)]

    def parse(line):
        name, *number = line.rsplit(maxsplit=1)
        folder, _, file = name.rpartition("/")
        label = class_ids.get(folder.casefold())
        if not file or label is None or (kind == "train" and not number):
            raise SmallBigError(
                "a line must be a class of classInd.txt, '/', a file, and in the training list a "
                f"space and the number of the class. Received: {line!r:.200}"
            )
        if number and parse_number(number[0], "the number of a class", 1) != label + 1:
            raise SmallBigError(
                f"the number of {class_names[label]} must be {label + 1}, as in classInd.txt. "
                f"Received: {line!r:.200}"
            )
        return _find_video(listing, folders, root / _UCF_VIDEOS[0], folder, file, label)

    lines = LineParser(skip_bad_lines)
    videos = [video for _, video in lines.parse(path, read_lines(path), parse)]
    lines.warn()
    return videos, class_names


def read_hmdb51(root, split, split_number=1, skip_bad_lines=False):
    """Reads an official split of HMDB51; validation and test are both the official test videos."""
    _check(split, split_number)
    root = Path(root)
    listing = Listing()
    ending = f"_test_split{split_number}.txt"
    lists = _find_hmdb(listing, root, ending)
    official = official_names("hmdb51")
    class_names = official if set(lists) <= set(official) else sorted(lists)
    folders = [str(root / name) for name in _HMDB_VIDEOS if listing.names(root / name)]

    def parse(line):
        name, _, use = line.strip().rpartition(" ")
        if not name or use not in ("0", "1", "2"):
            raise SmallBigError(
                "a line must be a file, a space and 0, 1 (training) or 2 (test). "
                f"Received: {line!r:.200}"
            )
        return name.strip(), int(use)

    lines, videos = LineParser(skip_bad_lines), []
    for folder, path in lists.items():
        label = class_names.index(folder)
        for _, (name, use) in lines.parse(path, read_lines(path), parse):
            if use == _HMDB_USES[split]:
                default = root / _HMDB_VIDEOS[0]
                videos.append(_find_video(listing, folders, default, folder, name, label))
    lines.warn()
    if not videos:
        raise SmallBigError(
            f"The lists *{ending} must hold videos for the split. "
            f"Received: split={split!r} and the lists {shorten([str(p) for p in lists.values()])}"
        )
    return videos, class_names


def _check(split, split_number):
    check_split(split)
    if split_number not in SPLIT_NUMBERS:
        raise SmallBigError(
            f"`split_number` must be one of {SPLIT_NUMBERS}. Received: {split_number=}"
        )


def _find_ucf(root, name):
    for folder in _UCF_LISTS:
        if (root / folder / name).is_file():
            return root / folder / name
    raise not_found("UCF101", _LAYOUT_UCF, _HINT_UCF, root, name)


def _find_hmdb(listing, root, ending):
    """Returns the path of each class's list."""
    for folder in _HMDB_LISTS:
        names = sorted(n for n in listing.names(root / folder) if n.endswith(ending))
        if names:
            return {check_class_name(n.removesuffix(ending)): root / folder / n for n in names}
    raise not_found("HMDB51", _LAYOUT_HMDB, _HINT_HMDB, root, f"{{class}}{ending}")


def _read_class_ids(path):
    def parse(line):
        number, name = (line.split(maxsplit=1) + [""])[:2]
        return parse_number(number, "the number of a class", 1), check_class_name(name)

    classes = sorted(parse_rows(path, read_lines(path), parse))
    numbers = [number for number, _ in classes]
    names = [name for _, name in classes]
    if numbers != list(range(1, len(names) + 1)) or len(set(names)) < len(names):
        raise SmallBigError(
            f"{path} must number {len(names)} different classes from 1 to {len(names)}. "
            f"Received: {classes[:10]!r:.200}"
        )
    return names


def _find_video(listing, folders, default, folder, file, label):
    """Finds a video in the folder of its class, or beside these, in any case and format."""
    # The files of `HandstandPushups` are named `v_HandStandPushups_...`.
    stem = Path(file).stem
    expected = None
    for base in folders:
        inside = listing.find(base, folder)
        for parent in ([f"{base}/{inside}"] if inside else []) + [base]:
            found = listing.find_video(parent, file)
            if found:
                return Video(f"{parent}/{found}", label, stem)
        if inside:
            expected = expected or f"{base}/{inside}/{file}"
    return Video(expected or str(default / folder / file), label, stem)
