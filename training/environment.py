"""Settings that TensorFlow reads when it is imported: import this first."""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# TensorFlow takes oneDNN by itself on processors with AVX-512 only. With AVX2 a training step of
# SmallBigR50 (4 clips of 8 x 112 x 112, 2 cores) took 3.6 s with it and 7.2 s without.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
