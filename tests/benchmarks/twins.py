"""Small PyTorch twins with random weights: their state dicts, clips and scores, as files.

Runs without TensorFlow and without this package.
"""

import pathlib
import re
import sys

BLOCKS = {"blocks": (1, 2, 2, 2), "width": 16}
# The options of each twin, and those of our network.
SMALL = {
    "SmallBigR50": ({**BLOCKS, "extra": False}, {**BLOCKS, "extra": None}),
    "SmallBigR50 with extra units": (BLOCKS, BLOCKS),
    "C2DR50": (BLOCKS, BLOCKS),
    "SlowOnlyR50": (BLOCKS, BLOCKS),
    "I3DR50": (BLOCKS, BLOCKS),
    "NonLocalR50": (BLOCKS, BLOCKS),
    "CoSTR50": (BLOCKS, BLOCKS),
    "TSMR50": ({}, {}),
    "S3DG": ({"width": 16}, {"width": 16}),
    "VoV3DM": ({"blocks": (1, 2, 1, 1), "width": 16, "head_width": 32},) * 2,
}
_STEM = {"conv1": "conv", "bn1": "bn"}
_BLOCK = {
    "downsample.0": "branch1",
    "downsample.1": "branch1_bn",
    **{f"conv{n}": f"branch2.{letter}" for n, letter in enumerate("abc", 1)},
    **{f"bn{n}": f"branch2.{letter}_bn" for n, letter in enumerate("abc", 1)},
}


def frames_of(name):
    """Returns the frames of the clips of a case."""
    return 16 if name.startswith(("S3D", "VoV3D")) else 4


def pyslowfast_name(name):
    """Returns the name that PySlowFast gives to torchvision's name of a variable."""
    module, _, kind = name.rpartition(".")
    match = re.fullmatch(r"layer(\d)\.(\d)\.(nonlocal_block\.)?(.+)", module)
    if match is None:
        module = "head.projection" if module == "fc" else f"s1.pathway0_stem.{_STEM[module]}"
    else:
        layer, block, attention, part = match.groups()
        pathway = f"s{int(layer) + 1}.pathway0_{'nonlocal' if attention else 'res'}{block}"
        module = f"{pathway}.{part if attention else _BLOCK[part]}"
    return f"{module}.{kind}"


def write(folder):
    """Writes `NAME.pth` and `NAME.npz` of each case."""
    import numpy as np
    import torch

    from benchmarks.peers import networks

    for name, (options, _) in SMALL.items():
        torch.manual_seed(0)
        network = networks.build(name.split()[0], frames_of(name), **options).eval()
        # Signals grow with every sum of a residual network; gates halve those of S3D-G.
        randomize(torch, network, (1.5, 2.5) if name == "S3DG" else (0.3, 0.9))
        clips = random_clips(torch, frames_of(name), 64)
        with torch.no_grad():
            scores = network(clips)
            last = network.to(memory_format=torch.channels_last_3d) if name != "TSMR50" else network
            torch.testing.assert_close(last(clips), scores, rtol=1e-3, atol=1e-4)
        state = network.state_dict()
        if name == "NonLocalR50":
            state = {pyslowfast_name(key): value for key, value in state.items()}
        torch.save(state, folder / f"{name}.pth")
        clips = clips.permute(0, 2, 3, 4, 1).numpy()
        np.savez(folder / f"{name}.npz", clips=clips, scores=scores.numpy())


def random_clips(torch, frames, size):
    """Two clips whose frames, rows and columns differ, by which a wrong axis shows."""
    sides = [(frames, 1, 1), (1, size, 1), (1, 1, size), (frames, size, size)]
    return sum(2 * torch.randn(2, 3, *side) for side in sides)


def randomize(torch, network, scales):
    """Random scales and statistics: the defaults of a normalisation hide errors."""
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.uniform_(module.weight, *scales)
            torch.nn.init.normal_(module.bias, std=0.1)
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)


if __name__ == "__main__":
    write(pathlib.Path(sys.argv[1]))
