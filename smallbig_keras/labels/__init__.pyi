from .predictions import (
    class_names as class_names,
    decode_predictions as decode_predictions,
)
from .preprocessing import (
    preprocess_input as preprocess_input,
)
