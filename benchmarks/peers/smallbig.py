"""SmallBigNet in PyTorch: bottlenecks whose convolutions see a small and a big view."""

import torch
from torch import nn

from benchmarks.peers.trunk import EXPANSION, Bottleneck, ResNet


class SmallBigBottleneck(Bottleneck):
    """A bottleneck with three SmallBig units.

    Args:
        inputs, width, stride: as of a `Bottleneck`.
        frames: frames of a clip, all of which the third unit pools.
        extra_ratio: channels outside the extra unit at the input for one inside, or `None` for
            no such unit.
    """

    def __init__(self, inputs, width, stride, frames, extra_ratio):
        super().__init__(inputs, width, stride)
        outputs = EXPANSION * width
        tube, channels = ((frames, 3, 3), 1, (0, 1, 1)), inputs // (extra_ratio or 1)
        self.big1 = nn.ModuleList([nn.MaxPool3d(3, 1, 1), nn.BatchNorm3d(width)])
        self.big2 = nn.ModuleList([nn.MaxPool3d(3, 1, 1), nn.BatchNorm3d(width)])
        self.big3 = nn.ModuleList([nn.MaxPool3d(*tube), nn.BatchNorm3d(outputs)])
        self.big4_1 = None
        if extra_ratio:
            self.big4_1 = nn.Conv3d(inputs, channels, 1, bias=False)
            self.big4_2 = nn.Sequential(
                nn.Conv3d(channels, inputs, 1, bias=False), nn.BatchNorm3d(inputs)
            )

    def residual(self, x):
        x = self.relu(_both_views(x, self.conv1, self.bn1, self.big1))
        x = self.relu(_both_views(x, self.conv2, self.bn2, self.big2))
        return _both_views(x, self.conv3, self.bn3, self.big3)

    def forward(self, x):
        if self.big4_1 is not None:
            strongest = torch.amax(x, (2, 3, 4), keepdim=True)
            context = torch.sigmoid(self.big4_1(strongest))
            weighed = self.big4_2(self.big4_1(x) * context)
            weighed += x
            x = weighed
        return super().forward(x)


def _both_views(x, conv, norm, big):
    pool, big_norm = big
    y = norm(conv(x))
    y += big_norm(conv(pool(x)))
    return y


def smallbig(frames, extra=True, **options):
    """Makes the authors' network: SmallBig blocks in res3 to res5, with or without extra units."""

    def make_block(stage, block, *sizes):
        if stage == 2:
            return Bottleneck(*sizes)
        return SmallBigBottleneck(*sizes, frames, 4 if extra else None)

    return ResNet(make_block, **options)
