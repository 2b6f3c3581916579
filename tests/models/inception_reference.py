"""Inception-v1 on clips as TF-slim computes it, in plain NumPy: S3D-G and I3D."""

import itertools

import keras
import numpy as np

from tests.numpy_reference_same import convolve_same, pool_same

EPSILON = 1e-3


class Reference:
    """The network of the weights of a model; `gated` is S3D-G, else I3D."""

    def __init__(self, model, gated):
        self.gated = gated
        self.weights = {
            weight.path: keras.ops.convert_to_numpy(weight).astype("float64")
            for weight in model.weights
        }

    def logits(self, clips):
        x = self.unit(np.float64(clips), "stem", (2, 2, 2))
        x = pool_same(x, (1, 3, 3), (1, 2, 2))
        x = self.cube(self.unit(x, "conv2b"), "conv2c")
        x = pool_same(x, (1, 3, 3), (1, 2, 2))
        x = self.mixed(self.mixed(x, "mixed3b"), "mixed3c")
        x = pool_same(x, (3, 3, 3), (2, 2, 2))
        for block in "bcdef":
            x = self.mixed(x, f"mixed4{block}")
        x = pool_same(x, (2, 2, 2), (2, 2, 2))
        x = self.mixed(self.mixed(x, "mixed5b"), "mixed5c")
        return self.head(x)

    def unit(self, x, name, strides=(1, 1, 1)):
        kernel = self.weights[f"{name}_conv/kernel"]
        kernel = kernel if kernel.ndim == 5 else kernel[None]
        return self.normalised(convolve_same(x, kernel, strides), name)

    def normalised(self, x, name):
        mean, variance, beta = (
            self.weights[f"{name}_norm/{kind}"]
            for kind in ("moving_mean", "moving_variance", "beta")
        )
        gamma = self.weights.get(f"{name}_norm/gamma", 1)
        return np.maximum((x - mean) / np.sqrt(variance + EPSILON) * gamma + beta, 0)

    def cube(self, x, name):
        """The 3x3x3 convolution of I3D, the pair of S3D-G."""
        x = self.unit(x, name)
        if self.gated:
            kernel = self.weights[f"{name}_temporal_conv/kernel"][:, None]
            x = convolve_same(x, kernel) + self.weights[f"{name}_temporal_conv/bias"]
            x = np.maximum(x, 0)
        return self.gate(x, name) if name == "conv2c" else x

    def gate(self, x, name):
        if not self.gated:
            return x
        kernel = self.weights[f"{name}_gate/expand/kernel"][0, 0]
        return x / (1 + np.exp(-(x.mean((1, 2, 3), keepdims=True) @ kernel)))

    def mixed(self, x, name):
        branches = [
            self.unit(x, f"{name}_branch0"),
            self.cube(self.unit(x, f"{name}_branch1_reduce"), f"{name}_branch1"),
            self.cube(self.unit(x, f"{name}_branch2_reduce"), f"{name}_branch2"),
            self.unit(pool_same(x, (3, 3, 3), (1, 1, 1)), f"{name}_branch3"),
        ]
        gated = [self.gate(x, f"{name}_branch{n}") for n, x in enumerate(branches)]
        return np.concatenate(gated, axis=-1)

    def head(self, x):
        """The mean of the scores of windows of 2 x 7 x 7."""
        size = [min(n, w) for n, w in zip(x.shape[1:4], (2, 7, 7), strict=True)]
        starts = [range(n - s + 1) for n, s in zip(x.shape[1:4], size, strict=True)]
        scores = [
            x[:, t : t + size[0], i : i + size[1], j : j + size[2]].mean((1, 2, 3))
            @ self.weights["classifier/kernel"]
            + self.weights["classifier/bias"]
            for t, i, j in itertools.product(*starts)
        ]
        return np.mean(scores, axis=0)
