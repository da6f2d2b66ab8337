"""Quantities as people read them."""


def seconds(value: float) -> str:
    """Say a duration: ``0.34 s``, ``12 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if value < 10:
        return f"{value:.2g} s" if value < 1 else f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def rate(value: float) -> str:
    """Say a speed in tokens per second."""
    return f"{value:.1f} tokens/s" if value < 100 else f"{value:.0f} tokens/s"


def plural(amount: int, one: str) -> str:
    """Say how many: ``1 line``, ``2 lines``."""
    return f"{amount} {one}" if amount == 1 else f"{amount} {one}s"
