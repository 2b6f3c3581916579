from .channel_gate import (
    ChannelGate as ChannelGate,
)
from .convolution import (
    FrameConv as FrameConv,
    SpaceTimeConv as SpaceTimeConv,
    TemporalConv as TemporalConv,
)
from .cost_convolution import (
    CoSTConv as CoSTConv,
)
from .extra_unit import (
    SmallBigExtraUnit as SmallBigExtraUnit,
    SqueezeExciteUnit as SqueezeExciteUnit,
)
from .nonlocal_block import (
    NonLocalBlock as NonLocalBlock,
)
from .normalization import (
    FusedBatchNormalization as FusedBatchNormalization,
)
from .pooling import (
    ClipPooling as ClipPooling,
    TimePooling as TimePooling,
)
from .smallbig_unit import (
    SmallBigUnit as SmallBigUnit,
)
from .space_to_depth import (
    SpaceToDepth as SpaceToDepth,
)
from .temporal_shift import (
    TemporalShift as TemporalShift,
)
from .windows import (
    WindowedMean as WindowedMean,
    WindowPooling as WindowPooling,
)
