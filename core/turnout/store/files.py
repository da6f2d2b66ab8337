"""Where stores lie, and how a damaged one makes room."""

from pathlib import Path

from turnout.clock import now

SIDECARS = ("-wal", "-shm")
HEAD = b"SQLite format 3\0"


def data_path(file_name: str) -> Path:
    """Return where the store *file_name* lies by default: in the user's data directory, not made yet."""
    import platformdirs

    return Path(platformdirs.user_data_dir("turnout", appauthor=False)) / file_name


def identity(path: Path) -> tuple[int, int] | None:
    """Return what tells this file from one that takes its name later; None when there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def move_aside(path: Path, found: tuple[int, int] | None) -> Path:
    """Rename the file that was *found* damaged, log first; not one that another process put there since.

    Returns its new name. Raises ``OSError``.
    """
    aside = path.with_name(f"{path.name}.damaged-{now():%Y%m%dT%H%M%S%f}")
    if identity(path) == found:
        for suffix in (*SIDECARS, ""):
            source = path.with_name(path.name + suffix)
            if source.exists():
                source.rename(aside.with_name(aside.name + suffix))
    return aside


def is_ours(path: Path) -> bool:
    """Whether a file that cannot be read as a database may be taken for one: by its head, or by its place.

    A path that somebody mistyped may lead to any file of theirs.
    """
    if path == data_path(path.name):
        return True
    try:
        with path.open("rb") as file:
            return file.read(len(HEAD)) == HEAD
    except OSError:
        return False
