"""What a model's key says of its size, and its quantisation of the bits that each weight really takes."""

import re
from typing import TypeAlias

from turnout.fleet import ModelInfo

Size: TypeAlias = tuple[int | None, int | None]
"""(weights, weights used per token); None is unknown."""

_UNIT = {"m": 10**6, "b": 10**9}
_SIZE = re.compile(
    r"""(?<![a-z0-9.])
    (?:(?P<experts>\d{1,3})x)?             # 8x7b
    e?(?P<size>\d{1,4}(?:\.\d+)?)          # e4b is an effective size
    (?P<unit>[mb])
    (?:-?a(?P<active>\d+(?:\.\d+)?)(?P<active_unit>[mb]))?
    (?![a-z0-9])""",
    re.VERBOSE,
)
SHARED = 0.83
"""What is left of N × M in NxMB, as attention is shared: 46.7 of 56, 141 of 176 in Mixtral (mistral.ai)."""
ROUTED = 1.8
"""Weights used per token, in M, when two experts are asked: 12.9 of 7 in 8x7B, 39 of 22 in 8x22B."""


def size_in_name(name: str) -> Size:
    """Read ``0.5b``, ``1.7B``, ``135M``, ``e4b``, ``30b-a3b``, ``8x7b``; versions and dates are not sizes."""
    found = _SIZE.search(name.casefold().replace("_", "-"))
    if found is None:
        return None, None
    size = float(found["size"]) * _UNIT[found["unit"]]
    if found["experts"]:
        return round(size * int(found["experts"]) * SHARED), round(size * ROUTED)
    if not found["active"]:
        return _positive(size), None
    return _positive(size), _positive(float(found["active"]) * _UNIT[found["active_unit"]])


def experts_times_size(name: str) -> int | None:
    """Return 56 billion for ``8x7b``: what a server tells that only multiplies the name out."""
    found = _SIZE.search(name.casefold().replace("_", "-"))
    if found is None or not found["experts"]:
        return None
    return round(float(found["size"]) * _UNIT[found["unit"]]) * int(found["experts"])


def _positive(number: float) -> int | None:
    return round(number) or None


_GGUF_BITS = {
    "q2_k": 3.35, "q2_k_s": 3.2, "q2_k_l": 3.4, "q3_k_s": 3.5, "q3_k_m": 3.91, "q3_k_l": 4.27, "q3_k_xl": 4.3,
    "q4_0": 4.55, "q4_1": 5.0, "q4_k_s": 4.58, "q4_k_m": 4.84, "q4_k_l": 4.9, "q4_k_xl": 4.9,
    "q5_0": 5.5, "q5_1": 6.0, "q5_k_s": 5.52, "q5_k_m": 5.68, "q6_k": 6.56, "q8_0": 8.5,
    "iq1_s": 1.56, "iq1_m": 1.75, "iq2_xxs": 2.06, "iq2_xs": 2.31, "iq2_s": 2.5, "iq2_m": 2.7,
    "iq3_xxs": 3.06, "iq3_xs": 3.3, "iq3_s": 3.44, "iq3_m": 3.66, "iq4_xs": 4.25, "iq4_nl": 4.5,
}  # fmt: skip
"""Bits per weight: llama.cpp's ``tools/quantize/README.md`` (K types: Llama 2 7B) and its list of types."""
ORDINARY_BITS = 4.84
"""Q4_K_M, what LM Studio offers first; assumed where nothing is known."""
AS_TRAINED = 16.0
"""MXFP4 loses nothing: only models that were trained in it are shipped in it (gpt-oss)."""
_NUMBER = re.compile(r"(?<!\d)(\d{1,2})(?!\d)")


def bits_per_weight(info: ModelInfo) -> float:
    """Return the bits that a weight takes, scales included: LM Studio calls 4 what takes 4.84."""
    name = (info.quantization or "").casefold().removeprefix("ud-")
    if "mxfp4" in name:
        return AS_TRAINED
    known = _GGUF_BITS.get(name)
    if known is not None:
        return known
    nominal = info.bits_per_weight if info.bits_per_weight is not None else _digits(name)
    if nominal is None or not 1.0 <= nominal <= 64.0:  # NaN too
        return ORDINARY_BITS
    # MLX keeps a 16-bit scale and bias for each 64 weights: half a bit more.
    return nominal + 0.5 if nominal == int(nominal) and nominal <= 8 else nominal


def _digits(name: str) -> float | None:
    found = _NUMBER.search(name)
    return float(found[1]) if found else None
