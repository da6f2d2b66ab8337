"""Configuration: what may be set, with its defaults.

Flag, then environment, then ``./turnout.toml``, then the user's file, then the defaults below; see
:mod:`turnout.settings` for how the layers are read. No configuration at all works.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from attrs import Attribute, field, frozen, validators

from turnout.fleet import ModelKind
from turnout.messages import JSONObject
from turnout.skills import ModelCapability

LMSTUDIO_URL = "http://localhost:1234"

_count = validators.ge(1)
_LMSTUDIO_PORT = re.compile(r":1234(?![0-9])")


def _positive(_: object, attribute: "Attribute[float]", value: float) -> None:
    if not value > 0:  # NaN too
        message = f"'{attribute.name}' must be above 0, not {value:g}"
        raise ValueError(message)


def _web_address(_: object, attribute: "Attribute[str]", value: str) -> None:
    scheme, found, rest = value.partition("://")
    known = scheme in ("http", "https") and bool(rest.strip("/"))
    if not (known if found else value) or any(map(str.isspace, value)):
        message = f"'{attribute.name}' must be an address such as http://localhost:1234, not {value!r}"
        raise ValueError(message)


@frozen
class HostSettings:
    """``[hosts.NAME]``: one server.

    ``backend`` left out means lmstudio for port 1234, else openai. ``parallel``: requests at once, for
    servers that do not say.
    """

    url: str = field(validator=_web_address)
    backend: str | None = None
    token: str | None = field(default=None, repr=False)
    enabled: bool = True
    parallel: int | None = field(default=None, validator=validators.optional(_count))

    @property
    def kind(self) -> str:
        """The name of the backend that speaks to it."""
        if self.backend is not None:
            return self.backend
        return default_backend(self.url)


def default_backend(url: str) -> str:
    """Return the backend of a host that names none: LM Studio is known by its port."""
    return "lmstudio" if _LMSTUDIO_PORT.search(url) else "openai"


@frozen
class SelectionSettings:
    """``[selection]``: the order of strategies, and names.

    ``order`` lists strategies to ask first to last; those that it does not name are not asked, unless it
    is empty (the default order). ``default_model`` is taken where no model is named and it can serve.
    """

    order: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(factory=dict)
    default_model: str | None = None
    expected_output_tokens: int = field(default=256, validator=_count)


@frozen
class RouterSettings:
    """``[router]``: limits. Seconds throughout.

    ``timeout`` is over a whole request, ``discovery_timeout`` over one look at one host; ``fleet_ttl`` is
    how long a look counts; ``max_attempts`` is over all deployments.
    """

    timeout: float = field(default=600.0, validator=_positive)
    fleet_ttl: float = field(default=5.0, validator=validators.ge(0))
    discovery_timeout: float = field(default=3.0, validator=_positive)
    load_timeout: float = field(default=600.0, validator=_positive)
    max_attempts: int = field(default=4, validator=_count)
    backoff: float = field(default=0.25, validator=validators.ge(0))


@frozen
class ModelSettings:
    """``[models."KEY"]``: what you know better than the server says."""

    kind: ModelKind | None = None
    capabilities: frozenset[ModelCapability] | None = None
    vision: bool | None = None
    tools: bool | None = None
    context_length: int | None = field(default=None, validator=validators.optional(_count))


@frozen
class PluginsSettings:
    """``[plugins]``: ``disabled`` names are not even imported.

    ``third_party`` lists the plugins of others that are wanted; left out, all that are installed are.
    """

    disabled: tuple[str, ...] = ()
    third_party: tuple[str, ...] | None = None


@frozen
class LogSettings:
    """``[log]``: ``level`` is one of DEBUG, INFO, WARNING, ERROR."""

    level: str = field(default="WARNING")

    @level.validator
    def _known(self, attribute: "Attribute[str]", value: str) -> None:
        levels = ("TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL")
        if value.upper() not in levels:
            message = f"'{attribute.name}' must be one of {', '.join(levels)}"
            raise ValueError(message)


@frozen
class Config:
    """All settings. ``tables`` holds the plugins' own tables, ``origins`` where each key came from."""

    hosts: Mapping[str, HostSettings] = field(factory=dict)
    selection: SelectionSettings = SelectionSettings()
    router: RouterSettings = RouterSettings()
    models: Mapping[str, ModelSettings] = field(factory=dict)
    plugins: PluginsSettings = PluginsSettings()
    log: LogSettings = LogSettings()
    tables: Mapping[str, JSONObject] = field(factory=dict, repr=False)
    origins: Mapping[str, str] = field(default=MappingProxyType({}), repr=False, eq=False)

    def hosts_of(self, backend: str) -> Mapping[str, HostSettings]:
        """Return the enabled hosts of one backend; LM Studio on this machine where none is set at all."""
        hosts = self.hosts or {"lmstudio": HostSettings(LMSTUDIO_URL)}
        return {name: host for name, host in hosts.items() if host.enabled and host.kind == backend}
