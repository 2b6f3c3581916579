from .convolution import (
    FrameConv as FrameConv,
    TemporalConv as TemporalConv,
)
from .extra_unit import (
    SmallBigExtraUnit as SmallBigExtraUnit,
    SqueezeExciteUnit as SqueezeExciteUnit,
)
from .normalization import (
    FusedBatchNormalization as FusedBatchNormalization,
)
from .pooling import (
    ClipPooling as ClipPooling,
)
from .smallbig_unit import (
    SmallBigUnit as SmallBigUnit,
)
