"""TensorBoard's event files, written at once: what is written and when is decided in loop.py.

TensorFlow's own writer works in a thread, which reports a full disk late or not at all, and it
takes no folder whose name is not UTF-8.
"""

import os
import socket
import struct
import time
from pathlib import Path
from typing import Any

from imagefec.compat import jaxboard


class EventWriter(jaxboard.SummaryWriter):
    """Trax's summary writer over an `EventFile`: scalars, images and text.

    Args:
      folder: for the file, made if missing.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._event_writer = EventFile(folder)
        self._step, self._closed, self._enabled = 0, False, True


class EventFile:
    """A new event file; each record is appended by one write, and errors are raised there.

    Args:
      folder: existing folder; the file's name has the time, the host and the process, as
        TensorBoard requires.

    Raises:
      OSError: the disk is full, or the folder is not writable; also from the methods.
    """

    def __init__(self, folder: Path) -> None:
        from tensorflow.core.util import event_pb2

        now = time.time()
        name = f"events.out.tfevents.{int(now):010d}.{socket.gethostname()}.{os.getpid()}"
        self.path = folder / name
        self._file = self.path.open("ab", buffering=0)
        self.add_event(event_pb2.Event(wall_time=now, file_version="brain.Event:2"))

    def add_event(self, event: Any) -> None:
        """Appends an event (tensorflow.Event)."""
        record = _record(event.SerializeToString())
        written = self._file.write(record)
        if written < len(record):  # the disk filled up during the write; the next one says so
            self._file.write(record[written:])

    def flush(self) -> None:
        """Does nothing: nothing is buffered."""

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def _record(data: bytes) -> bytes:
    """A record of a TFRecord file: length, its checksum, data, their checksum."""
    length = struct.pack("<Q", len(data))
    return b"".join(
        (length, struct.pack("<I", _checksum(length)), data, struct.pack("<I", _checksum(data)))
    )


def _checksum(data: bytes) -> int:
    """TFRecord's masked CRC-32C."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _table_entry(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_TABLE = tuple(map(_table_entry, range(256)))
