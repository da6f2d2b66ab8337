"""A file that one process has for itself, byte by byte."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from turnout.errors import LLMError

CHUNK = 2**20

if sys.platform == "win32":  # pragma: no cover
    import msvcrt

    def _try_lock(descriptor: int) -> None:
        os.lseek(descriptor, 2**62, os.SEEK_SET)  # beyond all that is read or written
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _try_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class OutputError(LLMError):
    """The output file cannot be gone on with; says why."""


def opened(path: Path, flags: int) -> int:
    """Open a file for this process alone; raises ``OutputError`` where that cannot be."""
    try:
        descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0), 0o666)
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}"
        raise OutputError(message, error) from error
    try:
        _try_lock(descriptor)
    except OSError as error:
        os.close(descriptor)
        message = f"another process is writing {path}"
        raise OutputError(message, error, advice="Wait for it, or take another file with -o.") from error
    return descriptor


def lines_of(descriptor: int) -> Iterator[tuple[int, bytes]]:
    """Yield offset and bytes of each line, the last one without its end if it has none."""
    offset = 0
    with os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(0)
        for raw in file:
            yield offset, raw
            offset += len(raw)


def read(descriptor: int, offset: int, length: int) -> bytes:
    """Return so many bytes from *offset* on; what is missing at the end is left out."""
    os.lseek(descriptor, offset, os.SEEK_SET)
    parts: list[bytes] = []
    while length > 0 and (part := os.read(descriptor, min(length, CHUNK))):
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def write(descriptor: int, raw: bytes | memoryview) -> None:
    """Write all of *raw*."""
    left = memoryview(raw)
    while left:
        left = left[os.write(descriptor, left) :]


def sync_folder(folder: Path) -> None:
    """See that a new name outlasts a power cut, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
