"""What a deployment will need: a prior from the model's size, drawn towards what was measured.

Priors, where nothing was measured. Decoding one sequence reads every active weight once per token, so
it is bound by memory bandwidth (https://kipp.ly/transformer-inference-arithmetic/)::

    decode   = active bytes / MEMORY_BANDWIDTH + TOKEN_OVERHEAD     seconds per generated token
    prefill  = decode / PREFILL_SPEEDUP                             seconds per prompt token
    load     = all bytes / DISK_RATE + LOAD_OVERHEAD                seconds
    output   = THINKING_FACTOR for a model that thinks by default   tokens per expected token

Other models measured on the same host scale these: the host's bandwidth, its compute and its disk show
in the ratio of what was measured to what was expected (:func:`compare`, :func:`typical`). A host on which
nothing was measured is taken to be as fast as the others (:func:`like`). Measured and expected meet in the
geometric mean, weighted by how much was measured (:func:`blend`).
"""

import math
from collections.abc import Collection
from statistics import median

from attrs import frozen

from turnout.fleet import Estimate, ModelInfo

MEMORY_BANDWIDTH = 100e9
"""Bytes per second: between a desktop's two channels of DDR5 and a small graphics card."""
TOKEN_OVERHEAD = 0.002
PREFILL_SPEEDUP = 25.0
DISK_RATE = 1e9
LOAD_OVERHEAD = 2.0
ORDINARY_BITS = 4.8
ORDINARY_PARAMETERS = 8e9

DECODE_PRIOR = 16.0
"""Generated tokens that weigh as much as the prior; the other two likewise."""
PREFILL_PRIOR = 128.0
LOAD_PRIOR = 0.2
THINKING_FACTOR = 4.0
"""A model that thinks writes several times what it answers; how much, its executions soon show."""
OUTPUT_PRIOR = 3.0
"""Executions that weigh as much as the assumption that a model is an ordinary writer."""
HOST_PRIOR = 0.1
"""Models measured on a host that weigh as much as the assumption that it is an ordinary machine."""

SUCCESS_PRIOR = 0.98
SUCCESS_PRIOR_EXECUTIONS = 5.0


@frozen
class Measured:
    """A measured quantity, and the ``weight`` of what stands behind it (tokens, or loads)."""

    value: float
    weight: float


@frozen
class Evidence:
    """What executions on one deployment have shown; None where nothing has.

    Decode and prefill are seconds per token, load is seconds, output is tokens written for each that was
    expected. ``outcomes`` is the decayed number of executions that say something of the deployment's health,
    and ``success_share`` the part that went well.
    """

    decode: Measured | None = None
    prefill: Measured | None = None
    load: Measured | None = None
    success_share: float = 1.0
    outcomes: float = 0.0
    measured: int = 0
    output: Measured | None = None


NOTHING = Evidence()


@frozen
class Scale:
    """How a host differs from an ordinary machine, as factors on the expected seconds; None: unknown."""

    decode: float | None = None
    prefill: float | None = None
    load: float | None = None


ORDINARY = Scale()


def positive(value: float | None) -> float | None:
    """Return *value* when it is a finite number above 0, else None: neither 0 nor NaN measures anything."""
    return value if value is not None and 0.0 < value < math.inf else None


def weight_bytes(info: ModelInfo) -> float:
    """Return the bytes of all weights, assuming an ordinary model where nothing is known."""
    parameters = positive(info.parameters) or ORDINARY_PARAMETERS
    return positive(info.size_bytes) or parameters * _bytes_per_weight(info)


def active_bytes(info: ModelInfo) -> float:
    """Return the bytes that are read per token: fewer than all of them in a mixture of experts."""
    active, parameters = positive(info.active_parameters), positive(info.parameters)
    if active is None:
        return weight_bytes(info)
    if parameters is None:
        return active * _bytes_per_weight(info)
    return weight_bytes(info) * min(active / parameters, 1.0)


def _bytes_per_weight(info: ModelInfo) -> float:
    return (positive(info.bits_per_weight) or ORDINARY_BITS) / 8.0


def expected_decode(info: ModelInfo) -> float:
    """Return the seconds per generated token on an ordinary machine."""
    return active_bytes(info) / MEMORY_BANDWIDTH + TOKEN_OVERHEAD


def expected_output(info: ModelInfo) -> float:
    """Return the tokens that it writes for each of an ordinary model: several, when it thinks by default."""
    told = bool(info.reasoning) and info.reasoning_default not in _SILENT
    return THINKING_FACTOR if (told if info.thinks is None else info.thinks) else 1.0


_SILENT = (None, "none", "off")


def expected_load(info: ModelInfo) -> float:
    """Return the seconds that loading takes on an ordinary machine."""
    return weight_bytes(info) / DISK_RATE + LOAD_OVERHEAD


def blend(prior: float, measured: Measured | None, prior_weight: float) -> float:
    """Return the geometric mean of *prior* and *measured*, weighted: speeds err by factors, not by sums."""
    if measured is None:
        return prior
    share = measured.weight / (measured.weight + prior_weight)
    return float(prior ** (1.0 - share) * measured.value**share)


def compare(info: ModelInfo, evidence: Evidence) -> Scale:
    """Return by what factors the measured seconds differ from those expected of *info*.

    Prefill is held against the model's own decoding: their ratio is the host's compute to its bandwidth.
    """
    decode = _ratio(evidence.decode, expected_decode(info), DECODE_PRIOR)
    prefill = expected_decode(info) * (decode or 1.0) / PREFILL_SPEEDUP
    return Scale(
        decode=decode,
        prefill=_ratio(evidence.prefill, prefill, PREFILL_PRIOR),
        load=_ratio(evidence.load, expected_load(info), LOAD_PRIOR),
    )


def _ratio(measured: Measured | None, expected: float, least_weight: float) -> float | None:
    if measured is None or measured.weight < least_weight:
        return None
    return measured.value / expected


def typical(scales: Collection[Scale]) -> Scale:
    """Return the scale of a host on which these were found, one for each model.

    The median, so that one model that does not fit the graphics card does not slow all the others.
    """
    return Scale(
        decode=_typical([s.decode for s in scales if s.decode is not None]),
        prefill=_typical([s.prefill for s in scales if s.prefill is not None]),
        load=_typical([s.load for s in scales if s.load is not None]),
    )


def like(scales: Collection[Scale]) -> Scale:
    """Return the scale of a host of which nothing is known, beside others on which these were found.

    Loads stay as on an ordinary machine: to find out by an answer is cheap, and by a load it is not.
    """
    return Scale(
        decode=_typical([s.decode for s in scales if s.decode is not None], prior=0.0),
        prefill=_typical([s.prefill for s in scales if s.prefill is not None], prior=0.0),
    )


def _typical(factors: Collection[float], prior: float = HOST_PRIOR) -> float | None:
    if not factors:
        return None
    return math.exp(median(map(math.log, factors)) * len(factors) / (len(factors) + prior))


def success_rate(evidence: Evidence) -> float:
    """Return the share of executions that go well: the prior while nothing, or nothing recent, is known."""
    good = evidence.success_share * evidence.outcomes + SUCCESS_PRIOR * SUCCESS_PRIOR_EXECUTIONS
    return good / (evidence.outcomes + SUCCESS_PRIOR_EXECUTIONS)


def predict(
    info: ModelInfo, *, resident: bool, evidence: Evidence = NOTHING, scale: Scale = ORDINARY
) -> Estimate:
    """Return what a deployment of *info* needs on a host of that *scale*; others know its queue."""
    decode = blend(expected_decode(info) * (scale.decode or 1.0), evidence.decode, DECODE_PRIOR)
    prefill = decode / PREFILL_SPEEDUP * (scale.prefill or 1.0)
    load = expected_load(info) * (scale.load or 1.0)
    return Estimate(
        prefill_seconds_per_token=blend(prefill, evidence.prefill, PREFILL_PRIOR),
        decode_seconds_per_token=decode,
        load_seconds=0.0 if resident else blend(load, evidence.load, LOAD_PRIOR),
        success_rate=success_rate(evidence),
        measured=evidence.measured,
        output_factor=blend(expected_output(info), evidence.output, OUTPUT_PRIOR),
    )
