from .baselines import (
    C2DR23 as C2DR23,
    C2DR50 as C2DR50,
    C2DR101 as C2DR101,
    I3DR23 as I3DR23,
    I3DR50 as I3DR50,
    TSMR50 as TSMR50,
    TSMR101 as TSMR101,
    CoSTR50 as CoSTR50,
    CoSTR101 as CoSTR101,
    NonLocalR23 as NonLocalR23,
    NonLocalR50 as NonLocalR50,
    SlowOnlyR50 as SlowOnlyR50,
    SlowOnlyR101 as SlowOnlyR101,
)
from .efficient import (
    I3D as I3D,
    S3D as S3D,
    S3DG as S3DG,
    VoV3DL as VoV3DL,
    VoV3DM as VoV3DM,
)
from .inspection import (
    complexity as complexity,
    feature_extractor as feature_extractor,
)
from .registry import (
    get_model_function as get_model_function,
    list_models as list_models,
    list_variants as list_variants,
    model_spec as model_spec,
)
from .s3d import (
    VideoInception as VideoInception,
)
from .smallbig import (
    SmallBigR23 as SmallBigR23,
    SmallBigR50 as SmallBigR50,
    SmallBigR101 as SmallBigR101,
    SmallBigSlowOnlyR50 as SmallBigSlowOnlyR50,
)
from .specs.s3d import (
    S3DSpec as S3DSpec,
)
from .specs.video_resnet import (
    VideoResNetSpec as VideoResNetSpec,
)
from .specs.vov3d import (
    VoV3DSpec as VoV3DSpec,
)
from .video_resnet import (
    VideoResNet as VideoResNet,
)
from .vov3d import (
    VoV3D as VoV3D,
)
