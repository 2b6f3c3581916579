"""Asks a TensorFlow Serving server what happens in videos.

    smallbig client video.webm --url http://localhost:8501 --model smallbig
    smallbig client video.webm --grpc localhost:8500 --model smallbig

The frames of the middle clip are read here and sent as JPEG files to the signature `jpeg`, which
does the rest. docs/serving.md shows requests that need neither this package nor TensorFlow.
"""

import dataclasses
import urllib.parse

from smallbig_keras.errors import OptionError, SmallBigError
from smallbig_keras.options import option

_MAX_TIMEOUT = 86400


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


def run(args):
    """Prints the best classes of each video; returns them by video."""
    from smallbig_keras.export import client as clients

    settings = args.model, args.version, args.timeout
    if args.url:
        client = clients.RestClient(args.url, *settings)
    else:
        client = clients.GrpcClient(args.grpc, *settings)
    frames = clients.clip_frames(client.signatures())
    results = {}
    for video in args.videos:
        clip = clients.encode_clip(video, frames, args.quality)
        (results[video],) = clients.best_classes(client.predict("jpeg", {"frames": clip}))
        print(video)
        for name, score in results[video]:
            print(f"  {score:6.1%}  {name}")
    return results


def check(given):
    """Returns the checked options."""
    args = Options(**given)
    if (args.url is None) == (args.grpc is None):
        raise OptionError(
            "The server is named by --url or by --grpc, one of them. "
            f"Received: url={args.url}, grpc={args.grpc}"
        )
    if args.url is not None and not _is_url(args.url):
        raise SmallBigError(f"--url must be like http://host:8501. Received: {args.url}")
    if not 0 < args.timeout <= _MAX_TIMEOUT:
        raise SmallBigError(
            f"--timeout must be above 0, at most {_MAX_TIMEOUT}. Received: {args.timeout}"
        )
    if not 1 <= args.quality <= 100:
        raise SmallBigError(f"--quality must be from 1 to 100. Received: {args.quality}")
    if args.version is not None and not 1 <= args.version < 2**63:
        raise SmallBigError(f"--version must be from 1 to 2**63 - 1. Received: {args.version}")
    return args


def _is_url(text):
    try:
        parts = urllib.parse.urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False
