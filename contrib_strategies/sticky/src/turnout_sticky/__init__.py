"""A conversation stays on its model, and near its prefix, as long as that is not much slower."""

from turnout_sticky.margin import StickySettings
from turnout_sticky.plugin import Sticky

__all__ = ["Sticky", "StickySettings"]
