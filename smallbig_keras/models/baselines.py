"""Networks that SmallBigNet is compared with and that share its trunk."""

from smallbig_keras.data.clips import KINETICS
from smallbig_keras.models.factory import define_model
from smallbig_keras.models.spec import VideoResNetSpec

C2DR23 = define_model(
    __name__,
    "C2DR23",
    "The 2-D ResNet of 23 layers on every frame (paper, Table 1).",
    KINETICS,
    reference=VideoResNetSpec(blocks=(1, 2, 3, 1)),
)
C2DR50 = define_model(
    __name__,
    "C2DR50",
    "The 2-D ResNet-50 on every frame (paper, Table 1).",
    KINETICS,
    reference=VideoResNetSpec(),
)
C2DR101 = define_model(
    __name__,
    "C2DR101",
    "The 2-D ResNet-101 on every frame.",
    KINETICS,
    reference=VideoResNetSpec(blocks=(3, 4, 23, 3)),
)
SlowOnlyR50 = define_model(
    __name__,
    "SlowOnlyR50",
    "ResNet-50 with 3x1x1 convolutions in res4 and res5 (Feichtenhofer et al., 2019).",
    KINETICS,
    reference=VideoResNetSpec(temporal_stages=(4, 5)),
)
