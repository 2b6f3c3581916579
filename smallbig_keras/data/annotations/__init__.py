"""Which videos a dataset holds and what they show: a reader a dataset, behind one door."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
