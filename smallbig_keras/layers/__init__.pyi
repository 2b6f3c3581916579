from .convolution import (
    FrameConv as FrameConv,
)
from .convolution import (
    TemporalConv as TemporalConv,
)
from .extra_unit import (
    SmallBigExtraUnit as SmallBigExtraUnit,
)
from .extra_unit import (
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
