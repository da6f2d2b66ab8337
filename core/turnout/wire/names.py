"""What the names of models, sizes and quantisations say; used only where the server says nothing better."""

import re

from turnout.fleet import ModelKind
from turnout.skills import ModelCapability

_UNIT = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}
_SIZE = r"(?:(?P<experts>\d+)x)?e?(?P<size>\d+(?:\.\d+)?)(?P<unit>[kmbt])"
_ACTIVE = r"(?:-a(?P<active>\d+(?:\.\d+)?)(?P<active_unit>[kmbt])?)?"
_PARAMETERS = re.compile(_SIZE + _ACTIVE + r"(?![a-z0-9])", re.IGNORECASE)
_IN_A_NAME = re.compile(
    r"(?<![a-z0-9.])" + _SIZE.replace("[kmbt]", "[mb]") + r"(?:-\w+?)??" + _ACTIVE + r"(?![a-z0-9])",
    re.IGNORECASE,
)
_EMBEDDING = re.compile(
    r"embed|(?<![a-z])(?:bge|gte|e5|minilm|sbert)(?![a-z])|jina-(?:clip|v\d|embeddings?)", re.IGNORECASE
)
_CODE = re.compile(r"code(?!c)|coding|coder|devstral|codestral|starcoder|swe-", re.IGNORECASE)
_BITS = re.compile(r"(?:^|[^a-z])(?:i?q|int|bf|fp|f|w)(\d{1,2})(?!\d)|(?<!\d)(\d{1,2})-?bit", re.IGNORECASE)


def parse_parameters(text: str) -> tuple[int | None, int | None]:
    """Read ``26B-A4B`` as (weights, weights used per token); ``8x7B`` is 56 billion; None is unknown."""
    return _parameters(_PARAMETERS.search(text))


def parameters_in_name(name: str) -> tuple[int | None, int | None]:
    """Find the like of ``30b-a3b`` inside a model's name."""
    return _parameters(_IN_A_NAME.search(name))


def _parameters(match: "re.Match[str] | None") -> tuple[int | None, int | None]:
    if match is None:
        return None, None
    unit = match["unit"].lower()
    total = float(match["size"]) * int(match["experts"] or 1) * _UNIT[unit]
    if match["active"] is None:
        return round(total), None
    return round(total), round(float(match["active"]) * _UNIT[(match["active_unit"] or unit).lower()])


def bits_in_quantization(name: str) -> float | None:
    """Read the bits per weight from ``Q4_K_M``, ``4bit``, ``F16`` or ``MXFP4``."""
    match = _BITS.search(name.replace("MXFP", "-fp"))
    return float(match[1] or match[2]) if match else None


def kind_by_name(name: str) -> ModelKind:
    """Tell an embedding model by its name."""
    return ModelKind.EMBEDDING if _EMBEDDING.search(name) else ModelKind.LLM


def is_coder(name: str) -> bool:
    """Whether the name says that the model was trained for code."""
    return bool(_CODE.search(name))


FAST_PARAMETERS = 4_500_000_000
LONG_CONTEXT = 65_536


def capabilities(
    name: str,
    kind: ModelKind,
    *,
    vision: bool | None = None,
    tools: bool | None = None,
    reasoning: bool = False,
    parameters: int | None = None,
    context_length: int | None = None,
) -> frozenset[ModelCapability]:
    """Return what is known of a model as capabilities.

    FAST: at most 4.5 billion weights per token. LONG_CONTEXT: at least 65,536 tokens. Structured output
    is the server's grammar and not the model's own, so every chat model has it.
    """
    if kind is ModelKind.EMBEDDING:
        return frozenset({ModelCapability.EMBEDDINGS})
    facts = {
        ModelCapability.GENERAL: True,
        ModelCapability.STRUCTURED_OUTPUT: True,
        ModelCapability.VISION: bool(vision),
        ModelCapability.TOOLS: bool(tools),
        ModelCapability.REASONING: reasoning,
        ModelCapability.CODING: is_coder(name),
        ModelCapability.FAST: parameters is not None and parameters <= FAST_PARAMETERS,
        ModelCapability.LONG_CONTEXT: context_length is not None and context_length >= LONG_CONTEXT,
    }
    return frozenset(capability for capability, known in facts.items() if known)
