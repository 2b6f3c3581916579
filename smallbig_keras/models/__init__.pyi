from .baselines import (
    C2DR23 as C2DR23,
)
from .baselines import (
    C2DR50 as C2DR50,
)
from .baselines import (
    C2DR101 as C2DR101,
)
from .baselines import (
    SlowOnlyR50 as SlowOnlyR50,
)
from .inspection import (
    complexity as complexity,
)
from .inspection import (
    feature_extractor as feature_extractor,
)
from .registry import (
    get_model_function as get_model_function,
)
from .registry import (
    list_models as list_models,
)
from .registry import (
    list_variants as list_variants,
)
from .registry import (
    model_spec as model_spec,
)
from .smallbig import (
    SmallBigR23 as SmallBigR23,
)
from .smallbig import (
    SmallBigR50 as SmallBigR50,
)
from .smallbig import (
    SmallBigR101 as SmallBigR101,
)
from .smallbig import (
    SmallBigSlowOnlyR50 as SmallBigSlowOnlyR50,
)
from .spec import (
    VideoResNetSpec as VideoResNetSpec,
)
from .video_resnet import (
    VideoResNet as VideoResNet,
)
