"""What a request needs, and the model that is known to do it."""

from turnout_capability.plugin import Capability, CapabilitySettings

__all__ = ["Capability", "CapabilitySettings"]
