"""A video of painted numbers for every codec and container that PyAV can write, by file name.

`docs/videos.md` has a row for each, with how its frames are found.
"""

import numpy as np

COUNT = 120
TIMES = np.cumsum(np.random.default_rng(0).choice([20, 40, 80, 160], COUNT)).tolist()


def _x265(**options):
    params = ":".join(f"{k.replace('_', '-')}={v}" for k, v in options.items())
    return {
        "codec": "libx265",
        "preset": "ultrafast",
        "x265-params": f"{params}:log-level=none:pools=1",
    }


def _svt(**options):
    return {"codec": "libsvtav1", "preset": "12", "g": "40", "svtav1-params": "lp=1", **options}


def _mpeg2(**options):
    return {"codec": "mpeg2video", "bf": "2", "g": "15", "qscale": "2", **options}


_X264 = {"codec": "libx264", "bf": "3", "g": "30"}
_ALT_REF = {"deadline": "good", "auto-alt-ref": "1", "lag-in-frames": "16", "g": "60"}
_OPEN = {"codec": "libx264", "x264-params": "open-gop=1:keyint=20:bframes=3"}
_FRAGMENTS = {"movflags": "frag_keyframe+empty_moov"}
# Kinds whose frames are found by their times.
BY_TIME = {
    "h264.mp4": _X264,
    "h264.mov": _X264,
    "h264.mkv": _X264,
    "h264.flv": _X264,
    "h264.3gp": _X264,
    "h264.ts": _X264,
    "h264.m2ts": _X264,
    "h264_no_b_frames.avi": {**_X264, "bf": "0"},
    "h264_intra.mkv": {**_X264, "bf": "0", "g": "1"},
    "h264_lossless.mp4": {**_X264, "qp": "0"},
    "h264_open_gop.mp4": _OPEN,
    "h264_open_gop.mkv": _OPEN,
    "h264_intra_refresh.mp4": {"codec": "libx264", "intra-refresh": "1", "g": "20"},
    "h264_interlaced.mp4": {"codec": "libx264", "x264-params": "interlaced=1:keyint=20"},
    "h264_variable_rate.mp4": {**_X264, "times": TIMES},
    "h264_fragments.mp4": {**_X264, "container": _FRAGMENTS},
    "h264_10_bit.mp4": {**_X264, "pix_fmt": "yuv420p10le"},
    "h264_odd_444.mp4": {**_X264, "pix_fmt": "yuv444p", "size": (97, 65)},
    "hevc.mp4": _x265(keyint=30, bframes=3),
    "hevc.ts": _x265(keyint=30, bframes=3),
    "hevc_open_gop.mkv": _x265(keyint=20, open_gop=1, bframes=4),
    "hevc_10_bit.mp4": {**_x265(keyint=30), "pix_fmt": "yuv420p10le"},
    "hevc_12_bit.mkv": {**_x265(keyint=30), "pix_fmt": "yuv420p12le"},
    "av1.mp4": _svt(),
    "av1.webm": _svt(),
    "av1_10_bit.mkv": _svt(pix_fmt="yuv420p10le"),
    "vp8.webm": {"codec": "libvpx", "deadline": "realtime", "g": "30"},
    "vp8_hidden_frames.webm": {"codec": "libvpx", "b": "200000", **_ALT_REF},
    "vp9.webm": {"g": "30"},
    "vp9.mp4": {"g": "30"},
    "vp9_odd.webm": {"size": (97, 65), "g": "30"},
    "vp9_444.webm": {"pix_fmt": "yuv444p", "g": "30"},
    "vp9_hidden_frames.webm": {**_ALT_REF, "cpu-used": "4"},
    "vp9_variable_rate.webm": {"times": TIMES, "g": "30"},
    "vp9_live.webm": {"container": {"live": "1"}, "g": "30"},
    "mpeg2.ts": _mpeg2(),
    "mpeg2.mkv": _mpeg2(),
    "mpeg2.mxf": _mpeg2(),
    "mpeg2_interlaced.ts": _mpeg2(flags="+ildct+ilme"),
    "mpeg4.mp4": {"codec": "mpeg4", "bf": "2", "g": "20", "qscale": "2"},
    "mpeg4.avi": {"codec": "mpeg4", "bf": "2", "g": "20", "qscale": "2"},
    "mpeg4.3gp": {"codec": "mpeg4", "g": "20", "qscale": "2"},
    "msmpeg4.avi": {"codec": "msmpeg4", "g": "20", "qscale": "2"},
    "wmv2.wmv": {"codec": "wmv2", "g": "20", "qscale": "2"},
    "flv1.flv": {"codec": "flv", "g": "20", "qscale": "2"},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p", "qscale": "2"},
    "mjpeg.mov": {"codec": "mjpeg", "pix_fmt": "yuvj420p", "qscale": "2"},
    "prores.mov": {"codec": "prores", "pix_fmt": "yuv422p10le"},
    "ffv1.mkv": {"codec": "ffv1"},
    "ffv1_10_bit.mkv": {"codec": "ffv1", "pix_fmt": "yuv420p10le"},
    "raw.avi": {"codec": "rawvideo"},
    "film.gif": {"codec": "gif", "pix_fmt": "rgb8"},
    "film.apng": {"codec": "apng", "pix_fmt": "rgb24"},
}
# Kinds whose frames are counted from the first one on.
IN_ORDER = {
    "mpeg2.mpg": _mpeg2(),
    "mpeg2.vob": _mpeg2(),
    "mpeg1.mpg": {**_mpeg2(), "codec": "mpeg1video"},
    "h264_b_frames.avi": _X264,
}
KINDS = {**BY_TIME, **IN_ORDER}
