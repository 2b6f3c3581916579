"""Asks a TensorFlow Serving server what happens in videos.

    smallbig client video.webm --url http://localhost:8501 --model smallbig
    smallbig client video.webm --grpc localhost:8500 --model smallbig

The frames of the middle clip are read here and sent as JPEG files to the signature `jpeg`, which
does the rest. docs/serving.md shows requests that need neither this package nor TensorFlow.
"""

import dataclasses

from smallbig_keras.errors import OptionError, SmallBigError
from smallbig_keras.export.client import (
    GrpcClient,
    RestClient,
    best_classes,
    encode_clip,
    server_clips,
)
from smallbig_keras.options import option


@dataclasses.dataclass(frozen=True)
class Options:
    """Server"""

    videos: tuple[str, ...] = option(
        (), "video files", metavar="VIDEO", positional=True, required=True
    )
    url: str | None = option(None, "REST: http://host:8501")
    grpc: str | None = option(None, "gRPC: host:8500", metavar="ADDRESS")
    model: str | None = option(None, "name of the model on the server", required=True)
    version: int | None = option(None, "of the model", shown="the newest")
    timeout: float = option(60.0, "seconds", metavar="SECONDS")
    quality: int = option(95, "of the JPEG files, 1 to 100")


def check(given):
    """Returns the client and the checked options."""
    args = Options(**given)
    if (args.url is None) == (args.grpc is None):
        raise OptionError(
            "The server is named by --url or by --grpc, one of them. "
            f"Received: url={args.url}, grpc={args.grpc}"
        )
    settings = args.model, args.version, args.timeout
    if not 1 <= args.quality <= 100:
        raise SmallBigError(f"--quality must be from 1 to 100. Received: {args.quality}")
    return (RestClient(args.url, *settings) if args.url else GrpcClient(args.grpc, *settings)), args


def run(checked):
    """Prints the best classes of each video; returns them by video."""
    client, args = checked
    clips = server_clips(client)
    results = {}
    for video in args.videos:
        clip = encode_clip(video, clips, args.quality)
        (results[video],) = best_classes(client.predict("jpeg", {"frames": clip}))
        print(video)
        for name, score in results[video]:
            print(f"  {score:6.1%}  {name}")
    return results
