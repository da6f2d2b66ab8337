"""What the catalogue knows of a model that its host did not say."""

from attrs import evolve

from turnout import ModelInfo, ModelKind
from turnout_capability.catalogue import match, parameters_of

QUIET = (None, "none", "off")
"""Levels of reasoning at which a model does not think."""


def described(info: ModelInfo) -> ModelInfo:
    """Return *info* with what it leaves unknown filled in: sizes, sight, tools, and whether it thinks.

    It is the same object where nothing was filled in. What the host says stands. Weights used per token are
    seldom told, and they decide how fast it decodes.
    """
    if info.kind is not ModelKind.LLM:
        return info
    total, active = parameters_of(info)
    family = match(info)
    vision, tools = (None, None) if family is None else (family.vision, family.tools)
    thinks = None if family is None else family.reasoning
    if info.reasoning:
        thinks = info.reasoning_default not in QUIET
    filled = evolve(
        info,
        parameters=info.parameters or total,
        active_parameters=info.active_parameters or active,
        vision=vision if info.vision is None else info.vision,
        tools=tools if info.tools is None else info.tools,
        thinks=thinks if info.thinks is None else info.thinks,
    )
    return info if filled == info else filled
