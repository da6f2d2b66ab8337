"""Why nobody may answer: the error of a request for which no candidate is left."""

from collections.abc import Sequence
from math import inf

from turnout import eligibility
from turnout.eligibility import Needs
from turnout.errors import (
    AuthenticationError,
    ContextOverflowError,
    LLMConnectionError,
    LLMError,
    NoSuitableModelError,
    StrategyChainError,
)
from turnout.fleet import Deployment, Fleet
from turnout.types import Ineligible, ModelRequest


def no_candidate(
    request: ModelRequest, fleet: Fleet, ineligible: Sequence[Ineligible], pinned: str | None
) -> LLMError:
    """Say why nobody may answer: the last failure, if there was one, else the reasons."""
    if request.attempts and request.attempts[-1].error is not None:
        return request.attempts[-1].error
    if not fleet.deployments:
        return _no_model(fleet)
    if pinned is not None:
        reasons = "; ".join(f"{entry.host}: {entry.reason}" for entry in ineligible)
        return NoSuitableModelError(f"{pinned} cannot take this request ({reasons})", list(fleet.models))
    left_out = [str(entry) for entry in ineligible]
    return StrategyChainError([], ineligible=left_out, advice="`turnout route --explain` shows everybody.")


def too_long(needs: Needs, considered: Sequence[Deployment], nobody: LLMError) -> LLMError:
    """Return the error of a request that is only too long; where that is not it, *nobody*."""
    if not isinstance(nobody, NoSuitableModelError | StrategyChainError):
        return nobody
    small = eligibility.if_shorter(needs, considered)
    if not small or eligibility.eligible(needs, considered)[0]:
        return nobody
    room = max(int(deployment.room) for deployment in small)
    hopeless = all((deployment.info.context_length or inf) < needs.tokens for deployment in small)
    advice = "Shorten the prompt: no model takes so much." if hopeless else None
    message = f"The request needs about {needs.tokens} tokens of context. {nobody.message}"
    return ContextOverflowError(message, needs.tokens, room, advice=advice)


def _no_model(fleet: Fleet) -> LLMError:
    """Say that no host has a model, with what each of them answered; a token is what is missing, if it is."""
    errors = [report.error for report in fleet.hosts]
    refused = next((error for error in errors if isinstance(error, AuthenticationError)), None)
    if refused is not None and len(errors) == 1:
        return AuthenticationError(refused.message, refused, host=refused.host, advice=refused.advice)
    answers = "; ".join(f"{report.host.url}: {report.error or 'has no models'}" for report in fleet.hosts)
    return LLMConnectionError(
        f"No host offers a model. {answers or 'No host is configured'}",
        advice=(
            "Start LM Studio's server (`lms server start`), name your servers in turnout.toml, "
            "or `pip install 'turnout[embedded]'` for a small model that runs here."
        ),
    )
