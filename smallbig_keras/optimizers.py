"""The optimiser of the recipes, and the rise of its learning rate."""

import keras
from keras import ops

from smallbig_keras.errors import SmallBigError
from smallbig_keras.replicas import count_replicas, sum_over_replicas

_CLIPPING = ("clipnorm", "clipvalue", "global_clipnorm")


@keras.saving.register_keras_serializable(package="smallbig_keras")
class SGDWithL2(keras.optimizers.SGD):
    """Stochastic gradient descent as PyTorch computes it, which the published recipes mean.

    With gradient `g` of weight `w`: `v = momentum * v + (g + l2 * w)` and
    `w = w - learning_rate * v`, for every trainable weight, normalisations and biases too.
    Keras' own `weight_decay` shrinks the weights outside the momentum, and its momentum holds
    the learning rates of past steps; both train differently once the rate changes.

    With `gradient_accumulation_steps=n` every n-th step updates the weights, with the mean of
    the n gradients in the place of `g`. `iterations` and a schedule count steps, so an update has
    the rate of its last step. Keras' own accumulation fails on several devices.

    `clipnorm`, `clipvalue` and `global_clipnorm` limit `g`: the gradients of all devices are
    summed and accumulated first, and `l2` is added after. Keras clips the share of each device,
    which gives other weights than one device.

    With `use_ema=True` the optimiser keeps a moving average of every trainable weight, for
    `keras.callbacks.SwapEMAWeights`. Each update of the weights moves it by one step:
    `average = ema_momentum * average + (1 - ema_momentum) * w`. Until the first update it is
    the weight itself. The moving statistics of normalisations are not averaged.

    Args:
        learning_rate: float or schedule. Defaults to `0.01`.
        momentum: float. Defaults to `0.9`.
        l2: float. Share of the weight added to its gradient. Defaults to `1e-4`.
        nesterov: bool. Whether the step looks ahead along the momentum. Defaults to `False`.
        gradient_accumulation_steps: int. Steps whose mean gradient makes one update. Defaults
            to `None`, which is 1.
        name: str. Name of the optimiser. Defaults to `"sgd_with_l2"`.
        **kwargs: the other arguments of `keras.optimizers.SGD`, of which `weight_decay` must
            not be set, and `ema_overwrite_frequency` only on one device without accumulation.

    Raises:
        ValueError: if `l2` is negative, `weight_decay` is set, `gradient_accumulation_steps` is
            below 1, a limit of the gradient is not above 0, or `ema_overwrite_frequency` goes
            with accumulation or several devices.

    Example:

    >>> SGDWithL2(0.1, l2=1e-4).l2
    0.0001
    """

    def __init__(
        self,
        learning_rate=0.01,
        momentum=0.9,
        l2=1e-4,
        nesterov=False,
        gradient_accumulation_steps=None,
        name="sgd_with_l2",
        **kwargs,
    ):
        if l2 < 0 or kwargs.get("weight_decay"):
            raise SmallBigError(
                "`l2` must be at least 0 and takes the place of `weight_decay`. "
                f"Received: l2={l2}, weight_decay={kwargs.get('weight_decay')}"
            )
        accumulated = 1 if gradient_accumulation_steps is None else gradient_accumulation_steps
        if accumulated < 1:
            raise SmallBigError(
                "`gradient_accumulation_steps` must be at least 1. "
                f"Received: gradient_accumulation_steps={accumulated}"
            )
        for limit in _CLIPPING:
            if kwargs.get(limit) is not None and not kwargs[limit] > 0:
                raise SmallBigError(f"`{limit}` must be above 0. Received: {kwargs[limit]}")
        if accumulated > 1 and kwargs.get("ema_overwrite_frequency"):
            raise _overwriting_error(f"gradient_accumulation_steps={accumulated}")
        super().__init__(
            learning_rate=learning_rate, momentum=momentum, nesterov=nesterov, name=name, **kwargs
        )
        self.l2 = l2
        self.accumulated_steps = accumulated

    def build(self, variables):
        if self.built:
            return
        if self.use_ema and self.ema_overwrite_frequency:
            replicas = count_replicas()
            if replicas > 1:
                raise _overwriting_error(f"{replicas} devices")
        super().build(variables)
        if self.accumulated_steps > 1:
            self.gradient_sums = [
                self.add_variable_from_reference(variable, name="gradient_sum")
                for variable in variables
            ]

    def update_step(self, gradient, variable, learning_rate):
        learning_rate = ops.cast(learning_rate, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype)
        last = self._is_update()
        if not self.momentum:
            step = gradient + self.l2 * variable
        else:
            # The terms without the gradient are ready when the step begins: TensorFlow computes
            # them then, so they go into the velocity at once, or each would wait in a copy of the
            # weights until its gradient is there.
            velocity = self.momentums[self._get_variable_index(variable)]
            old = ops.convert_to_tensor(velocity)
            self.assign(velocity, _where(last, self.momentum * old + self.l2 * variable, old))
            self.assign_add(velocity, _where(last, gradient, 0.0))
            step = velocity
            if self.nesterov:
                step = gradient + self.l2 * variable + self.momentum * velocity
        self.assign_sub(variable, _where(last, learning_rate * step, 0.0))

    def get_config(self):
        config = {"l2": self.l2, "gradient_accumulation_steps": self.accumulated_steps}
        return {**super().get_config(), **config}

    def _is_update(self):
        """Tells, as a tensor, whether this step updates the weights; `None` if every step does.

        Weights are chosen by value: devices cannot wait for each other inside a branch of a graph.
        """
        if self.accumulated_steps == 1:
            return None
        return ops.equal((self.iterations + 1) % self.accumulated_steps, 0)

    # === Steps of Keras' `apply`, of which the order is changed ===

    def _clip_gradients(self, grads):
        """Passes gradients on: a replica has its share of the sum here, and limits are for all."""
        return grads

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        """Updates from the gradient of all replicas and accumulated steps, within the limits."""
        grads = sum_over_replicas(list(grads))
        if self.accumulated_steps > 1:
            grads = [
                self._accumulate(gradient, variable)
                for gradient, variable in zip(grads, trainable_variables, strict=True)
            ]
        grads = super()._clip_gradients(grads)
        super()._backend_update_step(grads, trainable_variables, learning_rate)

    def _all_reduce_sum_gradients(self, grads_and_vars):
        """Passes gradients on, which are sums over the replicas already."""
        return grads_and_vars

    def _accumulate(self, gradient, variable):
        """Adds a gradient to its sum, which an update empties; returns the mean of the steps."""
        sums = self.gradient_sums[self._get_variable_index(variable)]
        total = sums + ops.cast(gradient, variable.dtype)
        self.assign(sums, ops.where(self._is_update(), 0.0, total))
        return total / self.accumulated_steps

    def _update_model_variables_moving_average(self, trainable_variables):
        """Moves the averages at updates; before the first one they are the weights."""
        first = self.iterations < self.accumulated_steps
        last = self._is_update()
        averages = self._model_variables_moving_average
        for variable, average in zip(trainable_variables, averages, strict=True):
            weight, old = ops.convert_to_tensor(variable), ops.convert_to_tensor(average)
            moved = self.ema_momentum * old + (1 - self.ema_momentum) * weight
            self.assign(average, ops.where(first, weight, _where(last, moved, old)))


def _overwriting_error(received):
    return SmallBigError(
        "`ema_overwrite_frequency` goes with one device and without accumulation; "
        f"`keras.callbacks.SwapEMAWeights` has no such limits. Received: {received}"
    )


@keras.saving.register_keras_serializable(package="smallbig_keras")
class LossScaleOptimizer(keras.optimizers.LossScaleOptimizer):
    """`keras.optimizers.LossScaleOptimizer` that leaves a step out where any replica overflows.

    Keras looks at the gradients of the first replica, before the sum, so that an infinity of
    another replica enters the weights. State and saving are those of Keras.

    Args:
        inner_optimizer: `keras.optimizers.Optimizer`. Optimiser of the unscaled gradients.
        initial_scale: float. First factor of the loss. Defaults to `32768.0`.
        dynamic_growth_steps: int. Steps without overflow that double the factor. Defaults to
            `2000`.
        name: str. Name of the optimiser. Defaults to `None`, one that Keras makes.
        **kwargs: none; Keras refuses others.

    Example:

    >>> LossScaleOptimizer(SGDWithL2(0.1)).initial_scale
    32768.0
    """

    def check_finite(self, grads):
        finite = super().check_finite(grads)
        overflows = sum_over_replicas([ops.cast(ops.logical_not(finite), "float32")])[0]
        return ops.equal(overflows, 0.0)


def _where(condition, value, other):
    """Chooses by a condition; `None` holds always."""
    return value if condition is None else ops.where(condition, value, other)


@keras.saving.register_keras_serializable(package="smallbig_keras")
class Warmup(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that rises in a line to that of a schedule, and then follows it.

    Args:
        schedule: float or `keras.optimizers.schedules.LearningRateSchedule`.
        warmup_steps: int. Steps of the rise.
        start: float. Learning rate of the first step.

    Example:

    >>> float(Warmup(1.0, warmup_steps=10, start=0.5)(5))
    0.75
    """

    def __init__(self, schedule, warmup_steps, start):
        super().__init__()
        if isinstance(schedule, dict):
            schedule = keras.optimizers.schedules.deserialize(schedule)
        self.schedule = schedule
        self.warmup_steps = warmup_steps
        self.start = start

    def __call__(self, step):
        step = ops.cast(step, "float32")
        target = self._rate(ops.cast(self.warmup_steps, "float32"))
        rising = self.start + (target - self.start) * step / self.warmup_steps
        return ops.where(step < self.warmup_steps, rising, self._rate(step))

    def _rate(self, step):
        return self.schedule(step) if callable(self.schedule) else self.schedule

    def get_config(self):
        schedule = self.schedule
        if callable(schedule):
            schedule = keras.optimizers.schedules.serialize(schedule)
        return {"schedule": schedule, "warmup_steps": self.warmup_steps, "start": self.start}
