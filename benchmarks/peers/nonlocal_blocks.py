"""The non-local network of PySlowFast in PyTorch: an I3D with five blocks of attention."""

import torch.nn.functional as F
from torch import nn

from benchmarks.peers.temporal import EVEN, I3D, NONE, takes
from benchmarks.peers.trunk import EXPANSION, Bottleneck, ResNet


class NonLocal(nn.Module):
    """Every position of a clip looks at all others, of half the height and width."""

    def __init__(self, channels):
        super().__init__()
        inner = channels // 2
        self.conv_theta = nn.Conv3d(channels, inner, 1)
        self.conv_phi = nn.Conv3d(channels, inner, 1)
        self.conv_g = nn.Conv3d(channels, inner, 1)
        self.conv_out = nn.Conv3d(inner, channels, 1)
        self.bn = nn.BatchNorm3d(channels)
        self.pool = nn.MaxPool3d((1, 2, 2))

    def forward(self, x):
        theta, context = self.conv_theta(x), self.pool(x)
        attended = F.scaled_dot_product_attention(
            _positions(theta), _positions(self.conv_phi(context)), _positions(self.conv_g(context))
        )
        y = self.bn(self.conv_out(attended.squeeze(1).transpose(1, 2).reshape(theta.shape)))
        y += x
        return y


def _positions(x):
    """From `(batch, channels, frames, height, width)` to `(batch, 1, positions, channels)`."""
    return x.flatten(2).transpose(1, 2).unsqueeze(1)


class NonLocalBottleneck(Bottleneck):
    """A bottleneck that a non-local block follows."""

    def __init__(self, inputs, width, stride, frames):
        super().__init__(inputs, width, stride, frames)
        self.nonlocal_block = NonLocal(EXPANSION * width)

    def forward(self, x):
        return self.nonlocal_block(super().forward(x))


def nonlocal_i3d(frames, **options):
    """Makes PySlowFast's network: non-local blocks after every second block of res3 and res4."""

    def make_block(stage, block, *sizes):
        kind = NonLocalBottleneck if takes((NONE, EVEN, EVEN, NONE), stage, block) else Bottleneck
        return kind(*sizes, frames=3 if takes(I3D, stage, block) else 1)

    return ResNet(make_block, stem_frames=5, time_pool=2, dropout=0.5, **options)
