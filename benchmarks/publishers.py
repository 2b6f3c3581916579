"""Writes the golden numbers of networks whose trained weights others published.

pip install torch
python -m benchmarks.publishers     # half a minute; needs PyTorch and NumPy alone

The forward passes are those of the publishers' code in evaluation mode, by the names and shapes
of the state dict and with `torch.nn.functional` alone: no code of this package, none of theirs.
They run in float64; the index has the distance to float32.
"""

import itertools
import json

import numpy as np
import torch
import torch.nn.functional as F

from tests.publishers import CASES, GOLDEN, clip, state


class Network:
    """The forward pass of a state dict."""

    def __init__(self, names, state, dtype):
        self.names = names
        self.state = {
            name: torch.from_numpy(array).to(dtype) for name, array in state.items() if array.ndim
        }

    def scores(self, clips):
        """Scores of clips `(batch, frames, height, width, 3)` before the softmax."""
        stem, _ = self.names.stem
        if self.state[f"{stem}.weight"].ndim == 5:
            x = self.features(clips.permute(0, 4, 1, 2, 3))
            return self.classify(x.mean((2, 3, 4)))
        x = clips.permute(0, 1, 4, 2, 3)
        x = self.features(x.flatten(0, 1), frames=clips.shape[1])
        return self.classify(x.mean((2, 3))).unflatten(0, clips.shape[:2]).mean(1)

    def features(self, x, frames=None):
        x = F.relu(self.convolve(x, *self.names.stem, stride=2))
        if x.ndim == 5:
            x = F.max_pool3d(x, (1, 3, 3), (1, 2, 2), (0, 1, 1))
        else:
            x = F.max_pool2d(x, 3, 2, 1)
        for layer in range(1, 5):
            for block in itertools.count():
                stride = 2 if layer > 1 and block == 0 else 1
                units = [self.names.of_unit(layer, block, unit) for unit in (1, 2, 3)]
                shortcut = self.names.of_shortcut(layer, block)
                if f"{units[1][0]}.weight" not in self.state:
                    break
                y = F.relu(self.convolve(self.shift(x, units[0][0], frames), *units[0]))
                y = F.relu(self.convolve(y, *units[1], stride=stride))
                y = self.convolve(y, *units[2])
                if f"{shortcut[0]}.weight" in self.state:
                    x = self.convolve(x, *shortcut, stride=stride)
                x = F.relu(x + y)
        return x

    def convolve(self, x, conv, norm, stride=1):
        """A convolution padded to keep the size, and its normalisation."""
        kernel = self.state.get(f"{conv}.weight", self.state.get(f"{conv}.net.weight"))
        padding = [size // 2 for size in kernel.shape[2:]]
        if kernel.ndim == 5:
            x = F.conv3d(x, kernel, stride=(1, stride, stride), padding=padding)
        else:
            x = F.conv2d(x, kernel, stride=stride, padding=padding)
        kinds = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(self.state[f"{norm}.{kind}"] for kind in kinds), eps=1e-5)

    def shift(self, x, conv, frames):
        """Eighths of the channels from the next and from the last frame, zeros at the ends."""
        if f"{conv}.net.weight" not in self.state:
            return x
        x = x.unflatten(0, (-1, frames))
        part = x.shape[2] // 8
        shifted = torch.zeros_like(x)
        shifted[:, :-1, :part] = x[:, 1:, :part]
        shifted[:, 1:, part : 2 * part] = x[:, :-1, part : 2 * part]
        shifted[:, :, 2 * part :] = x[:, :, 2 * part :]
        return shifted.flatten(0, 1)

    def classify(self, x):
        weight, bias = (self.state[f"{self.names.classifier}.{k}"] for k in ("weight", "bias"))
        return F.linear(x, weight, bias)


def main():
    GOLDEN.mkdir(exist_ok=True)
    index = {}
    for name, case in CASES.items():
        weights, clips = state(name), torch.from_numpy(clip(name))
        exact, rounded = (
            Network(case.names, weights, dtype).scores(clips.to(dtype)).numpy()
            for dtype in (torch.float64, torch.float32)
        )
        np.savez(GOLDEN / f"{name}.npz", logits=exact)
        noise = np.linalg.norm(rounded - exact) / np.linalg.norm(exact)
        index[name] = {
            "file": case.file,
            "entries": len(weights),
            "input": list(clips.shape),
            "float32": float(f"{noise:.1e}"),
        }
        print(f"{name:18} {noise:.1e}  {exact.std():.2f}")
    facts = {"pytorch": torch.__version__, "cases": index}
    (GOLDEN / "index.json").write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
