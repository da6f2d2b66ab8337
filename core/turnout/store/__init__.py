"""A plugin's own SQLite file, which no kill, full disk or damage makes worse than one warning.

A plugin declares its migrations, and reads its history when it starts (:func:`open_store`). While requests
run it appends rows, and nobody waits for them: one thread of the store's own writes
(:class:`Store`). A command that needs no router reads with :func:`read_store`. The file lies where
:func:`data_path` says, unless the plugin's settings name another.

This package imports SQLite, so ``turnout`` does not export it.
"""

from turnout.store.files import data_path
from turnout.store.opening import Opened, open_store, read_store
from turnout.store.pending import Row
from turnout.store.schema import Migrations, StoreError
from turnout.store.writer import Store

__all__ = [
    "Migrations",
    "Opened",
    "Row",
    "Store",
    "StoreError",
    "data_path",
    "open_store",
    "read_store",
]
