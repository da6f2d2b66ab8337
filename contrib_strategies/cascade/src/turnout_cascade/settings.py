"""Which models, and what an answer must stand."""

from attrs import Attribute, field, frozen, validators


@frozen
class CascadeSettings:
    """The table ``[cascade]``.

    ``ladder`` lists model keys from small to large; left out, it is made of at most ``rungs`` candidates.
    ``self_check`` asks the model whether its own answer is right, in at most ``self_check_tokens``.
    """

    ladder: tuple[str, ...] = field(default=())
    rungs: int = field(default=3, validator=validators.ge(2))
    self_check: bool = False
    self_check_tokens: int = field(default=256, validator=validators.ge(1))

    @ladder.validator
    def _climbs(self, attribute: "Attribute[tuple[str, ...]]", value: tuple[str, ...]) -> None:
        if len(value) == 1 or len(set(value)) < len(value):
            message = f"'{attribute.name}' must be two models or more, each named once"
            raise ValueError(message)
