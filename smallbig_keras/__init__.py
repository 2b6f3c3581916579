"""SmallBigNet and the video networks it is compared with, for Keras 3.

Public names are in `__init__.pyi` and are imported when they are first used, so that
`import smallbig_keras` alone imports neither Keras nor TensorFlow nor OpenCV.
"""

import lazy_loader
import wrapt

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


@wrapt.when_imported("keras")
def _register(_):
    """Registers layers and optimisers with Keras, so that it finds them in a `.keras` file."""
    from smallbig_keras import layers, optimizers

    return [getattr(layers, name) for name in layers.__all__], optimizers.SGDWithL2
