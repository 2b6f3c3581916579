"""Names what happens in a video.

python training/predict.py video.webm --weights runs/RUN
"""

import environment  # noqa: F401  # isort: skip

from smallbig_keras import cli, decode_predictions, runs
from smallbig_keras.data import BadVideoError


@cli.readable_errors
def main(arguments=None):
    parser = cli.make_parser(__doc__)
    parser.add_argument("videos", nargs="+", metavar="VIDEO")
    parser.add_argument("--weights", required=True, metavar="RUN", help="folder of a run")
    parser.add_argument("--top", type=int, default=5, help="classes to print")
    args = parser.parse_args(arguments)
    if args.top < 1:
        parser.error(f"--top must be at least 1. Received: {args.top}")

    run = runs.load_run(args.weights)
    errors = []
    for video in args.videos:
        try:
            clip = run.load_clip(video)
        except BadVideoError as error:
            errors.append(str(error))
            continue
        scores = run.model.predict(clip, verbose=0)
        print(video)
        for name, score in decode_predictions(scores, args.top, labels=run.class_names)[0]:
            print(f"  {score:6.1%}  {name}")
    if errors:
        raise BadVideoError("\n".join(errors))


if __name__ == "__main__":
    main()
