"""Which host has read a conversation before: its server may still hold the prompt's beginning."""

from collections import OrderedDict

from turnout.types import ModelRequest

REMEMBERED = 1024
PREFIX_CHARACTERS = 1024


def beginning(request: ModelRequest) -> str | None:
    """Return what names the conversation, or how it begins; None where nothing is likely to be read again."""
    if request.conversation_id:
        return request.conversation_id
    if request.system is None and len(request.messages) < 2:
        return None
    first = request.messages[0].text if request.messages else ""
    return f"{(request.system or '')[:PREFIX_CHARACTERS]}\n{first[:PREFIX_CHARACTERS]}"


class Affinity:
    """The host that served each of the latest conversations last, by model."""

    def __init__(self) -> None:
        self._hosts: OrderedDict[tuple[str, str], str] = OrderedDict()

    def host(self, model: str, key: str) -> str | None:
        """Return the host that served *key* with *model* last."""
        return self._hosts.get((model, key))

    def note(self, model: str, key: str, host: str) -> None:
        """Remember that *host* serves *key*."""
        self._hosts[model, key] = host
        self._hosts.move_to_end((model, key))
        if len(self._hosts) > REMEMBERED:
            self._hosts.popitem(last=False)
