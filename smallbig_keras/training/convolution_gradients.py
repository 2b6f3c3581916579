"""Gradients of convolutions by matrix products, where a processor is faster with them."""

import contextlib

import tensorflow as tf

_NAME = "smallbig_keras>Conv2D"
# Of fewer channels the copies of the frames take longer than the products save.
MANY = 512


@contextlib.contextmanager
def gradients_of_columns():
    """Within it, a graph takes the gradient of a kernel of one column by matrix products.

    A kernel `k x 1`, as a convolution over time has it, is `k` products of pixels and gradients,
    each over the frames that a row of the kernel meets. For few frames of many pixels,
    TensorFlow's own operation is slower on a processor. Other kernels, and all of them where
    there is a GPU, keep it.
    """
    if tf.config.list_physical_devices("GPU"):
        yield
        return
    with tf.compat.v1.get_default_graph().gradient_override_map({"Conv2D": _NAME}):
        yield


@tf.RegisterGradient(_NAME)
def _gradients(convolution, gradient):
    images, kernel = convolution.inputs
    names = ("strides", "padding", "explicit_paddings", "data_format", "dilations")
    options = {name: convolution.get_attr(name) for name in names}
    by_images = tf.raw_ops.Conv2DBackpropInput(
        input_sizes=tf.shape(images), filter=kernel, out_backprop=gradient, **options
    )
    if _is_column(images, kernel, options):
        return by_images, _by_column(images, kernel, gradient, options)
    by_kernel = tf.raw_ops.Conv2DBackpropFilter(
        input=images, filter_sizes=tf.shape(kernel), out_backprop=gradient, **options
    )
    return by_images, by_kernel


def _is_column(images, kernel, options):
    """Tells whether a kernel is `k x 1`, of many channels in one group, as products can take it."""
    same = options["padding"] == b"SAME"
    return (
        kernel.shape[0] > kernel.shape[1] == 1
        and kernel.shape[2] >= MANY
        and kernel.shape[2] == images.shape[3]
        and options["data_format"] == b"NHWC"
        and options["dilations"] == [1, 1, 1, 1]
        and (same and options["strides"] == [1, 1, 1, 1] or options["padding"] == b"VALID")
    )


def _by_column(images, kernel, gradient, options):
    rows, _, channels, filters = kernel.shape
    _, step, across, _ = options["strides"]
    if options["padding"] == b"SAME":
        before = (rows - 1) // 2
        images = tf.pad(images, ((0, 0), (before, rows - 1 - before), (0, 0), (0, 0)))
    reach = (tf.shape(gradient)[1] - 1) * step + 1
    gradient = tf.reshape(gradient, (-1, filters))
    products = []
    for row in range(rows):
        met = tf.reshape(images[:, row : row + reach : step, ::across], (-1, channels))
        products.append(tf.matmul(met, gradient, transpose_a=True))
    return tf.reshape(tf.stack(products), kernel.shape)
