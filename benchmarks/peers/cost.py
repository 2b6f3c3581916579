"""CoST(b) in PyTorch: one 3x3 kernel on three views of the volume of a clip."""

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.peers.temporal import EVEN, ODD, takes
from benchmarks.peers.trunk import Bottleneck, ResNet


class CoSTConv(nn.Module):
    """The convolution; the clip itself gives the share of each view and channel."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 1, 3, 3))
        self.stride = (1, stride, stride)
        self.fc1 = nn.Linear(outputs, outputs, bias=False)
        self.fc2 = nn.Linear(3, 3, bias=False)
        nn.init.kaiming_normal_(self.weight, mode="fan_out")

    def forward(self, x):
        views = []
        for size in ((1, 3, 3), (3, 1, 3), (3, 3, 1)):
            kernel = self.weight.reshape(*self.weight.shape[:2], *size)
            padding = tuple(n // 2 for n in size)
            views.append(F.conv3d(x, kernel, None, self.stride, padding))
        strongest = torch.stack([torch.amax(view, (2, 3, 4)) for view in views], 1)
        shares = torch.softmax(self.fc2(self.fc1(strongest).transpose(1, 2)), -1)
        shares = shares[:, :, None, None, None].unbind(-1)
        y = views[0] * shares[0]
        y = torch.addcmul(y, views[1], shares[1])
        return torch.addcmul(y, views[2], shares[2])


class CoSTBottleneck(Bottleneck):
    """A bottleneck with a CoST convolution in the place of the second."""

    def __init__(self, inputs, width, stride):
        super().__init__(inputs, width, stride)
        self.conv2 = CoSTConv(width, width, stride)


def cost(frames, **options):
    """Makes the authors' ResNet-50: CoST in every second block, half the frames after res2."""

    def make_block(stage, block, *sizes):
        is_cost = takes((EVEN, ODD, ODD, ODD), stage, block)
        return (CoSTBottleneck if is_cost else Bottleneck)(*sizes)

    return ResNet(make_block, time_pool=2, dropout=0.5, **options)
