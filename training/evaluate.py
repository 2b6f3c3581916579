"""Measures a run on the validation videos of its dataset: one clip, centre crop.

python training/evaluate.py --weights runs/RUN
python training/evaluate.py --weights runs/RUN --data-root DIR --skip-bad
"""

import environment  # noqa: F401  # isort: skip

import datasets
import keras

from smallbig_keras import cli, data, runs


@cli.readable_errors
def main(arguments=None):
    parser = cli.make_parser(__doc__)
    parser.add_argument("--weights", required=True, metavar="RUN", help="folder of a run")
    datasets.add_flags(parser.add_argument_group("Dataset", "default: that of the run"))
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--workers", type=int, help="decoding threads; default one a core")
    parser.add_argument(
        "--skip-bad", action="store_true", help="leave unreadable videos out and list them"
    )
    args = parser.parse_args(arguments)
    if args.batch_size < 1:
        parser.error(f"--batch-size must be at least 1. Received: {args.batch_size}")

    run = runs.load_run(args.weights)
    bad_clips = data.BadClips("skip" if args.skip_bad else "raise")
    config = datasets.add_given(run.config, args)
    videos, class_names = datasets.open_source(config, "validation", bad_clips)
    if class_names != run.class_names:
        parser.error(
            f"the run knows {len(run.class_names)} classes and the dataset has "
            f"{len(class_names)} of other names or order. Received: {args.data_root}"
        )
    clips = data.clip_dataset(
        videos,
        frames=run.config["frames"],
        sampling=run.config["sampling"],
        stride=run.config["stride"],
        size=run.config["size"],
        short_side=run.config["test_short_side"],
        batch_size=args.batch_size,
        training=False,
        class_names=class_names,
        bad_clips=bad_clips,
        num_parallel_calls=args.workers,
    )
    metrics = {
        "top1": keras.metrics.SparseCategoricalAccuracy(),
        "top5": keras.metrics.SparseTopKCategoricalAccuracy(5),
    }
    count = 0
    for batch, labels in clips:
        scores = run.model(batch, training=False)
        for metric in metrics.values():
            metric.update_state(labels, scores)
        count += len(labels)
    for line in bad_clips.report():
        print(line)
    results = {name: float(metric.result()) for name, metric in metrics.items()}
    print(f"top1={results['top1']:.3f} top5={results['top5']:.3f} videos={count}")
    return results


if __name__ == "__main__":
    main()
