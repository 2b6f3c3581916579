from . import (
    data as data,
    evaluation as evaluation,
    export as export,
    labels as labels,
    layers as layers,
    models as models,
    optimizers as optimizers,
    training as training,
    weights as weights,
)
from .classifier import VideoClassifier as VideoClassifier
from .errors import SmallBigError as SmallBigError
from .labels import (
    class_names as class_names,
    decode_predictions as decode_predictions,
    preprocess_input as preprocess_input,
)
from .models import (
    C2DR23 as C2DR23,
    C2DR50 as C2DR50,
    C2DR101 as C2DR101,
    I3D as I3D,
    I3DR23 as I3DR23,
    I3DR50 as I3DR50,
    S3D as S3D,
    S3DG as S3DG,
    TSMR50 as TSMR50,
    TSMR101 as TSMR101,
    CoSTR50 as CoSTR50,
    CoSTR101 as CoSTR101,
    NonLocalR23 as NonLocalR23,
    NonLocalR50 as NonLocalR50,
    SlowOnlyR50 as SlowOnlyR50,
    SlowOnlyR101 as SlowOnlyR101,
    SmallBigR23 as SmallBigR23,
    SmallBigR50 as SmallBigR50,
    SmallBigR101 as SmallBigR101,
    SmallBigSlowOnlyR50 as SmallBigSlowOnlyR50,
    VoV3DL as VoV3DL,
    VoV3DM as VoV3DM,
    complexity as complexity,
    feature_extractor as feature_extractor,
    list_models as list_models,
)
from .opening import (
    classify as classify,
    load as load,
)
from .version import __version__ as __version__
from .weights import list_weights as list_weights
