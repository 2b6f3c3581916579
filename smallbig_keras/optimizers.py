"""The optimiser of the recipes, and the rise of its learning rate."""

import keras
from keras import ops

from smallbig_keras.errors import SmallBigError

# Arguments of Keras that would be applied to each gradient of a sum.
_PER_STEP = ("clipnorm", "clipvalue", "global_clipnorm", "use_ema")


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

    Args:
        learning_rate: float or schedule. Defaults to `0.01`.
        momentum: float. Defaults to `0.9`.
        l2: float. Share of the weight added to its gradient. Defaults to `1e-4`.
        nesterov: bool. Whether the step looks ahead along the momentum. Defaults to `False`.
        gradient_accumulation_steps: int. Steps whose mean gradient makes one update. Defaults
            to `None`, which is 1.
        name: str. Name of the optimiser. Defaults to `"sgd_with_l2"`.
        **kwargs: the other arguments of `keras.optimizers.SGD`, of which `weight_decay` must
            not be set.

    Raises:
        ValueError: if `l2` is negative, `weight_decay` is set, `gradient_accumulation_steps` is
            below 1, or an argument that clips or averages goes with more than 1.

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
        others = [name for name in _PER_STEP if kwargs.get(name)] if accumulated != 1 else []
        if accumulated < 1 or others:
            raise SmallBigError(
                "`gradient_accumulation_steps` must be at least 1, and above 1 goes without "
                f"{', '.join(_PER_STEP)}. Received: "
                f"gradient_accumulation_steps={accumulated} {' '.join(others)}".rstrip()
            )
        super().__init__(
            learning_rate=learning_rate, momentum=momentum, nesterov=nesterov, name=name, **kwargs
        )
        self.l2 = l2
        self.accumulated_steps = accumulated

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        if self.accumulated_steps > 1:
            self.gradient_sums = [
                self.add_variable_from_reference(variable, name="gradient_sum")
                for variable in variables
            ]

    def update_step(self, gradient, variable, learning_rate):
        learning_rate = ops.cast(learning_rate, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype)
        index = self._get_variable_index(variable)
        last = None
        if self.accumulated_steps > 1:
            # Chosen by value: devices cannot wait for each other inside a branch of a graph.
            last = ops.equal((self.iterations + 1) % self.accumulated_steps, 0)
            total = self.gradient_sums[index] + gradient
            self.assign(self.gradient_sums[index], ops.where(last, 0.0, total))
            gradient = total / self.accumulated_steps
        step = gradient + self.l2 * variable
        if self.momentum:
            velocity = self.momentums[index]
            self.assign(velocity, _where(last, self.momentum * velocity + step, velocity))
            step = step + self.momentum * velocity if self.nesterov else velocity
        self.assign_sub(variable, _where(last, learning_rate * step, 0.0))

    def get_config(self):
        config = {"l2": self.l2, "gradient_accumulation_steps": self.accumulated_steps}
        return {**super().get_config(), **config}


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
