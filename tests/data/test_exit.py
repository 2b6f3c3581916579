"""A process ends while its loader reads ahead."""

import pathlib

from smallbig_keras.data.exit import _Reads
from tests.data.videos import write_video
from tests.fresh_process import run_python

ROOT = pathlib.Path(__file__).parents[2]


def test_programs_with_a_loader_end(tmp_path):
    """The iterator lives as long as the program. Without `exit.py` one in three waits for ever."""
    for number in range(8):
        write_video(tmp_path / f"{number}.mp4", 12)
    script = f"""
        import glob
        from smallbig_keras.data import clip_dataset

        pairs = [(file, 0) for file in sorted(glob.glob("{tmp_path}/*.mp4"))] * 50
        batches = iter(clip_dataset(pairs, batch_size=8, training=True, size=64, epochs=3))
        print(next(batches)[0].shape)
    """
    for _ in range(3):
        assert run_python(script, ROOT) == "(8, 8, 64, 64, 3)\n"


def test_waiting_has_an_end(monkeypatch):
    monkeypatch.setattr("smallbig_keras.data.exit._MOST", 0.1)
    reads = _Reads()
    with reads:
        reads.wait()
