"""Which of the fitted models a candidate is: by its exact name, else by its plain one."""

from collections.abc import Mapping, Sequence


def plain(model: str) -> str:
    """Return the name without publisher, variant and copy, in lower case: ``Qwen/Qwen3-4B@q8_0:2``."""
    return model.rpartition("/")[2].partition("@")[0].partition(":")[0].casefold()


def by_name(models: Sequence[str]) -> Mapping[str, int]:
    """Return the column of each exact name, and of each plain name that only one model has."""
    names = [plain(model) for model in models]
    alone = {name: column for column, name in enumerate(names) if names.count(name) == 1}
    return alone | {model: column for column, model in enumerate(models)}


def column_of(model: str, known: Mapping[str, int]) -> int | None:
    """Return the column of *model*; None where it is unknown."""
    return known.get(model, known.get(plain(model)))
