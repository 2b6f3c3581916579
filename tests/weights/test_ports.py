"""The map to the authors' names: complete, or an error that lists everything."""

import numpy as np
import pytest

import smallbig_keras
from smallbig_keras.weights import WeightsError, port_state_dict, reference_variables
from tests.reference_formula import CASES, clip, golden, relative_error, weight
from tests.weights.torch_writer import write_torch

SHAPE = {"input_shape": (2, 32, 32, 3), "blocks": (1, 1, 1, 1), "classes": 10}


def state(case="net_smallbig_extra"):
    return {name: weight(name, shape) for name, shape in CASES[case]["state_dict"]}


def test_names_are_those_of_the_authors():
    model = smallbig_keras.SmallBigR50(**SHAPE)
    names = {name for name in state() if not name.endswith("num_batches_tracked")}
    assert set(reference_variables(model)) == names


def test_every_problem_is_listed_and_nothing_changes():
    model = smallbig_keras.SmallBigR50(**SHAPE)
    before = [w.numpy() for w in model.weights]
    damaged = state()
    del damaged["layer2.0.big1.1.weight"]
    damaged["layer9.0.conv1.weight"] = np.zeros(3)
    damaged["bn1.weight"] = np.zeros(63)
    with pytest.raises(ValueError) as error:
        port_state_dict(model, damaged)
    message = str(error.value)
    assert "missing: layer2.0.big1.1.weight" in message
    assert "unexpected: layer9.0.conv1.weight" in message
    assert "of another shape: bn1.weight (63,) for (64,)" in message
    count = sum(not name.endswith("num_batches_tracked") for name in damaged)
    nearest = f"{count - 1} of {count} names are those of the authors and torchvision for Small"
    assert message.splitlines()[-1].startswith(f"nearest: {nearest}")
    for weight_, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight_.numpy(), value)


def test_an_unknown_code_is_told_the_nearest():
    model = smallbig_keras.SmallBigR50(**SHAPE)
    damaged = {f"encoder.{name}": array for name, array in state().items()}
    with pytest.raises(WeightsError, match="of the authors and torchvision .* behind 'encoder.'"):
        port_state_dict(model, damaged)
    other = {"trunk.weight": np.zeros((3, 3, 3, 3))}
    with pytest.raises(WeightsError, match="No name is one .*: .*trunk.weight and .4. axes"):
        port_state_dict(model, other)
    many = {**state(), **{f"layer9.{i}.conv1.weight": np.zeros(3) for i in range(30)}}
    with pytest.raises(WeightsError, match=r"unexpected: (layer9.\d+.\w+.weight, ){5}... 30 in"):
        port_state_dict(model, many)


def test_options_that_the_authors_do_not_have():
    model = smallbig_keras.SmallBigR50(share_weights=False, **SHAPE)
    with pytest.raises(ValueError, match="no counterpart.*Received: 'res3_block1_extra/big_red"):
        reference_variables(model)


@pytest.fixture(scope="module")
def resnet50():
    """A state dict of torchvision's ResNet-50 by formula."""
    model = smallbig_keras.C2DR50(input_shape=(1, 32, 32, 3), classes=1000)
    shapes = {}
    for name, variable in reference_variables(model).items():
        shape = tuple(variable.shape)
        shapes[name] = (*shape[:1:-1], *shape[:2]) if len(shape) == 4 else shape[::-1]
    state = {}
    for name, shape in shapes.items():
        # The formula of the golden numbers knows convolutions of five axes.
        value = weight(name, (*shape[:2], 1, *shape[2:]) if len(shape) == 4 else shape)
        state[name] = value.reshape(shape)
        if name.endswith("running_var"):
            state[name.replace("running_var", "num_batches_tracked")] = np.zeros((), "int64")
    return state


def clips(rng, frames=3, size=32):
    return rng.standard_normal((2, frames, size, size, 3)).astype("float32")


def test_torchvision_names_and_sizes(resnet50):
    """Facts of the published file: 320 entries, 25,557,032 parameters, kernels `OIHW`."""
    assert len(resnet50) == 320
    moving = ("running_mean", "running_var", "num_batches_tracked")
    assert sum(v.size for k, v in resnet50.items() if not k.endswith(moving)) == 25_557_032
    assert resnet50["conv1.weight"].shape == (64, 3, 7, 7)
    assert resnet50["layer1.0.downsample.0.weight"].shape == (256, 64, 1, 1)
    assert resnet50["fc.weight"].shape == (1000, 2048)


def test_new_smallbig_is_the_resnet_on_every_frame(resnet50, rng):
    """SmallBigR50 from a 2-D ResNet gives its scores, averaged over the frames."""
    x = clips(rng)
    options = {"input_shape": x.shape[1:], "classes": 1000, "classifier_activation": None}
    plain = smallbig_keras.C2DR50(**options)
    port_state_dict(plain, resnet50)
    frames = x.reshape(-1, 1, *x.shape[2:])
    each = smallbig_keras.C2DR50(**{**options, "input_shape": frames.shape[1:]})
    port_state_dict(each, resnet50)
    expected = each.predict(frames, verbose=0).reshape(2, 3, 1000).mean(1)
    assert relative_error(plain.predict(x, verbose=0), expected) < 1e-5
    for variant in ("reference", "paper"):
        model = smallbig_keras.SmallBigR50(variant=variant, **options)
        report = port_state_dict(model, resnet50)
        assert relative_error(model.predict(x, verbose=0), expected) < 1e-5
        assert all("big_norm" in path or "_extra" in path for path in report.new)
        assert not report.skipped


def test_own_convolution_of_the_big_view_starts_as_that_of_the_small(resnet50):
    model = smallbig_keras.SmallBigR50(
        input_shape=(2, 32, 32, 3), classes=1000, share_weights=False
    )
    report = port_state_dict(model, resnet50)
    unit = model.get_layer("res4_block2_unit1")
    np.testing.assert_array_equal(unit.conv.kernel, unit.big_conv.kernel)
    assert f"{unit.name}/big_conv/kernel" in report.loaded


def test_kernels_over_time(resnet50):
    """3x1x1 kernels are the 1x1 kernel in every frame, divided by 3."""
    model = smallbig_keras.SlowOnlyR50(input_shape=(4, 32, 32, 3))
    with_skip = port_state_dict(model, resnet50, "resnet50.pth")
    kernel = model.get_layer("res4_block1_unit1_conv").kernel.numpy()
    expected = np.moveaxis(resnet50["layer3.0.conv1.weight"], (1, 0), (-2, -1))[0, 0]
    assert kernel.shape == (3, 1, 512, 256)
    for frame in range(3):
        np.testing.assert_allclose(kernel[frame, 0], expected / 3, rtol=1e-6)
    assert with_skip.new == ["classifier/kernel", "classifier/bias"]
    assert set(with_skip.skipped) == {"fc.weight", "fc.bias"}
    assert "1000 classes, the model has 400" in str(with_skip)


def test_r23_takes_the_first_blocks(resnet50):
    model = smallbig_keras.SmallBigR23(input_shape=(2, 32, 32, 3))
    report = port_state_dict(model, resnet50)
    kernel = model.get_layer("res4_block3_unit2").conv.kernel
    expected = np.moveaxis(resnet50["layer3.2.conv2.weight"], (1, 0), (-2, -1))
    np.testing.assert_array_equal(kernel, expected)
    fewer = {k for k, why in report.skipped.items() if why == "the model has fewer blocks"}
    blocks = {tuple(name.split(".")[:2]) for name in fewer}
    stages = {"layer1": (1, 3), "layer2": (2, 4), "layer3": (3, 6), "layer4": (1, 3)}
    assert blocks == {(s, str(i)) for s, (low, high) in stages.items() for i in range(low, high)}


def test_without_a_head(resnet50):
    model = smallbig_keras.SmallBigR23(input_shape=(2, 32, 32, 3), include_top=False)
    report = port_state_dict(model, resnet50)
    assert report.skipped["fc.weight"] == "the model has no classifier"
    assert not any(path.startswith("classifier") for path in report.new)


def test_torchvision_problems_are_listed(resnet50):
    model = smallbig_keras.SmallBigR50(input_shape=(2, 32, 32, 3))
    damaged = dict(resnet50)
    del damaged["bn1.bias"]
    damaged["layer1.0.conv1.bias"] = np.zeros(64)
    damaged["layer2.0.bn1.weight"] = np.zeros(7)
    with pytest.raises(WeightsError) as error:
        port_state_dict(model, damaged, "file.pth")
    message = str(error.value)
    assert "Received: file.pth" in message and "missing: bn1.bias" in message
    assert "unexpected: layer1.0.conv1.bias" in message
    assert "of another shape: layer2.0.bn1.weight (7,) for (128,)" in message


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"w": np.zeros((1, 2))},
        {"fc.weight": np.zeros((1, 2))},
        {"a": np.zeros((1,) * 4), "b": np.zeros((1,) * 5)},
        {"conv1.weight": np.zeros((1,) * 4), "layer1.0.conv1.weight": np.zeros((1,) * 5)},
    ],
)
def test_what_is_no_network(state):
    model = smallbig_keras.C2DR23(input_shape=(2, 32, 32, 3))
    with pytest.raises(WeightsError, match="convolutions of a network.*Received: a state dict"):
        port_state_dict(model, state)


GOLDEN_NETWORKS = {"r50_smallbig_extra": "SmallBigR50", "r101_smallbig": "SmallBigR101"}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("case", GOLDEN_NETWORKS)
def test_full_checkpoints_give_the_golden_logits(case, legacy, tmp_path):
    """The authors' training checkpoint, in both formats, through `weights=PATH`."""
    from tests.models.test_golden_networks import reference_shapes, torch_shape

    facts, function = CASES[case], getattr(smallbig_keras, GOLDEN_NETWORKS[case])
    shape = (facts["frames"], facts["size"], facts["size"], 3)
    options = {
        "input_shape": shape,
        "classes": facts["classes"],
        "classifier_activation": None,
    }
    names = [(n, torch_shape(n, s)) for n, s in reference_shapes(function(**options))]
    checkpoint = {
        "epoch": 100,
        "best_metric": 1.5,
        "state_dict": {f"module.{n}": weight(n, s) for n, s in names},
        "optimizer": {"state": {0: {"momentum_buffer": np.zeros(3, "float32")}}},
    }
    file = write_torch(tmp_path / "model_best.pth", checkpoint, legacy)
    model = function(weights=file, **options)
    logits = model(clip(case, (facts["batch"], *shape)), training=False)
    assert relative_error(logits, golden(case)["eval"]) < 1e-5
