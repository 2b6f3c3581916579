"""The optimiser of the recipes, and the rise of its learning rate."""

import keras
from keras import ops

from smallbig_keras.errors import SmallBigError


@keras.saving.register_keras_serializable(package="smallbig_keras")
class SGDWithL2(keras.optimizers.SGD):
    """Stochastic gradient descent as PyTorch computes it, which the published recipes mean.

    With gradient `g` of weight `w`: `v = momentum * v + (g + l2 * w)` and
    `w = w - learning_rate * v`, for every trainable weight, normalisations and biases too.
    Keras' own `weight_decay` shrinks the weights outside the momentum, and its momentum holds
    the learning rates of past steps; both train differently once the rate changes.

    Args:
        learning_rate: float or schedule. Defaults to `0.01`.
        momentum: float. Defaults to `0.9`.
        l2: float. Share of the weight added to its gradient. Defaults to `1e-4`.
        nesterov: bool. Whether the step looks ahead along the momentum. Defaults to `False`.
        name: str. Name of the optimiser. Defaults to `"sgd_with_l2"`.
        **kwargs: the other arguments of `keras.optimizers.SGD`, of which `weight_decay` must
            not be set.

    Raises:
        ValueError: if `l2` is negative, or `weight_decay` is set.

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
        name="sgd_with_l2",
        **kwargs,
    ):
        if l2 < 0 or kwargs.get("weight_decay"):
            raise SmallBigError(
                "`l2` must be at least 0 and takes the place of `weight_decay`. "
                f"Received: l2={l2}, weight_decay={kwargs.get('weight_decay')}"
            )
        super().__init__(
            learning_rate=learning_rate, momentum=momentum, nesterov=nesterov, name=name, **kwargs
        )
        self.l2 = l2

    def update_step(self, gradient, variable, learning_rate):
        learning_rate = ops.cast(learning_rate, variable.dtype)
        step = ops.cast(gradient, variable.dtype) + self.l2 * variable
        if self.momentum:
            velocity = self.momentums[self._get_variable_index(variable)]
            self.assign(velocity, self.momentum * velocity + step)
            step = step + self.momentum * velocity if self.nesterov else velocity
        self.assign_sub(variable, learning_rate * step)

    def get_config(self):
        return {**super().get_config(), "l2": self.l2}


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
