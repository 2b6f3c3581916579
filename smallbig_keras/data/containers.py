"""Signs in the bytes of a file: pictures, and sizes that RIFF (avi), Matroska and mp4 state."""

# Of a JPEG, with thumbnail and colour profile, that holds the marker of further pictures.
_PREFACE = 1 << 18
# JPEG, PNG, BMP and both byte orders of TIFF.
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"II*\0", b"MM\0*")
_MATROSKA = b"\x1aE\xdf\xa3"
_BLOCK = 4096


def begins_like_picture(file):
    """Tells if a file begins like a JPEG, PNG, BMP, WebP or TIFF picture, as films may, too."""
    file.seek(0)
    head = file.read(12)
    return head.startswith(_PICTURES) or (head[:4] == b"RIFF" and head[8:] == b"WEBP")


def is_multi_picture(file):
    """Tells if a file is a JPEG of several pictures, as telephones make, and no film of them."""
    file.seek(0)
    head = file.read(_PREFACE)
    return head.startswith(_PICTURES[0]) and b"MPF\0" in head


def is_matroska(file):
    """Tells if a file is a webm or mkv, whose readers pass over damage without a word."""
    file.seek(0)
    return file.read(4) == _MATROSKA


def ends_in_zeros(file):
    """Tells if the last block of a file is zeros: space that was set aside and not filled."""
    file.seek(max(0, file.seek(0, 2) - _BLOCK))
    return file.read() == bytes(_BLOCK)


def stated_bytes(file):
    """Reads the size in bytes that a container states; 0 where it does not (TS, live webm)."""
    file.seek(0)
    head = file.read(_BLOCK)
    if head[:4] == b"RIFF":
        return 8 + int.from_bytes(head[4:8], "little")
    if head[:4] == _MATROSKA:
        return _matroska_bytes(head)
    if head[4:8] == b"ftyp":
        return _mp4_bytes(file)
    return 0


def _matroska_bytes(head):
    """An EBML header, then one Segment: identifier, size, content."""
    size, start = _ebml_size(head, 4)
    segment = start + size
    if head[segment : segment + 4] != b"\x18S\x80g":
        return 0
    size, start = _ebml_size(head, segment + 4)
    return start + size


def _ebml_size(data, position):
    """Reads a number whose leading zero bits tell its length; returns it and where it ends."""
    first = data[position] if position < len(data) else 0
    length = 9 - first.bit_length()
    value = int.from_bytes(data[position : position + length], "big")
    limit = 1 << 7 * length
    value &= limit - 1
    # All ones: a live stream, of unknown size.
    return 0 if value == limit - 1 else value, position + length


def _mp4_bytes(file):
    """A row of boxes: size in 4 bytes, type in 4; size 1 means 8 more bytes of size, 0 the rest."""
    end = file.seek(0, 2)
    position = 0
    while position + 8 <= end:
        file.seek(position)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8:
            break
        position += length
    return position
