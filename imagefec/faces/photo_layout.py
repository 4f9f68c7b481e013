"""What a photo file's structure tells without decoding: format, size, metadata, completeness."""

import mmap
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Bytes = bytes | mmap.mmap

BROKEN_HEADER = "not an image: broken header"
TRUNCATED = "truncated image"
DAMAGED = "damaged image"

MAX_PROFILE_BYTES = 4 * 2**20  # of a colour profile; printers' are about 2 MB
# More than any photo has, and walked in seconds.
_MAX_BLOCKS = 4_000_000  # of a GIF, 255 bytes each
_MAX_CHUNKS = 1_000_000  # of a PNG, usually 8 kB each


@dataclass(frozen=True, slots=True)
class Layout:
    """What is known of a photo file before it is decoded.

    Attributes:
      kind: its format, a key of photo_files.KINDS.
      width: pixels as stored; 0 if unknown.
      height: likewise.
      first_defect: what is wrong with its first picture; "" if nothing was found.
      further_defect: what is wrong after it, in an animation or a multi-picture file; likewise.
      exif: its EXIF block, which may begin with "Exif"; b"" for none.
      icc: its colour profile; b"" for none.
      components: channels of a JPEG's pixels, 0 for other formats.
      bits: per channel of a JPEG, 0 for other formats.
    """

    kind: str
    width: int
    height: int
    first_defect: str = ""
    further_defect: str = ""
    exif: bytes = b""
    icc: bytes = b""
    components: int = 0
    bits: int = 0

    @property
    def defect(self) -> str:
        """What is wrong with the file; "" if nothing was found."""
        return self.first_defect or self.further_defect


def too_small(width: int, height: int) -> bool:
    """Whether a header declares no pixel."""
    return width < 1 or height < 1


def read_png(content: Bytes) -> Layout:
    """Walks through the chunks of a PNG file and checks those that hold the picture."""
    width, height = _png_size(content)
    if too_small(width, height):
        return Layout("PNG", 0, 0, BROKEN_HEADER if len(content) >= 33 else TRUNCATED)
    exif, icc, defect = b"", b"", TRUNCATED
    for name, start, end in png_chunks(content):
        if _is_critical(name) and zlib.crc32(content[start - 4 : end]) != _u32(content, end):
            defect = DAMAGED
            break
        if name == b"IEND":
            defect = ""
        elif name == b"eXIf":
            exif = bytes(content[start:end])
        elif name == b"iCCP":
            icc = _unpacked_profile(bytes(content[start:end]))
    return Layout("PNG", width, height, defect, exif=exif, icc=icc)


def png_chunks(content: Bytes) -> Iterator[tuple[bytes, int, int]]:
    """The complete chunks of a PNG file up to IEND: (name, start and end of its data)."""
    at = 8
    for _ in range(_MAX_CHUNKS):
        start = at + 8
        end = start + _u32(content, at)
        name = bytes(content[at + 4 : start])
        if start > len(content) or end + 4 > len(content):
            return
        yield name, start, end
        if name == b"IEND":
            return
        at = end + 4


def png_without_metadata(content: Bytes) -> bytes:
    """A PNG file's first picture and its palette only: no texts, profile or animation."""
    kept = [bytes(content[:8])]
    for name, start, end in png_chunks(content):
        if name in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
            kept.append(bytes(content[start - 8 : end + 4]))
    return b"".join(kept)


def read_gif(content: Bytes) -> Layout:
    """Walks through the blocks of a GIF file."""
    if len(content) < 13:
        return Layout("GIF", 0, 0, TRUNCATED)
    width, height = struct.unpack_from("<HH", content, 6)
    if too_small(width, height):
        return Layout("GIF", 0, 0, BROKEN_HEADER)
    at, n_frames, steps_left = 13 + _gif_colours(content[10]), 0, _MAX_BLOCKS
    while steps_left > 0:
        found = _GIF_BLOCK.search(content, at)
        if found is None:
            # Without the final block the file is complete if its last frame is.
            is_cut = n_frames == 0 or at < len(content)
            return _gif_layout(width, height, TRUNCATED if is_cut else "", n_frames)
        kind, at = found[0], found.end()
        if kind == b";":
            return _gif_layout(width, height, "" if n_frames else BROKEN_HEADER, n_frames)
        if kind == b"!":
            at += 1  # the extension's label
        else:
            packed = content[at + 8] if at + 8 < len(content) else 0
            at += 9 + _gif_colours(packed) + 1
        at, steps_left, is_cut = _skip_gif_data(content, at, steps_left - 1)
        if is_cut:
            return _gif_layout(width, height, TRUNCATED, n_frames)
        n_frames += kind == b","
    return _gif_layout(width, height, DAMAGED, n_frames)


def read_webp(content: Bytes) -> Layout:
    """Walks through the chunks of a WebP file."""
    end = 8 + _u32le(content, 4)
    width = height = 0
    exif, icc, has_picture, at = b"", b"", False, 12
    while at + 8 <= min(end, len(content)):
        name, start = bytes(content[at : at + 4]), at + 8
        stop = start + _u32le(content, at + 4)
        if not width and name in _WEBP_SIZE:
            width, height = _WEBP_SIZE[name](bytes(content[start : start + 10]))
        has_picture |= name in (b"VP8 ", b"VP8L", b"ANMF")
        if stop > len(content):
            break
        if name == b"EXIF":
            exif = bytes(content[start:stop])
        elif name == b"ICCP":
            icc = bytes(content[start:stop])
        at = stop + stop % 2
    if too_small(width, height):
        return Layout("WEBP", 0, 0, TRUNCATED if end > len(content) else BROKEN_HEADER)
    is_cut = end > len(content) or at > len(content) + 1 or at + 8 <= min(end, len(content))
    defect = TRUNCATED if is_cut else "" if has_picture else DAMAGED
    return Layout("WEBP", width, height, defect, exif=exif, icc=icc)


def read_bmp(content: Bytes) -> Layout:
    """Reads the header of a BMP file and compares its size with the file's."""
    if len(content) < 26:
        return Layout("BMP", 0, 0, TRUNCATED)
    offset, header = _u32le(content, 10), _u32le(content, 14)
    if header == 12:
        width, height, _, bits = struct.unpack_from("<HHHH", content, 18)
        packing = packed_bytes = 0
    elif header >= 16 and len(content) >= 14 + 40:
        width, height, _, bits = struct.unpack_from("<iiHH", content, 18)
        packing, packed_bytes = struct.unpack_from("<II", content, 30)
    else:
        return Layout("BMP", 0, 0, BROKEN_HEADER if len(content) >= 14 + 40 else TRUNCATED)
    height = abs(height)  # negative if the first row is the top one
    if too_small(width, height) or bits not in (1, 2, 4, 8, 16, 24, 32):
        return Layout("BMP", 0, 0, BROKEN_HEADER)
    n_bytes = packed_bytes if packing in (1, 2) else (width * bits + 31) // 32 * 4 * height
    is_cut = offset + n_bytes > len(content)
    return Layout("BMP", width, height, TRUNCATED if is_cut else "")


_GIF_BLOCK = re.compile(rb"[!,;]")


def _gif_colours(packed: int) -> int:
    return 3 * 2 ** ((packed & 7) + 1) if packed & 0x80 else 0


def _gif_layout(width: int, height: int, defect: str, n_frames: int) -> Layout:
    first, further = ("", defect) if n_frames else (defect, "")
    return Layout("GIF", width, height, first, further)


def _skip_gif_data(content: Bytes, at: int, steps_left: int) -> tuple[int, int, bool]:
    """The offset after a block's data, the steps left, and whether the file ends within them."""
    while at < len(content) and steps_left > 0:
        length = content[at]
        at += 1 + length
        steps_left -= 1
        if length == 0:
            return at, steps_left, False
    return at, steps_left, at >= len(content)


def _png_size(content: Bytes) -> tuple[int, int]:
    if len(content) < 33 or bytes(content[8:16]) != b"\0\0\0\x0dIHDR":
        return 0, 0
    return _u32(content, 16), _u32(content, 20)


def _is_critical(name: bytes) -> bool:
    return not name[0] & 0x20  # a capital letter


def _unpacked_profile(chunk: bytes) -> bytes:
    packed = chunk[chunk.find(b"\0") + 2 :]
    try:
        return zlib.decompressobj().decompress(packed, MAX_PROFILE_BYTES)
    except zlib.error:
        return b""


def _vp8_size(head: bytes) -> tuple[int, int]:
    if len(head) < 10 or head[3:6] != b"\x9d\x01\x2a":
        return 0, 0
    width, height = struct.unpack("<HH", head[6:10])
    return width & 0x3FFF, height & 0x3FFF


def _vp8l_size(head: bytes) -> tuple[int, int]:
    if len(head) < 5 or head[0] != 0x2F:
        return 0, 0
    bits = int.from_bytes(head[1:5], "little")
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1


def _vp8x_size(head: bytes) -> tuple[int, int]:
    if len(head) < 10:
        return 0, 0
    return int.from_bytes(head[4:7], "little") + 1, int.from_bytes(head[7:10], "little") + 1


_WEBP_SIZE: dict[bytes, Callable[[bytes], tuple[int, int]]] = {
    b"VP8 ": _vp8_size,
    b"VP8L": _vp8l_size,
    b"VP8X": _vp8x_size,
}


def _u32(content: Bytes, at: int) -> int:
    return int.from_bytes(content[at : at + 4], "big")


def _u32le(content: Bytes, at: int) -> int:
    return int.from_bytes(content[at : at + 4], "little")
