"""A trained model with what its use needs."""

import dataclasses
import pathlib

import keras

from smallbig_keras import runs


@dataclasses.dataclass(frozen=True)
class Run:
    """A trained model with what its use needs.

    Args:
        path: pathlib.Path. Folder of the run.
        model: `keras.Model` from clips to probabilities.
        config: dict. Resolved configuration of the training.
    """

    path: pathlib.Path
    model: keras.Model
    config: dict

    @property
    def class_names(self):
        """The class names in label order, a list of str."""
        return self.config["class_names"]

    def load_clip(self, path):
        """Reads a video the way the run was validated: its middle clip, the centre crop.

        Args:
            path: str or path. A video file.

        Returns:
            float32 array `(1, frames, size, size, 3)`, normalised.

        Raises:
            BadVideoError: if the file is no video that can be decoded.
        """
        # A decoder is imported for a video, not for a network.
        from smallbig_keras.data.dataset import load_clip

        return load_clip(
            path,
            frames=self.config["frames"],
            size=self.config["size"],
            short_side=self.config["test_short_side"],
            sampling=self.config["sampling"],
            stride=self.config["stride"] or 8,
        )

    def model_for(self, frames, size):
        """Gives the model for clips of another length or size, with the weights of this one.

        Args:
            frames: int. Frames in a clip.
            size: int. Height and width of a clip in pixels.

        Returns:
            `keras.Model`, that of the run if its clips are of that length and size.
        """
        shape = (frames, size, size, 3)
        if self.model.input_shape[1:] == shape:
            return self.model
        # Not the model function: layers of a checkpoint keep their precision.
        clips = keras.Input(shape, name="clips")
        model = keras.models.clone_model(self.model, input_tensors=clips)
        model.set_weights(self.model.get_weights())
        return model


def load_run(path, checkpoint=runs.BEST):
    """Opens the folder that `smallbig fit` wrote.

    Args:
        path: str. The folder.
        checkpoint: str. The checkpoint inside. Defaults to `"best.keras"`.

    Returns:
        Run.

    Raises:
        FileNotFoundError: if the folder holds no such run.
        ValueError: if the checkpoint cannot be read.

    Example:

        run = smallbig_keras.load_run("runs/sample")
        scores = run.model.predict(run.load_clip("video.webm"))
    """
    path = pathlib.Path(path)
    config = runs.read_config(path)
    return Run(path, runs.open_checkpoint(runs.find_checkpoint(path, checkpoint)), config)
