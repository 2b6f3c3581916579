"""S3D-G in PyTorch: Inception-v1 with convolutions over space and then time, and gates.

Modules have the names of MIL-NCE's network; padding, stem and head are torchvision's S3D.
"""

import torch
import torch.nn.functional as F
from torch import nn

# Channels of a mixed block: the first branch, two convolutions of the second and of the third,
# and the branch of the pooling.
MIXED = {
    "3b": (64, 96, 128, 16, 32, 32),
    "3c": (128, 128, 192, 32, 96, 64),
    "4b": (192, 96, 208, 16, 48, 64),
    "4c": (160, 112, 224, 24, 64, 64),
    "4d": (128, 128, 256, 24, 64, 64),
    "4e": (112, 144, 288, 32, 64, 64),
    "4f": (256, 160, 320, 32, 128, 128),
    "5b": (256, 160, 320, 32, 128, 128),
    "5c": (384, 192, 384, 48, 128, 128),
}
POOLS = {"3b": ((1, 3, 3), (1, 2, 2), (0, 1, 1)), "4b": (3, 2, 1), "5b": (2, 2, 0)}
WINDOW = (2, 7, 7)


class Unit(nn.Module):
    """A convolution with normalisation and ReLU, of one kernel or of one over space, one of time.

    Args:
        inputs, outputs: channels.
        size: height, width and, where it is above 1, frames of the kernel.
        stride: step along each of these.
    """

    def __init__(self, inputs, outputs, size=1, stride=1):
        super().__init__()
        pad, norm = size // 2, {"eps": 1e-3, "momentum": 0.001}
        self.conv1 = nn.Conv3d(
            inputs, outputs, (1, size, size), (1, stride, stride), (0, pad, pad), bias=False
        )
        self.bn1 = nn.BatchNorm3d(outputs, **norm)
        self.conv2 = None
        if size > 1:
            self.conv2 = nn.Conv3d(
                outputs, outputs, (size, 1, 1), (stride, 1, 1), (pad, 0, 0), bias=False
            )
            self.bn2 = nn.BatchNorm3d(outputs, **norm)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return x if self.conv2 is None else F.relu(self.bn2(self.conv2(x)), inplace=True)


class Gate(nn.Module):
    """Weighs the channels by the mean of the clip."""

    def __init__(self, channels):
        super().__init__()
        self.fc = nn.Linear(channels, channels, bias=False)

    def forward(self, x):
        return x * torch.sigmoid(self.fc(x.mean((2, 3, 4))))[:, :, None, None, None]


class Mixed(nn.Module):
    """Four branches side by side, each with its gate."""

    def __init__(self, inputs, first, reduce1, out1, reduce2, out2, pooled):
        super().__init__()
        self.conv_b0 = Unit(inputs, first)
        self.conv_b1_a, self.conv_b1_b = Unit(inputs, reduce1), Unit(reduce1, out1, 3)
        self.conv_b2_a, self.conv_b2_b = Unit(inputs, reduce2), Unit(reduce2, out2, 3)
        self.maxpool_b3 = nn.MaxPool3d(3, 1, 1)
        self.conv_b3_b = Unit(inputs, pooled)
        self.gating_b0, self.gating_b1 = Gate(first), Gate(out1)
        self.gating_b2, self.gating_b3 = Gate(out2), Gate(pooled)

    def forward(self, x):
        branches = (
            self.gating_b0(self.conv_b0(x)),
            self.gating_b1(self.conv_b1_b(self.conv_b1_a(x))),
            self.gating_b2(self.conv_b2_b(self.conv_b2_a(x))),
            self.gating_b3(self.conv_b3_b(self.maxpool_b3(x))),
        )
        return torch.cat(branches, 1)


class S3DG(nn.Module):
    """The network on clips `(batch, 3, frames, height, width)`."""

    def __init__(self, frames, width=64, classes=400):
        super().__init__()

        def scaled(count):
            return max(1, count * width // 64)

        self.conv1 = Unit(3, width, 7, 2)
        self.maxpool_2a = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))
        self.conv_2b = Unit(width, width)
        inputs = scaled(192)
        self.conv_2c = Unit(width, inputs, 3)
        self.gating = Gate(inputs)
        for name, counts in MIXED.items():
            if name in POOLS:
                setattr(self, f"maxpool_{name[0]}a", nn.MaxPool3d(*POOLS[name]))
            channels = tuple(map(scaled, counts))
            setattr(self, f"mixed_{name}", Mixed(inputs, *channels))
            inputs = channels[0] + channels[2] + channels[4] + channels[5]
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        x = self.gating(self.conv_2c(self.conv_2b(self.maxpool_2a(self.conv1(x)))))
        for name in MIXED:
            if name in POOLS:
                x = getattr(self, f"maxpool_{name[0]}a")(x)
            x = getattr(self, f"mixed_{name}")(x)
        window = tuple(map(min, WINDOW, x.shape[2:]))
        return self.fc(self.dropout(F.avg_pool3d(x, window, 1).mean((2, 3, 4))))
