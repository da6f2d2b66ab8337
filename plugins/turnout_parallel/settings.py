"""Settings of the plugin."""

from attrs import field, frozen, validators


@frozen
class ParallelSettings:
    """Settings of ``turnout batch``.

    ``patience``: seconds that hosts which have answered may be away, to be restarted, before a batch stops.
    """

    patience: float = field(default=300.0, validator=validators.ge(0.0))
