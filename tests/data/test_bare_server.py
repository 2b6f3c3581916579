"""Training, evaluation and prediction on a machine where OpenCV is missing or has no libGL."""

import subprocess
import sys

from tests.data.videos import write_video

SCRIPT = """
import sys
sys.modules["cv2"] = None
import keras
import numpy as np
import smallbig_keras
from smallbig_keras import data
from smallbig_keras.training import loop
from smallbig_keras.evaluation import scoring

path, folder = sys.argv[1:]
videos = [data.Video(path, label, str(label)) for label in (0, 1)]
options = data.ShardOptions("csv", short_side=32)
data.make_shards({"train": videos}, ["a", "b"], folder, options)
settings = dict(frames=4, size=32, batch_size=2)
for source in (videos, data.ShardSource(folder, "train")):
    for training in (True, False):
        for clips, labels in data.clip_dataset(source, training=training, **settings):
            assert clips.shape == (2, 4, 32, 32, 3)
network = smallbig_keras.C2DR23(
    input_shape=(4, 32, 32, 3), classes=2, blocks=[1, 1, 1, 1], width=8, weights=None
)
clips = data.ClipConfig(frames=4, size=32)
classifier = smallbig_keras.VideoClassifier(network, clips, ["a", "b"])
(name, _), _ = classifier.predict(path, top=2)
print(name in "ab")
"""


def test_no_opencv(tmp_path):
    path = write_video(tmp_path / "a.webm", 12)
    command = [sys.executable, "-c", SCRIPT, str(path), str(tmp_path / "shards")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "True"
