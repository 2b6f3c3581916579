"""ResNets with 3x1x1 convolutions in some blocks: C2D, SlowOnly and I3D."""

from benchmarks.peers.trunk import Bottleneck, ResNet

# Of the blocks of a stage, a pattern takes some; it is repeated along them.
NONE, ALL, ODD, EVEN = (0,), (1,), (1, 0), (0, 1)
# PySlowFast's I3D.
I3D = (ALL, ODD, ODD, EVEN)


def takes(patterns, stage, block):
    """Tells whether the patterns of the four stages take a block."""
    pattern = patterns[stage - 2]
    return bool(pattern[block % len(pattern)])


def make_resnet(patterns, make_block=Bottleneck, **options):
    """Makes a ResNet whose blocks in `patterns` look at three frames."""

    def make(stage, block, *sizes):
        return make_block(*sizes, frames=3 if takes(patterns, stage, block) else 1)

    return ResNet(make, **options)


def c2d(frames, **options):
    return make_resnet((NONE,) * 4, **options)


def slowonly(frames, **options):
    return make_resnet((NONE, NONE, ALL, ALL), **options)


def i3d(frames, **options):
    return make_resnet(I3D, stem_frames=5, time_pool=2, dropout=0.5, **options)
