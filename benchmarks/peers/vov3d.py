"""VoV3D in PyTorch: blocks that join the outputs of their depthwise layers; PySlowFast's names."""

import torch
import torch.nn.functional as F
from torch import nn

LAYERS = 5


class Excite(nn.Module):
    """Squeeze-and-excitation over the whole clip."""

    def __init__(self, channels):
        super().__init__()
        inner = max(8, int(channels / 16 + 4) // 8 * 8)
        inner += 8 * (inner < 0.9 * channels / 16)
        self.fc1 = nn.Conv3d(channels, inner, 1)
        self.fc2 = nn.Conv3d(inner, channels, 1)

    def forward(self, x):
        context = F.relu(self.fc1(x.mean((2, 3, 4), keepdim=True)), inplace=True)
        return x * torch.sigmoid(self.fc2(context))


class Layer(nn.Module):
    """1x1x1, depthwise 1x3x3 and 3x1x1, and 1x1x1 to half of the channels."""

    def __init__(self, inputs, inner, stride, is_excited):
        super().__init__()
        depthwise = {"groups": inner, "bias": False}
        self.a = nn.Sequential(
            nn.Conv3d(inputs, inner, 1, bias=False), nn.BatchNorm3d(inner), nn.ReLU(inplace=True)
        )
        self.b1 = nn.Conv3d(inner, inner, (1, 3, 3), (1, stride, stride), (0, 1, 1), **depthwise)
        self.b2 = nn.Conv3d(inner, inner, (3, 1, 1), 1, (1, 0, 0), **depthwise)
        self.b_bn = nn.BatchNorm3d(inner)
        self.se = Excite(inner) if is_excited else nn.Identity()
        self.c = nn.Sequential(
            nn.Conv3d(inner, inner // 2, 1, bias=False), nn.BatchNorm3d(inner // 2)
        )
        self.is_residual = stride == 1 and inputs == inner // 2

    def forward(self, x):
        y = self.se(self.b_bn(self.b2(self.b1(self.a(x)))))
        y = self.c(F.silu(y))
        if self.is_residual:
            y += x
        return F.relu(y, inplace=True)


class Branch(nn.Module):
    """Chained layers, whose outputs are joined."""

    def __init__(self, inputs, inner, stride):
        super().__init__()
        half = inner // 2
        self.joins_input = stride == 1
        self.layers = nn.ModuleList(
            Layer(half if k else inputs, inner, 1 if k else stride, k % 2 == 0)
            for k in range(LAYERS)
        )
        joined = LAYERS * half + (inputs if self.joins_input else 0)
        self.c = nn.Conv3d(joined, half, 1, bias=False)
        self.c_bn = nn.BatchNorm3d(half)

    def forward(self, x):
        joined = [x] if self.joins_input else []
        for layer in self.layers:
            x = layer(x)
            joined.append(x)
        return self.c_bn(self.c(torch.cat(joined, 1)))


class Block(nn.Module):
    """A branch and its shortcut."""

    def __init__(self, inputs, inner, stride):
        super().__init__()
        self.branch1 = None
        if stride > 1 or inputs != inner // 2:
            self.branch1 = nn.Conv3d(inputs, inner // 2, 1, (1, stride, stride), bias=False)
            self.branch1_bn = nn.BatchNorm3d(inner // 2)
        self.branch2 = Branch(inputs, inner, stride)

    def forward(self, x):
        y = self.branch2(x)
        y += x if self.branch1 is None else self.branch1_bn(self.branch1(x))
        return F.relu(y, inplace=True)


class Stem(nn.Module):
    """A convolution over space and then, depthwise, over time."""

    def __init__(self, outputs):
        super().__init__()
        self.conv_xy = nn.Conv3d(3, outputs, (1, 3, 3), (1, 2, 2), (0, 1, 1), bias=False)
        self.conv = nn.Conv3d(outputs, outputs, (5, 1, 1), 1, (2, 0, 0), groups=outputs, bias=False)
        self.bn = nn.BatchNorm3d(outputs)

    def forward(self, x):
        return F.relu(self.bn(self.conv(self.conv_xy(x))), inplace=True)


class Head(nn.Module):
    """A last convolution, the mean over a window, and the classifier."""

    def __init__(self, inputs, inner, hidden, classes):
        super().__init__()
        self.conv_5 = nn.Conv3d(inputs, inner, 1, bias=False)
        self.conv_5_bn = nn.BatchNorm3d(inner)
        self.lin_5 = nn.Conv3d(inner, hidden, 1, bias=False)
        self.dropout = nn.Dropout(0.5)
        self.projection = nn.Linear(hidden, classes)

    def forward(self, x):
        x = F.relu(self.conv_5_bn(self.conv_5(x)), inplace=True)
        window = (x.shape[2], min(7, x.shape[3]), min(7, x.shape[4]))
        x = F.relu(self.lin_5(F.avg_pool3d(x, window, 1)), inplace=True)
        x = self.projection(self.dropout(x.permute(0, 2, 3, 4, 1)))
        return x.mean((1, 2, 3))


class VoV3D(nn.Module):
    """The network on clips `(batch, 3, frames, height, width)`; the defaults are VoV3D-M."""

    def __init__(self, frames, blocks=(1, 2, 3, 2), width=40, head_width=2048, classes=400):
        super().__init__()
        inputs = width // 2
        self.s1 = nn.ModuleDict({"pathway0_stem": Stem(inputs)})
        for stage, count in enumerate(blocks, start=2):
            inner = width * 2 ** (stage - 2)
            found = nn.ModuleDict()
            for n in range(count):
                found[f"pathway0_res{n}"] = Block(inputs, inner, 1 if n else 2)
                inputs = inner // 2
            setattr(self, f"s{stage}", found)
        self.head = Head(inputs, inner, head_width, classes)

    def forward(self, x):
        x = self.s1["pathway0_stem"](x)
        for stage in (self.s2, self.s3, self.s4, self.s5):
            for block in stage.values():
                x = block(x)
        return self.head(x)
