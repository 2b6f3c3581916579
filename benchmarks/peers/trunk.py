"""The ResNet that most PyTorch twins share, on clips `(batch, channels, frames, height, width)`.

Modules have the names of torchvision's ResNet, which the authors of SmallBigNet kept.
"""

from torch import nn

EXPANSION = 4


class Bottleneck(nn.Module):
    """1x1x1, 1x3x3 and 1x1x1, or `frames`x1x1 in the place of the first."""

    def __init__(self, inputs, width, stride=1, frames=1):
        super().__init__()
        outputs = EXPANSION * width
        self.conv1 = nn.Conv3d(
            inputs, width, (frames, 1, 1), padding=(frames // 2, 0, 0), bias=False
        )
        self.bn1 = nn.BatchNorm3d(width)
        self.conv2 = nn.Conv3d(
            width, width, (1, 3, 3), (1, stride, stride), padding=(0, 1, 1), bias=False
        )
        self.bn2 = nn.BatchNorm3d(width)
        self.conv3 = nn.Conv3d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm3d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv3d(inputs, outputs, 1, (1, stride, stride), bias=False),
                nn.BatchNorm3d(outputs),
            )

    def residual(self, x):
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.bn3(self.conv3(x))

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.residual(x)
        y += shortcut
        return self.relu(y)


class ResNet(nn.Module):
    """Stem, four stages and the classifier.

    Args:
        make_block: function of the stage, counted from 2, the block, counted from 0, and the
            arguments of a `Bottleneck` to the block.
        blocks: blocks of each stage.
        width: channels of the stem.
        stem_frames: frames that the first convolution sees.
        time_pool: frames of which a maximum after the first stage makes one.
        dropout: share of features dropped before the classifier.
        classes: number of classes.
    """

    def __init__(
        self,
        make_block,
        blocks=(3, 4, 6, 3),
        width=64,
        stem_frames=1,
        time_pool=1,
        dropout=0.0,
        classes=400,
    ):
        super().__init__()
        self.conv1 = nn.Conv3d(
            3, width, (stem_frames, 7, 7), (1, 2, 2), (stem_frames // 2, 3, 3), bias=False
        )
        self.bn1 = nn.BatchNorm3d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))
        self.time_pool = nn.MaxPool3d((time_pool, 1, 1)) if time_pool > 1 else nn.Identity()
        inputs = width
        for stage, count in enumerate(blocks, start=2):
            inner = width * 2 ** (stage - 2)
            layers = []
            for block in range(count):
                stride = 2 if stage > 2 and block == 0 else 1
                layers.append(make_block(stage, block, inputs, inner, stride))
                inputs = EXPANSION * inner
            setattr(self, f"layer{stage - 1}", nn.Sequential(*layers))
        self.avgpool = nn.AdaptiveAvgPool3d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.time_pool(self.layer1(x))
        x = self.layer4(self.layer3(self.layer2(x)))
        return self.fc(self.dropout(self.avgpool(x).flatten(1)))
