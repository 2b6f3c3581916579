"""TSM in PyTorch: torchvision's 2-D ResNet on every frame, with channels of the frames beside."""

import torch
from torch import nn
from torchvision.models.resnet import resnet50


class Shift(nn.Module):
    """Shifts an eighth of the channels to either side in time, before a convolution."""

    def __init__(self, net, frames):
        super().__init__()
        self.net = net
        self.frames = frames

    def forward(self, x):
        clips = x.unflatten(0, (-1, self.frames))
        part = clips.shape[2] // 8
        shifted = torch.zeros_like(clips)
        shifted[:, :-1, :part] = clips[:, 1:, :part]
        shifted[:, 1:, part : 2 * part] = clips[:, :-1, part : 2 * part]
        shifted[:, :, 2 * part :] = clips[:, :, 2 * part :]
        return self.net(shifted.flatten(0, 1))


class TSM(nn.Module):
    """The network on clips `(batch, 3, frames, height, width)`: the mean of the frames' scores."""

    def __init__(self, frames, classes=400):
        super().__init__()
        self.frames = frames
        self.base_model = resnet50()
        features = self.base_model.fc.in_features
        self.base_model.fc = nn.Identity()
        for n in range(1, 5):
            for block in getattr(self.base_model, f"layer{n}"):
                block.conv1 = Shift(block.conv1, frames)
        self.dropout = nn.Dropout(0.5)
        self.new_fc = nn.Linear(features, classes)

    def forward(self, x):
        # In channels-last both are a view.
        scores = self.new_fc(self.dropout(self.base_model(x.transpose(1, 2).flatten(0, 1))))
        return scores.unflatten(0, (-1, self.frames)).mean(1)
