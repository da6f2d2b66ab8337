"""Who may answer at all: checked here, before any strategy, so that none can be wrong about it."""

from collections.abc import Sequence

from attrs import evolve, frozen

from turnout.errors import ContextOverflowError, Fault
from turnout.fleet import Deployment, ModelInfo, ModelKind
from turnout.skills import ModelCapability
from turnout.types import Attempt, Ineligible, ModelRequest, Operation

CHARS_PER_TOKEN = 4
TOKENS_PER_IMAGE = 768
_SURE = 0.75
"""Share of the estimate that is taken for sure: English prose has up to 5.3 characters to a token."""


def estimate_tokens(request: ModelRequest) -> int:
    """Estimate the prompt's tokens from its UTF-8 length, which also does for scripts without spaces."""
    texts = [request.task, request.system or "", *request.inputs]
    images = 0
    for message in request.messages:
        texts.append(message.text)
        texts.extend(call.arguments for call in message.tool_calls)
        images += len(message.images)
    for tool in request.tools:
        texts += tool.description, str(tool.parameters)
    return sum(map(_bytes, texts)) // CHARS_PER_TOKEN + images * TOKENS_PER_IMAGE + 8


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


@frozen
class Needs:
    """What a request asks of a deployment, worked out once."""

    kind: ModelKind
    vision: bool
    tools: bool
    tokens: int
    hosts: frozenset[str] | None
    capabilities: frozenset[ModelCapability]
    failed: frozenset[tuple[str, str]]
    failed_hosts: frozenset[str]
    overflowed: int

    @property
    def context(self) -> int:
        """The tokens of context that it takes: more than what has overflowed."""
        return max(self.tokens, self.overflowed + 1 if self.overflowed else 0)


def needs_of(request: ModelRequest) -> Needs:
    """Work out what *request* needs, including what its failed attempts teach."""
    prompt = request.signals.prompt_tokens
    tokens = int((estimate_tokens(request) if prompt is None else prompt) * _SURE)
    wanted = request.required_capabilities | request.signals.needs
    failed, hosts, overflowed = _failures(request.attempts)
    return Needs(
        kind=ModelKind.EMBEDDING if request.operation is Operation.EMBEDDINGS else ModelKind.LLM,
        vision=ModelCapability.VISION in wanted or any(m.images for m in request.messages),
        tools=bool(request.tools) or ModelCapability.TOOLS in wanted,
        tokens=tokens + (request.max_tokens or 0),
        hosts=request.hosts,
        capabilities=wanted - _CHECKED,
        failed=failed,
        failed_hosts=hosts,
        overflowed=overflowed,
    )


_NOTHING: tuple[frozenset[tuple[str, str]], frozenset[str], int] = (frozenset(), frozenset(), 0)
_CHECKED = frozenset({ModelCapability.VISION, ModelCapability.TOOLS, ModelCapability.EMBEDDINGS})


def _failures(
    attempts: Sequence[Attempt],
) -> tuple[frozenset[tuple[str, str]], frozenset[str], int]:
    """Return the failed (host, model) pairs, the failed hosts, and the largest context that overflowed.

    A passing fault counts from the second time on.
    """
    if not attempts:
        return _NOTHING
    seen: set[tuple[str, str]] = set()
    failed: set[tuple[str, str]] = set()
    hosts: set[str] = set()
    overflowed = 0
    for attempt in attempts:
        key = attempt.host, attempt.model
        if attempt.error is None:
            continue
        if attempt.error.fault is Fault.HOST:
            hosts.add(attempt.host)
        if attempt.error.fault is not Fault.PASSING or key in seen:
            failed.add(key)
        if isinstance(attempt.error, ContextOverflowError):
            overflowed = max(overflowed, attempt.error.context_length or 0)
        seen.add(key)
    return frozenset(failed), frozenset(hosts), overflowed


def eligible(
    needs: Needs, deployments: Sequence[Deployment]
) -> tuple[list[Deployment], list[Ineligible]]:
    """Split *deployments* into those that may serve, and the others with their reasons.

    Hosts of last resort count only where no other host has a model that could serve, failed or not.
    """
    able: list[Deployment] = []
    ineligible: list[Ineligible] = []
    plain = not (needs.vision or needs.hosts is not None or needs.capabilities)
    for deployment in deployments:
        # Nearly every deployment passes here, and there may be thousands.
        if plain and deployment.info.kind is needs.kind and deployment.room >= needs.tokens:
            able.append(deployment)
            continue
        reason = _unable(needs, deployment)
        if reason is None:
            able.append(deployment)
        else:
            ineligible.append(Ineligible(deployment.info.id, deployment.host.name, reason))
    first = [d for d in able if not d.host.last_resort]
    able = _prefer(able, first, "a last resort, and other hosts can serve", ineligible)
    if needs.tools:
        trained = [d for d in able if d.info.tools is not False]
        able = _prefer(able, trained, "not trained for tools", ineligible)
    return _without_failed(needs, able, ineligible), ineligible


def if_enlarged(needs: Needs, deployments: Sequence[Deployment]) -> list[Deployment]:
    """Return who could serve if it were loaded again with a larger context, and may be."""
    least = needs.context
    small = [d for d in deployments if d.loaded_context and d.loaded_context < least <= d.enlargeable]
    return eligible(_of_any_length(needs), small)[0]


def if_shorter(needs: Needs, deployments: Sequence[Deployment]) -> list[Deployment]:
    """Return who could serve if the request needed less context."""
    return eligible(_of_any_length(needs), [d for d in deployments if d.room < needs.tokens])[0]


def _of_any_length(needs: Needs) -> Needs:
    return evolve(needs, tokens=0, overflowed=0)


def _prefer(
    all_: list[Deployment], better: list[Deployment], reason: str, ineligible: list[Ineligible]
) -> list[Deployment]:
    """Keep only the *better* ones, where there are any."""
    if not better or len(better) == len(all_):
        return all_
    kept = set(better)
    ineligible.extend(Ineligible(d.info.id, d.host.name, reason) for d in all_ if d not in kept)
    return better


def _without_failed(
    needs: Needs, able: list[Deployment], ineligible: list[Ineligible]
) -> list[Deployment]:
    if not (needs.failed or needs.failed_hosts or needs.overflowed):
        return able
    left = []
    for deployment in able:
        reason = _failed(needs, deployment)
        if reason is None:
            left.append(deployment)
        else:
            ineligible.append(Ineligible(deployment.info.id, deployment.host.name, reason))
    return left


def _failed(needs: Needs, deployment: Deployment) -> str | None:
    if deployment.host.name in needs.failed_hosts:
        return "its host failed in this request"
    if deployment.key in needs.failed:
        return "it failed in this request"
    context = deployment.loaded_context
    if needs.overflowed and context is not None and context <= needs.overflowed:
        return f"a context of {needs.overflowed} has overflowed, and it has {context}"
    return None


def _unable(needs: Needs, deployment: Deployment) -> str | None:
    """Return why *deployment* cannot serve, or None when it can. What is unknown is no reason."""
    info = deployment.info
    if info.kind is not needs.kind:
        return "an embedding model" if info.kind is ModelKind.EMBEDDING else "makes no embeddings"
    if needs.hosts is not None and deployment.host.name not in needs.hosts:
        return "the request may not go to this host"
    if needs.vision and info.vision is False:
        return "cannot see images"
    if needs.capabilities and info.capabilities and not needs.capabilities <= info.capabilities:
        return f"lacks {', '.join(sorted(needs.capabilities - info.capabilities))}"
    return _too_long(needs.tokens, deployment, info)


def _too_long(tokens: int, deployment: Deployment, info: ModelInfo) -> str | None:
    loaded, maximum = deployment.loaded_context, info.context_length
    if loaded is not None and tokens > loaded:
        if maximum is not None and tokens <= maximum and deployment.loadable:
            return (
                f"needs about {tokens} tokens, loaded with {loaded}: "
                f"`turnout models load {info.id} --context-length {maximum}` gives it more"
            )
        return f"needs about {tokens} tokens, loaded with {loaded}"
    if loaded is None and maximum is not None and tokens > maximum:
        return f"needs about {tokens} tokens, knows at most {maximum}"
    return None
