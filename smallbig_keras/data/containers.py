"""Signs in the bytes of a file: its container, and a size that tells if it was cut off."""

import os

# So much tells the container: five packets of a transport stream, of up to 204 bytes.
HEAD = 4096
NAMES = "mp4, mov, 3gp, webm, mkv, avi, wmv, flv, mpg, ts, mts, m2ts, ogv, mxf, gif"
# FFmpeg's demuxers by the first bytes of a file.
_SIGNATURES = {
    b"\x1aE\xdf\xa3": "matroska",
    b"FLV\x01": "flv",
    b"0&\xb2u\x8ef\xcf\x11": "asf",
    b"GIF8": "gif",
    b"OggS": "ogg",
    b"DKIF": "ivf",
    b"nut/multimedia container\0": "nut",
    b"\x1f\x07\0": "dv",
    b"\x06\x0e+4": "mxf",
    b".RMF": "rm",
    b"YUV4MPEG2 ": "yuv4mpegpipe",
    b"\0\0\x01\xba": "mpeg",
    b"\0\0\x01\xb3": "mpegvideo",
    b"\xff\xd8\xff": "mjpeg",
    b"\x89PNG\r\n\x1a\n": "apng",
}
_BOXES = (
    *(b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide", b"pnot"),
    *(b"uuid", b"pdin"),
)
_TRANSPORT_PACKETS = (188, 192, 204)
# Pictures: BMP, both byte orders of TIFF, Photoshop, JPEG XL; and brands of such a file with boxes.
_PICTURES = (b"BM", b"II*\0", b"MM\0*", b"8BPS", b"\xff\x0a", b"\0\0\0\x0cJXL ")
_PICTURE_BRANDS = (b"heic", b"heix", b"mif1", b"avif", b"crx ")
# A JPEG, with thumbnail and colour profile, that holds the mark of further pictures.
_PREFACE = 1 << 18
# Of the end of a file that was set aside for a download.
_BLOCK = 4096


def container_format(head):
    """Returns the name of FFmpeg's demuxer for a file of these first bytes, or None."""
    if head[4:8] in _BOXES:
        return "mov"
    if head[:4] == b"RIFF" and head[8:11] == b"AVI":
        return "avi"
    for signature, name in _SIGNATURES.items():
        if head.startswith(signature):
            return name
    for length in _TRANSPORT_PACKETS:
        for start in range(min(length, len(head) - 4 * length)):
            if head[start : start + 4 * length + 1 : length] == b"GGGGG":
                return "mpegts"
    return None


def is_picture(head, file):
    """Tells if a file of these first bytes is a picture; of a JPEG, only if it holds several."""
    webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    boxes = head[4:8] == b"ftyp" and head[8:12] in _PICTURE_BRANDS
    if webp or boxes or head.startswith(_PICTURES):
        return True
    # A JPEG of several pictures, as telephones make, is no film of them; an animated PNG says so.
    marks = {b"\xff\xd8\xff": (b"MPF\0", True), b"\x89PNG": (b"acTL", False)}
    for signature, (mark, is_still) in marks.items():
        if head.startswith(signature):
            file.seek(0)
            return (mark in file.read(_PREFACE)) == is_still
    return False


def is_cut(file, kind):
    """Tells if a file ends before the size that its container states, or in zeros."""
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - _BLOCK))
    if end > _BLOCK and file.read(_BLOCK) == bytes(_BLOCK):
        return True
    file.seek(0)
    head = file.read(HEAD)
    if kind == "avi":
        # A file written to a pipe states the largest number there is.
        size = int.from_bytes(head[4:8], "little")
        return size != 0xFFFFFFFF and size + 8 > end
    return kind == "matroska" and _matroska_end(head) > end


def _matroska_end(head):
    """An EBML header, then one Segment: identifier, size, content; 0 if it states no size."""
    size, start = _ebml_size(head, 4)
    segment = start + size
    if head[segment : segment + 4] != b"\x18S\x80g":
        return 0
    size, start = _ebml_size(head, segment + 4)
    return start + size if size else 0


def _ebml_size(data, position):
    """Reads a number whose leading zero bits tell its length; returns it and where it ends."""
    first = data[position] if position < len(data) else 0
    length = 9 - first.bit_length()
    value = int.from_bytes(data[position : position + length], "big")
    limit = 1 << 7 * length
    value &= limit - 1
    # All ones: a live stream, of unknown size.
    return 0 if value == limit - 1 else value, position + length
