"""The PyTorch networks by name: twins of ours, and those of torchvision."""

from torch import nn

from benchmarks.peers import cost, nonlocal_blocks, s3d, smallbig, temporal, tsm, vov3d

R23, R101 = {"blocks": (1, 2, 3, 1)}, {"blocks": (3, 4, 23, 3)}
# Functions of the frames of a clip and options, by the names of our networks.
TWINS = {
    "SmallBigR23": lambda frames, **o: smallbig.smallbig(frames, **{"extra": False, **R23, **o}),
    "SmallBigR50": smallbig.smallbig,
    "SmallBigR101": lambda frames, **o: smallbig.smallbig(frames, **{"extra": False, **R101, **o}),
    "C2DR50": temporal.c2d,
    "SlowOnlyR50": temporal.slowonly,
    "I3DR50": temporal.i3d,
    "NonLocalR50": nonlocal_blocks.nonlocal_i3d,
    "CoSTR50": cost.cost,
    "TSMR50": tsm.TSM,
    "S3DG": s3d.S3DG,
    "VoV3DM": vov3d.VoV3D,
}


def build(name, frames, **options):
    """Makes a network with new weights: a twin, or one of torchvision by its name there."""
    if name not in TWINS:
        import torchvision

        return torchvision.models.get_model(name, num_classes=400)
    network = TWINS[name](frames, **options)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network
