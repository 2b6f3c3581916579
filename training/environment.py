"""Settings of the process that come before TensorFlow: import this first."""

import ctypes
import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# TensorFlow takes oneDNN by itself on processors with AVX-512 only. With AVX2 a training step of
# SmallBigR50 (4 clips of 8 x 112 x 112, 2 cores) took 3.6 s with it and 7.2 s without.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

# Clips are large: by default glibc gives their memory back and asks for it again, which clears it
# page by page. Training clips from folders of JPEG files took 14.7 ms of processor time each, and
# 9.8 ms with memory kept, for 0.6 GB more (8 x 224 x 224, 2 cores).
_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
if hasattr(ctypes.CDLL(None), "mallopt"):
    ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, 256 << 20)
    ctypes.CDLL(None).mallopt(_TRIM_THRESHOLD, 512 << 20)
