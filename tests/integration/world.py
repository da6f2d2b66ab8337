"""The models of the integration tests, and how to make one that cannot answer for another."""

from turnout_testing import EmulatedModel
from turnout_testing.simulation.scene import echo

OWL, HAWK, WREN = "acme/owl-8b", "acme/hawk-4b", "acme/wren-1b"


def echoing(key: str, **traits: float) -> EmulatedModel:
    """Return a model whose every reply names its prompt."""
    whole = {name: int(value) for name, value in traits.items() if name in ("parallel", "size_bytes")}
    return EmulatedModel(key, reply=echo, **{**traits, **whole})  # type: ignore[arg-type]
