"""``[resilience]``: what is done about failures, each part with its switch."""

from attrs import field, frozen, validators

_at_least_one = validators.ge(1)
_positive = validators.gt(0.0)
_share = (validators.ge(0.0), validators.le(1.0))
_factor = validators.ge(1.0)


@frozen
class ResilienceSettings:
    """The table ``[resilience]``. Seconds throughout; each of the switches turns one part off.

    ``breakers``: a host or a model on it that keeps failing is left out for a while. It takes ``failures``
    in a row; the pause grows from ``cooldown`` to ``longest_cooldown``.

    ``retries``: what may pass is tried again at the same place up to ``retries_alone`` times where there is
    no other place, else once; on each host at most ``retry_share`` of its requests, and a few more.

    ``time_limits``: an attempt that gives no sign for ``patience`` times what was learned, and for at least
    ``first_output_floor`` (before any output) or ``gap_floor`` (within it), has failed. Until enough is
    known of a deployment it has ``unknown_floor``. ``keepalive``: how often a waiting caller of a stream is
    told that the request is alive.

    ``hedging``: a second copy of at most ``hedge_share`` of the requests, when the first is slow.

    ``concurrency``: fewer requests at once where a model crashed under several.

    ``reload``: a model that turnout loaded is loaded again with a larger context when a prompt does not fit,
    or surely would not, and nobody else has the context; ``reload_larger`` does that to models loaded by hand
    too.

    ``continue_streams``: an answer that breaks off is continued on another host. It may read less well at
    the seam, so it is off; a request can ask for it by ``Signals(notes={"continue_streams": True})``.
    """

    breakers: bool = True
    failures: int = field(default=3, validator=_at_least_one)
    cooldown: float = field(default=5.0, validator=_positive)
    longest_cooldown: float = field(default=300.0, validator=_positive)
    retries: bool = True
    retries_alone: int = field(default=2, validator=validators.ge(0))
    retry_share: float = field(default=0.2, validator=_share)
    time_limits: bool = True
    patience: float = field(default=5.0, validator=_factor)
    first_output_floor: float = field(default=20.0, validator=_positive)
    gap_floor: float = field(default=10.0, validator=_positive)
    unknown_floor: float = field(default=120.0, validator=_positive)
    keepalive: float = field(default=5.0, validator=_positive)
    hedging: bool = True
    hedge_share: float = field(default=0.05, validator=_share)
    concurrency: bool = True
    reload: bool = True
    reload_larger: bool = False
    continue_streams: bool = False
