"""The segments of a JPEG file: size, metadata, number of scans, where it ends; decodes no pixel."""

import re
import struct
from dataclasses import dataclass, field

from imagefec.faces.photo_layout import BROKEN_HEADER, DAMAGED, TRUNCATED, Bytes, Layout

# Each scan of a progressive JPEG passes over the whole picture, so a small file of many short scans
# takes hours to decode. Cameras and optimisers write 10 to 20; libjpeg-turbo's advice is 500.
MAX_SCANS = 500
MAX_SCANNED_PIXELS = 3_000_000_000  # scans x pixels; 30 scans of the largest photo
TOO_MANY_SCANS = "too many scans"

# A marker, as libjpeg finds the next one: it skips other bytes, stuffed zeros and restarts.
_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd7\xff])", re.DOTALL)
_MAX_MARKERS = 100_000
_EOI, _SOS, _APP1, _APP2 = 0xD9, 0xDA, 0xE1, 0xE2
_SOF = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA})  # frames that libjpeg decodes
# Further segments that libjpeg accepts: tables, restart interval, number of lines, comment, APPn.
_KNOWN = _SOF | {0xC4, 0xCC, _SOS, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)}


def read_jpeg(content: Bytes) -> Layout:
    """Walks through a JPEG file as libjpeg does, and through the further pictures of an MPO file.

    A file may go on after its picture: phones append videos and depth maps.

    Args:
      content: of the file.
    """
    picture = _walk(content, 0)
    first = _defect(picture)
    is_cut = not first and _lacks_further_pictures(content, picture)
    return Layout(
        "JPEG",
        picture.width,
        picture.height,
        first_defect=first,
        further_defect=TRUNCATED if is_cut else "",
        exif=picture.exif,
        icc=_joined(picture.icc_parts),
        components=picture.components,
        bits=picture.bits,
    )


@dataclass
class _Picture:
    """What a walk through one picture found; `end` is the offset after its last byte read."""

    width: int = 0
    height: int = 0
    components: int = 0
    bits: int = 0
    n_scans: int = 0
    is_cut: bool = True
    is_damaged: bool = False
    end: int = 0
    exif: bytes = b""
    icc_parts: list[bytes] = field(default_factory=list)
    further_end: int = 0  # declared end of the last picture of an MPO file


def _defect(picture: _Picture) -> str:
    n_pixels = picture.width * picture.height
    if picture.n_scans > MAX_SCANS or picture.n_scans * n_pixels > MAX_SCANNED_PIXELS:
        return TOO_MANY_SCANS
    if picture.is_damaged:
        return DAMAGED if picture.n_scans else BROKEN_HEADER
    if picture.is_cut:
        return TRUNCATED
    return "" if picture.n_scans and n_pixels else BROKEN_HEADER


def _walk(content: Bytes, at: int) -> _Picture:
    picture = _Picture(end=at + 2)
    for _ in range(_MAX_MARKERS):
        found = _MARKER.search(content, picture.end)
        if found is None or picture.n_scans > MAX_SCANS:
            return picture
        marker, picture.end = found[1][0], found.end()
        if marker == _EOI:
            picture.is_cut = False
            return picture
        if marker not in _KNOWN:  # a second start, too
            break
        length = int.from_bytes(content[picture.end : picture.end + 2], "big")
        segment_end = picture.end + max(length, 2)
        if segment_end > len(content):
            return picture
        _note(picture, content, marker, picture.end + 2, segment_end)
        picture.end = segment_end
    picture.is_damaged = True
    return picture


def _note(picture: _Picture, content: Bytes, marker: int, at: int, end: int) -> None:
    if marker == _SOS:
        picture.n_scans += 1
    elif marker in _SOF and end - at >= 6 and not picture.components:
        picture.bits, picture.height, picture.width, picture.components = struct.unpack(
            ">BHHB", content[at : at + 6]
        )
    elif marker == _APP1 and content[at : at + 6] == b"Exif\0\0" and not picture.exif:
        picture.exif = bytes(content[at:end])
    elif marker == _APP2 and content[at : at + 12] == b"ICC_PROFILE\0":
        picture.icc_parts.append(bytes(content[at + 12 : end]))
    elif marker == _APP2 and content[at : at + 4] == b"MPF\0":
        picture.further_end = max(picture.further_end, _mpf_end(content, at + 4, end))


def _joined(parts: list[bytes]) -> bytes:
    # Each part begins with its number and the number of parts.
    return b"".join(part[2:] for part in sorted(parts, key=lambda part: part[:1]))


def _lacks_further_pictures(content: Bytes, picture: _Picture) -> bool:
    """Whether an MPO file ends within a further picture.

    Programs that rewrite a photo often drop the further pictures, or shift them, and leave their
    index; such a file has no second start, or all that start also end.
    """
    if picture.further_end <= len(content):
        return False
    end = picture.end
    for _ in range(64):  # an MPO file has 2 or 3 pictures
        start = content.find(b"\xff\xd8\xff", end)
        if start < 0:
            return False
        further = _walk(content, start)
        if further.is_cut:
            return True
        end = further.end
    return False


def _mpf_end(content: Bytes, base: int, end: int) -> int:
    """The declared end of the last picture, from the index of an MPO file; 0 if unreadable.

    Source: CIPA DC-007, Multi-Picture Format: offsets count from the index's byte order mark.
    """
    order = {b"II": "<", b"MM": ">"}.get(bytes(content[base : base + 2]))
    try:
        at = base + struct.unpack_from(f"{order}I", content, base + 4)[0]
        (n_tags,) = struct.unpack_from(f"{order}H", content, at)
        for tag_at in range(at + 2, min(at + 2 + 12 * n_tags, end), 12):
            tag, _, n_bytes, value = struct.unpack_from(f"{order}HHII", content, tag_at)
            if tag == 0xB002:  # 16 bytes per picture: attributes, size, offset, dependents
                entries = (
                    struct.unpack_from(f"{order}II", content, base + value + n + 4)
                    for n in range(0, min(n_bytes, 64 * 16), 16)
                )
                return max((base + offset + size for size, offset in entries if offset), default=0)
    except struct.error:
        pass
    return 0
