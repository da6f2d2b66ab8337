"""``[pool]``: bounds on waiting, what stays loaded where, and how connections are kept."""

import re
from collections.abc import Iterable, Mapping

from attrs import Attribute, field, frozen, validators

_not_negative = validators.ge(0.0)
_UNITS = {"": 1.0, "b": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12, "kib": 2.0**10, "mib": 2.0**20}
_UNITS |= {"gib": 2.0**30, "tib": 2.0**40}


def _strings(values: Iterable[str]) -> tuple[str, ...]:
    return (values,) if isinstance(values, str) else tuple(values)


def as_bytes(text: str) -> float:
    """Return the bytes that *text*, such as ``"24GB"`` or ``"22.5 GiB"``, means; raises ``ValueError``."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text.casefold())
    if found is None or found[2] not in _UNITS:
        message = f'not an amount of memory: {text!r} (write it like "24GB")'
        raise ValueError(message)
    return float(found[1]) * _UNITS[found[2]]


def _amounts(_: object, __: "Attribute[Mapping[str, str]]", values: Mapping[str, str]) -> None:
    for text in values.values():
        as_bytes(text)


@frozen
class PoolSettings:
    """Settings of the pool. Seconds throughout.

    ``queue`` bounds the requests that wait for one model, ``queue_timeout`` how long any of them
    waits (None: as long as its own timeout allows).

    On hosts of ``exclusive_backends`` loading one model may unload another, so a load waits until
    nothing else generates there. While it waits, ``max_overtakes`` further requests for other models may
    start, and none after ``patience_seconds`` (or ``patience_loads`` times what the load takes, if that is
    longer): that bounds its wait, and batches requests by model.
    ``min_residence_seconds``: a model that was just loaded stays at least so long. ``linger``: after its last
    answer a model stays for this part of the time that the next load takes, in case its client asks again.

    ``memory`` (by host, such as ``"24GB"``): models may take so much there, and the pool loads and unloads
    them itself. ``keep`` names models that stay loaded, ``keep_on`` (by host) those that stay on that host.
    ``unload_at_close``: what the pool has loaded itself, and is not to be kept, goes when the router closes.

    ``affinity_seconds``: how much sooner, at most, the host that served the same conversation last is taken
    to be done, for the prompt that it has read already.

    ``keepalive``: how long an idle connection is kept; LM Studio drops it after 5. ``connect_timeout``
    is for requests that do not say.
    """

    queue: int = field(default=256, validator=validators.ge(0))
    queue_timeout: float | None = field(default=None, validator=validators.optional(validators.gt(0.0)))
    max_overtakes: int = field(default=1000, validator=validators.ge(0))
    patience_seconds: float = field(default=30.0, validator=_not_negative)
    patience_loads: float = field(default=3.0, validator=_not_negative)
    min_residence_seconds: float = field(default=0.0, validator=_not_negative)
    linger: float = field(default=0.02, validator=_not_negative)
    exclusive_backends: frozenset[str] = field(default=frozenset({"lmstudio"}), converter=frozenset)
    memory: Mapping[str, str] = field(factory=dict, validator=_amounts)
    keep: tuple[str, ...] = field(default=(), converter=_strings)
    keep_on: Mapping[str, tuple[str, ...]] = field(factory=dict)
    unload_at_close: bool = True
    affinity_seconds: float = field(default=2.0, validator=_not_negative)
    keepalive: float = field(default=4.0, validator=validators.gt(0.0))
    connect_timeout: float = field(default=5.0, validator=validators.gt(0.0))

    def manages(self, host: str) -> bool:
        """Whether the pool loads and unloads by itself on *host*."""
        return host in self.memory or bool(self.keep or self.keep_on.get(host))

    def memory_bytes(self, host: str) -> float | None:
        """Return what models may take on *host*; None when it is not set."""
        text = self.memory.get(host)
        return None if text is None else as_bytes(text)

    def keeps(self, model: str, host: str) -> bool:
        """Whether *model* stays loaded on *host*."""
        return model in self.keep or model in self.keep_on.get(host, ())
