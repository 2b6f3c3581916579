"""Proof that artifacts are the Keras model they came from, and what they cost."""

import dataclasses
import statistics
import time

import numpy as np

from smallbig_keras.errors import SmallBigError
from smallbig_keras.export import artifacts

# Largest difference of a probability, and share of clips with the same best class.
MAX_DIFFERENCE = {"float32": 1e-4, "float16": 1e-2}
MIN_AGREEMENT = {"dynamic": 0.97, "int8": 0.95}
_PAUSE = 0.2


@dataclasses.dataclass(frozen=True)
class Comparison:
    """How far an artifact is from the model, and its size and speed.

    Args:
        name: str. Name of the artifact.
        kind: str. Its format.
        precision: str. Its precision.
        max_logits: float. Largest absolute difference of a logit.
        mean_logits: float. Mean absolute difference of the logits.
        max_probabilities: float. Largest absolute difference of a probability.
        mean_probabilities: float. Mean absolute difference of the probabilities.
        agreement: float. Share of clips with the same best class.
        bytes: int. Size.
        latency: float. Median seconds of one clip.
        passed: bool. True if it is within the tolerance of its precision.
    """

    name: str
    kind: str
    precision: str
    max_logits: float
    mean_logits: float
    max_probabilities: float
    mean_probabilities: float
    agreement: float
    bytes: int
    latency: float
    passed: bool


def compare(model, runners, clips, batch_sizes=(1, 4), rounds=11, config=None):
    """Runs artifacts and the model they came from on the same clips.

    Args:
        model: `keras.Model` that the artifacts were exported from.
        runners: list of `Runner`.
        clips: uint8 array `(clips, frames, height, width, 3)` of RGB values.
        batch_sizes: sequence of ints. Clips at once, where an artifact takes more than one;
            differences are the largest of all. Defaults to `(1, 4)`.
        rounds: int. Timed calls of each with one clip, one after the other by turns. Defaults
            to `11`.
        config: ClipConfig. Mean and std of the model's clips. Defaults to `None`, ImageNet's.

    Returns:
        `(latency, comparisons)`: median seconds of the model's own TensorFlow graph on one
        clip, and a list of `Comparison`.

    Raises:
        SmallBigError: there are no clips, or they or an artifact are not of the model's shape.
    """
    import tensorflow as tf

    clips = np.asarray(clips)
    if not len(clips) or clips.shape[1:] != model.input_shape[1:] or clips.dtype != np.uint8:
        raise SmallBigError(
            f"`clips` must be uint8 of shape {('clips', *model.input_shape[1:])}. "
            f"Received: {clips.dtype} {clips.shape}"
        )
    # Artifacts are measured against float32, also those of a mixed-precision model.
    model = artifacts.in_float32(model)
    scores = artifacts.scoring_model(model, artifacts.clips_of(model, config))
    graph = tf.function(lambda x: scores(tf.cast(x, tf.float32), training=False))

    def reference(batch):
        return {name: value.numpy() for name, value in graph(tf.constant(batch)).items()}

    expected = _in_batches(reference, clips, max(batch_sizes))
    outputs = [
        [
            _in_batches(runner.predict, clips, size)
            for size in (batch_sizes if runner.any_batch else (1,))
        ]
        for runner in runners
    ]
    for runner, (found, *_) in zip(runners, outputs, strict=True):
        classes, ours = (values["probabilities"].shape[1] for values in (found, expected))
        if classes != ours:
            raise SmallBigError(
                f"An artifact must be of the same model, with {ours} classes. "
                f"Received: {runner.name} with {classes} classes"
            )
    latencies = median_latencies([reference, *(r.predict for r in runners)], clips[:1], rounds)
    comparisons = [
        _compare(runner, found, expected, latency)
        for runner, found, latency in zip(runners, outputs, latencies[1:], strict=True)
    ]
    return latencies[0], comparisons


def _in_batches(predict, clips, size):
    parts = [predict(clips[i : i + size]) for i in range(0, len(clips), size)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def median_latencies(functions, clip, rounds):
    """Returns the median seconds of functions of a clip, called by turns `rounds` times each."""
    seconds = [[] for _ in functions]
    # The first call of each plans and allocates; it does not count.
    for round_ in range(rounds + 1):
        for function, times in zip(functions, seconds, strict=True):
            # The threads of the one before keep a core busy for a while.
            time.sleep(_PAUSE)
            start = time.perf_counter()
            function(clip)
            if round_:
                times.append(time.perf_counter() - start)
    return [statistics.median(times) for times in seconds]


def _compare(runner, outputs, expected, latency):
    best = expected["probabilities"].argmax(1)
    differences = {
        name: [np.abs(found[name] - expected[name]) for found in outputs] for name in expected
    }
    agreement = min(np.mean(f["probabilities"].argmax(1) == best) for f in outputs)
    largest = {name: float(np.max(d)) for name, d in differences.items()}
    precision = runner.precision
    # A NaN is within no tolerance.
    if precision in MAX_DIFFERENCE:
        passed = largest["probabilities"] <= MAX_DIFFERENCE[precision]
    else:
        finite = all(np.isfinite(f["probabilities"]).all() for f in outputs)
        passed = finite and bool(agreement >= MIN_AGREEMENT[precision])
    return Comparison(
        runner.name,
        runner.kind,
        precision,
        largest["logits"],
        float(np.mean(differences["logits"])),
        largest["probabilities"],
        float(np.mean(differences["probabilities"])),
        float(agreement),
        runner.bytes,
        latency,
        passed,
    )


def format_table(latency, comparisons):
    """Formats the result of `compare` for people, as a Markdown table.

    Args:
        latency: float. Median seconds of the model itself.
        comparisons: list of `Comparison`.

    Returns:
        str.
    """
    rows = [
        "| artifact | precision | logits max | mean | probabilities max | mean "
        "| same top-1 | MB | ms | times model | |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        f"| Keras model, TensorFlow graph | float32 | | | | | | | {1e3 * latency:.1f} | 1.00 | |",
    ]
    for c in comparisons:
        rows.append(
            f"| {c.name} | {c.precision} | {c.max_logits:.1e} | {c.mean_logits:.1e} "
            f"| {c.max_probabilities:.1e} | {c.mean_probabilities:.1e} | {c.agreement:.1%} "
            f"| {c.bytes / 1e6:.2f} | {1e3 * c.latency:.1f} | {latency / c.latency:.2f} "
            f"| {'pass' if c.passed else 'FAIL'} |"
        )
    return "\n".join(rows)
