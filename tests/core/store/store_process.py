"""A process that writes to a store: ``store_process.py ROLE PATH [NAME]``; it speaks through stdout."""

import itertools
import os
import resource
import sys
from pathlib import Path

from tests.core.store.stores import append, open_notes, use

BATCH = 5


def batch_of(name: str, batch: int, size: int = BATCH) -> list[str]:
    return [f"{name} {batch} {n}" for n in range(size)]


def say(what: object) -> None:
    print(what, flush=True)  # noqa: T201


def forever(path: Path, name: str) -> None:
    """Write and flush batches until killed, naming each batch that is acknowledged."""
    store = use(path)
    for batch in itertools.count():
        append(store, batch_of(name, batch))
        if store.flush():
            say(batch)


def some(path: Path, name: str) -> None:
    """Wait for a line, then write 150 batches as another process does the same."""
    say("ready")
    sys.stdin.readline()
    store = use(path)
    acknowledged = 0
    for batch in range(150):
        append(store, batch_of(name, batch))
        acknowledged += store.flush()
    store.close()
    say(acknowledged)


def full(path: Path, name: str) -> None:
    """Write while files must not grow, then while they may again."""
    store = use(path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, resource.RLIM_INFINITY))
    written = []
    for batch in range(3):
        append(store, batch_of(name, batch, 1000))
        written.append(store.flush())
    say(store.error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    written.append(store.flush())
    say(store.error)
    store.close()
    say(written)


def read_only(path: Path, name: str) -> None:
    """Open as a user who may only read."""
    if os.geteuid() == 0:
        os.setuid(65534)
    found = open_notes(path)
    say(found.store)
    say(found.history)
    say(found.warning)


if __name__ == "__main__":
    role, path, *name = sys.argv[1:]
    {"forever": forever, "some": some, "full": full, "read_only": read_only}[role](Path(path), "".join(name))
