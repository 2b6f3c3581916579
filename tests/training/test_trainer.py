"""The step of a training: how it waits for clips, and in which order it adds gradients."""

import time

import tensorflow as tf

from smallbig_keras.training import compiling

CONFIG = {
    **{"model": "C2DR23", "variant": "reference", "options": {"blocks": [1, 1, 1, 1], "width": 8}},
    **{"weights": "none", "freeze": [], "sync_bn": False, "jit": "off", "epochs": 1},
    **{"schedule": "cosine", "lr": 0.01, "momentum": 0.9, "weight_decay": 0},
    **{"mixup_mode": "none", "class_names": ["a", "b"], "frames": 2, "size": 32},
    **{"sampling": "segment", "stride": 8, "test_short_side": 36},
}


def test_waiting_is_measured_outside_of_the_graph():
    """A slow loader is waited for, without a clock in the graph."""
    model = compiling.make_model(dict(CONFIG), steps=4)

    def slow(index):
        time.sleep(0.5)
        return index

    clips = tf.data.Dataset.range(4).map(
        lambda index: tf.numpy_function(slow, [index], tf.int64, stateful=False)
    )
    clips = clips.map(lambda _: (tf.zeros((2, 2, 32, 32, 3), tf.uint8), tf.zeros(2, tf.int32)))
    model.fit(clips, steps_per_epoch=4, shuffle=False, verbose=0)
    assert model.steps_done == 4
    assert 0.4 < model.seconds_waited < 5


def test_sums_of_gradients_have_one_order():
    """No sum of three and more: TensorFlow begins it with the term whose memory is free first."""
    config = {**CONFIG, "model": "S3DG", "variant": "slim", "options": {"width": 16}}
    config |= {"frames": 8, "size": 64, "test_short_side": 64}
    model = compiling.make_model(config, steps=4)
    clips, labels = tf.zeros((2, 8, 64, 64, 3), tf.uint8), tf.zeros(2, tf.int32)
    model.optimizer.build(model.trainable_variables)
    step = tf.function(lambda: model.train_step((clips, labels)))
    graph = step.get_concrete_function().graph
    sums = [
        len(operation.inputs) for operation in graph.get_operations() if operation.type == "AddN"
    ]
    assert len(sums) > 20 and max(sums) == 2
