"""A file that one process has for itself, byte by byte."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from turnout.errors import LLMError

CHUNK = 2**20
NEW = os.O_RDWR | os.O_CREAT
REPLACES_OPEN_FILES = sys.platform != "win32"
"""Whether a file may get another one's name while somebody has either open. Windows refuses that."""

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


class OwnFile:
    """A file that is open for this process alone; closing it twice does no harm.

    Raises ``OutputError`` where that cannot be. ``flags`` are those of ``os.open``.
    """

    def __init__(self, path: Path, flags: int = NEW) -> None:
        self.path = path
        self._descriptor = _opened(path, flags)

    def close(self) -> None:
        """Close the file, which gives the lock back."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def status(self) -> os.stat_result:
        """Return what the system knows of it."""
        return os.fstat(self._descriptor)

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Yield offset and bytes of each line, the last one without its end if it has none."""
        offset = 0
        with os.fdopen(os.dup(self._descriptor), "rb") as file:
            file.seek(0)
            for raw in file:
                yield offset, raw
                offset += len(raw)

    def read(self, offset: int, length: int) -> bytes:
        """Return so many bytes from *offset* on; what is missing at the end is left out."""
        os.lseek(self._descriptor, offset, os.SEEK_SET)
        parts: list[bytes] = []
        while length > 0 and (part := os.read(self._descriptor, min(length, CHUNK))):
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    def write(self, raw: bytes) -> None:
        """Write all of *raw* where the last reading or writing ended."""
        left = memoryview(raw)
        while left:
            left = left[os.write(self._descriptor, left) :]

    def cut(self, size: int) -> None:
        """Leave only the first *size* bytes, and write on from there."""
        os.ftruncate(self._descriptor, size)
        os.lseek(self._descriptor, size, os.SEEK_SET)

    def sync(self) -> None:
        """See that what was written outlasts a power cut."""
        if self._descriptor >= 0:
            os.fsync(self._descriptor)

    def take_place_of(self, other: "OwnFile") -> None:
        """Become the file of *other*, which is closed; at any moment there is one of both under its name.

        Raises ``OSError``, or ``OutputError`` where another process has got hold of it meanwhile; the file is
        one of both all the same.
        """
        if hasattr(os, "fchmod"):
            os.fchmod(self._descriptor, other.status().st_mode & 0o7777)
        self.sync()
        if REPLACES_OPEN_FILES:
            self.path.replace(other.path)
            other.close()
        else:
            self._take_place_closed(other)
        _sync_folder(other.path.parent)
        self.path = other.path

    def _take_place_closed(self, other: "OwnFile") -> None:
        # Whoever gets in between has the one or the other open, so that the next step fails.
        size = self.status().st_size
        self.close()
        other.close()
        self.path.replace(other.path)
        self._descriptor = _opened(other.path, os.O_RDWR)
        os.lseek(self._descriptor, size, os.SEEK_SET)


def _opened(path: Path, flags: int) -> int:
    try:
        descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0), 0o666)
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}"
        raise OutputError(message, error) from error
    try:
        _try_lock(descriptor)
        os.lseek(descriptor, 0, os.SEEK_SET)
    except OSError as error:
        os.close(descriptor)
        message = f"another process is writing {path}"
        raise OutputError(message, error, advice="Wait for it, or take another file with -o.") from error
    return descriptor


def _sync_folder(folder: Path) -> None:
    """See that a new name outlasts a power cut, where the system can."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
