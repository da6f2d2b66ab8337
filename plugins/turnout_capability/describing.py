"""What the catalogue knows of a model that its host did not say."""

from attrs import evolve

from turnout import ModelInfo, ModelKind
from turnout_capability.catalogue import match, parameters_of


def described(info: ModelInfo) -> ModelInfo:
    """Return *info* with its unknown sizes, sight and tools filled in; the same object where that is nothing.

    What the host says stands. Weights used per token are seldom told, and they decide how fast it decodes.
    """
    if info.kind is not ModelKind.LLM:
        return info
    total, active = parameters_of(info)
    family = match(info)
    vision, tools = (None, None) if family is None else (family.vision, family.tools)
    filled = evolve(
        info,
        parameters=info.parameters or total,
        active_parameters=info.active_parameters or active,
        vision=vision if info.vision is None else info.vision,
        tools=tools if info.tools is None else info.tools,
    )
    return info if filled == info else filled
