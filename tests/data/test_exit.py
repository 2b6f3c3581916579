"""A process ends while its loader reads ahead."""

import pathlib

from smallbig_keras.data.exit import _Reads
from tests.data.videos import write_video
from tests.fresh_process import run_python

ROOT = pathlib.Path(__file__).parents[2]


def test_a_program_with_a_loader_ends(tmp_path):
    """The iterator lives as long as the program: reads are in progress when it ends."""
    for number in range(8):
        write_video(tmp_path / f"{number}.mp4", 12)
    script = f"""
        import glob, time
        from smallbig_keras.data import clip_dataset, sources

        read = sources.read_with_times

        def slowly(*arguments):
            time.sleep(0.3)
            return read(*arguments)

        sources.read_with_times = slowly
        pairs = [(file, 0) for file in sorted(glob.glob("{tmp_path}/*.mp4"))]
        batches = iter(clip_dataset(pairs, batch_size=1, training=True, size=32, epochs=50))
        print(next(batches)[0].shape)
    """
    assert run_python(script, ROOT) == "(1, 8, 32, 32, 3)\n"


def test_waiting_has_an_end(monkeypatch):
    monkeypatch.setattr("smallbig_keras.data.exit._MOST", 0.1)
    reads = _Reads()
    with reads:
        reads.wait()
