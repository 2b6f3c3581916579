"""Options of networks that are refused, before anything is built."""

import pytest
import tensorflow as tf

import smallbig_keras
from tests.models.test_properties import build, clips


@pytest.mark.parametrize(
    "arguments, error, rule",
    [
        ({"weights": "k401"}, ValueError, "must be a path, a URL, or one of imagenet, k400"),
        ({"variant": "papers"}, ValueError, "'reference', 'paper'"),
        ({"pooling": "mean"}, ValueError, "None, 'avg' or 'max'"),
        ({"classes": 0}, ValueError, "`classes` must be"),
        ({"classes": True}, ValueError, "`classes` must be"),
        ({"input_shape": (8, 224, 3)}, ValueError, "`input_shape` must be"),
        ({"input_shape": (0, 8, 8, 3)}, ValueError, "`input_shape` must be"),
        ({"input_shape": (8, 8, 8, None)}, ValueError, "`input_shape` must be"),
        ({"input_tensor": 3}, ValueError, "must be a Keras tensor"),
        ({"smallbig_stages": (1, 2)}, ValueError, "stages among"),
        ({"smallbig_stages": 3}, ValueError, "must be a tuple"),
        ({"units": (1, 1)}, ValueError, "convolutions among"),
        ({"pool_sizes": ((3, 3, 3),)}, ValueError, "three sizes"),
        ({"pool_sizes": ((3, 3, 3), (2, 3, 3), (3, 3, 3))}, ValueError, "three odd ints"),
        ({"pool": "sum"}, ValueError, "`pool` must be"),
        ({"share_weights": "yes"}, ValueError, "`share_weights` must be"),
        ({"normalization": "both"}, ValueError, "`normalization` must be"),
        ({"extra": "nonlocal"}, ValueError, "`extra` must be"),
        ({"extra_position": "top"}, ValueError, "`extra_position` must be"),
        ({"extra_ratio": 0}, ValueError, "`extra_ratio` must be"),
        ({"dropout": 1.0}, ValueError, "`dropout` must be"),
        ({"blocks": (1, 2, 3)}, ValueError, "`blocks` must be"),
        ({"stem_frames": 4}, ValueError, "`stem_frames` must be an odd int"),
        ({"stem_stride": 0}, ValueError, "`stem_stride` must be"),
        ({"time_pool": 1.5}, ValueError, "`time_pool` must be"),
        ({"temporal": "5x1x1"}, ValueError, "`temporal` must be one of"),
        ({"temporal_blocks": (1, 0)}, ValueError, "four tuples of zeros and ones"),
        ({"temporal_blocks": ((1,), (2,), (), (1,))}, ValueError, "four tuples of zeros and ones"),
        ({"nonlocal_blocks": ((1,),) * 3}, ValueError, "four tuples of zeros and ones"),
        ({"nonlocal_stages": (6,)}, ValueError, "stages among"),
        ({"nonlocal_mode": "gaussian"}, ValueError, "`nonlocal_mode` must be one of"),
        ({"nonlocal_pool": True}, ValueError, "`nonlocal_pool` must be one of"),
        (
            {"nonlocal_stages": (3,), "nonlocal_blocks": ((0,),) * 4},
            ValueError,
            "takes none of the blocks",
        ),
        ({"temporal_stages": (3,), "temporal": "cost_b"}, ValueError, "convolution 2 is either"),
        ({"temporal_stages": (4,)}, ValueError, "either 3x1x1 or has a big view"),
        ({"droput": 0.5}, TypeError, "Did you mean 'dropout'. Received: droput\n"),
        ({"num_classes": 10}, TypeError, "Did you mean 'classes'. Received: num_classes\n"),
        ({"weight": None}, TypeError, "Did you mean 'weights'. Received: weight\n"),
        ({"xyz": 1}, TypeError, "Received: xyz\n.* arguments include_top.*\n.* options blocks"),
    ],
)
def test_bad_arguments(arguments, error, rule):
    with pytest.raises(error, match=rule) as raised:
        smallbig_keras.SmallBigR50(**arguments)
    assert "Received: " in str(raised.value)


@pytest.mark.parametrize(
    "name, options, rule",
    [
        ("C2DR50", {"extra": "smallbig"}, "`extra` changes nothing in C2DR50 .*`smallbig_stages`"),
        ("TSMR50", {"units": (1,)}, "`units` changes nothing"),
        ("SmallBigR23", {"extra_ratio": 8}, "without `extra`"),
        ("SmallBigSlowOnlyR50", {"normalization": "single"}, "without `units`"),
        ("CoSTR50", {"nonlocal_pool": None}, "without `nonlocal_stages`"),
        ("C2DR50", {"temporal": "shift"}, "without `temporal_stages`"),
        (
            "NonLocalR50",
            {"nonlocal_mode": "dot_product", "nonlocal_scale": False},
            "without `nonlocal_mode='embedded_gaussian'`",
        ),
    ],
)
def test_options_of_another_family(name, options, rule, monkeypatch):
    monkeypatch.setattr("smallbig_keras.models.video_resnet.VideoResNet", None)
    with pytest.raises(TypeError, match=f"{rule}.* Received: [a-z_]+="):
        getattr(smallbig_keras, name)(**options)


def test_options_that_change_nothing_may_be_as_they_are():
    smallbig_keras.C2DR50(extra=None, temporal="3x1x1", input_shape=(2, 32, 32, 3))


@pytest.mark.parametrize(
    "name, variant, factor", [("C2DR50", "pooled", 2), ("CoSTR101", "b_32f", 8)]
)
def test_frames_that_a_pooling_over_time_does_not_divide(name, variant, factor):
    with pytest.raises(ValueError, match=f"a multiple of {factor}. Received: {factor + 1} frames"):
        build(name, variant, input_shape=(factor + 1, 32, 32, 3))
    open_model = build(name, variant, input_shape=(None, 32, 32, 3))
    assert open_model(clips((1, factor, 32, 32, 3))).shape == (1, 5)
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)):
        open_model(clips((1, factor + 1, 32, 32, 3)))
