"""Video data, from files to batches of clips.

The way of a clip: `annotations` list the videos, an `index` knows their frames, `sampling` chooses
some, `decoding` or `frame_folders` reads them for `sources`, or `shards` do, `transforms` cut the
clip, and `dataset` makes batches, in which `batch_augmentation` may mix clips.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
