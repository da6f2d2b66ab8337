"""One decision: signals, eligibility, vetoes, estimates, then the chain of strategies."""

from collections.abc import Iterable, Mapping, Sequence

from attrs import evolve, frozen

from turnout import eligibility
from turnout.config import Config
from turnout.errors import LLMError, ModelNotFoundError, NoSuitableModelError, StrategyChainError
from turnout.fleet import Candidate, Deployment, Fleet, by_model
from turnout.names import matches, near
from turnout.nobody import no_candidate, too_long
from turnout.plugins import Plugins
from turnout.types import Explanation, Ineligible, ModelRequest, ModelSelection, Reload, Signals, Verdict

NOTHING = Signals()


@frozen(eq=False)
class Decision:
    """What was decided and why; ``error`` instead of ``selection`` when nobody could choose.

    ``request`` carries the signals that were found, ``candidates`` what the strategies saw.
    """

    request: ModelRequest
    explanation: Explanation
    candidates: tuple[Candidate, ...] = ()
    selection: ModelSelection | None = None
    error: LLMError | None = None

    def chosen(self) -> ModelSelection:
        """Return the selection, or raise the error."""
        if self.selection is None:
            raise self.error or StrategyChainError([])
        return self.selection


async def prepare(plugins: Plugins, request: ModelRequest, config: Config) -> ModelRequest:
    """Return *request* with its signals, and with the default model where it names none."""
    found = await plugins.classify_request(request)
    expected = config.selection.expected_output_tokens
    prompt = request.signals.prompt_tokens
    measured = Signals(
        prompt_tokens=eligibility.estimate_tokens(request) if prompt is None else prompt,
        output_tokens=min(request.max_tokens or expected, expected),
    )
    known = [request.signals, *found] if found or request.signals != NOTHING else []
    if request.task_type is not None:
        known.insert(0, Signals(request.task_type, confidence=1.0))
    signals = merge_signals([*known, measured])
    request = request.with_signals(signals)
    if request.explicit_model is None and config.selection.default_model is not None:
        return evolve(request, explicit_model=config.selection.default_model, allow_fallback=True)
    return request


def merge_signals(found: Sequence[Signals]) -> Signals:
    """Join signals: of each fact the first that is known counts, needs and notes add up."""
    merged = found[0]
    for other in found[1:]:
        task = merged.task_type is None and other.task_type is not None
        merged = Signals(
            task_type=other.task_type if task else merged.task_type,
            confidence=other.confidence if task else merged.confidence,
            prompt_tokens=_first(merged.prompt_tokens, other.prompt_tokens),
            output_tokens=_first(merged.output_tokens, other.output_tokens),
            needs=merged.needs | other.needs,
            language=merged.language or other.language,
            notes={**other.notes, **merged.notes},
        )
    return merged


def _first(one: int | None, other: int | None) -> int | None:
    return other if one is None else one


def decide(plugins: Plugins, request: ModelRequest, fleet: Fleet, config: Config) -> Decision:
    """Choose a model for a prepared *request*. Never raises an ``LLMError``: it is in the decision."""
    try:
        pinned = _pin(request, fleet, config)
    except ModelNotFoundError as error:
        return Decision(request, Explanation(signals=request.signals), error=error)
    # A pin narrows the choice to itself, so that no strategy can replace it.
    narrow = pinned is not None and not request.allow_fallback
    considered = fleet.models[pinned] if narrow and pinned else fleet.deployments
    needs = eligibility.needs_of(request)
    deployments, ineligible = eligibility.eligible(needs, considered)
    deployments, notes = _without_vetoed(plugins, request, deployments, ineligible)
    reloads: tuple[Reload, ...] = ()
    if not deployments or all(deployment.host.last_resort for deployment in deployments):
        deployments, reloads, more = _enlarged(plugins, request, considered, deployments, ineligible)
        notes = (*notes, *more)
    explanation = Explanation((), tuple(ineligible), signals=request.signals, notes=notes, reloads=reloads)
    if not deployments:
        nobody = no_candidate(request, fleet, ineligible, pinned if narrow else None)
        return Decision(request, explanation, error=too_long(needs, considered, nobody))
    if pinned is not None and pinned != request.explicit_model:
        request = evolve(request, explicit_model=pinned)
    if len(deployments) == len(fleet.deployments):
        groups: Mapping[str, Sequence[Deployment]] = fleet.models
    else:
        groups = by_model(deployments)
    estimates, assessments = plugins.estimate(request, deployments), plugins.assess_models(request, groups)
    candidates = tuple(
        Candidate(group[0].info, tuple(group), estimates, assessments) for group in groups.values()
    )
    return _ask(plugins, request, candidates, explanation)


def repeat(
    plugins: Plugins, request: ModelRequest, fleet: Fleet, selection: ModelSelection, host: str
) -> ModelSelection | None:
    """Return *selection* for its deployment on *host* alone, or None when that may not serve any more."""
    deployment = fleet.find(host, selection.model)
    if deployment is None:
        return None
    # That it has failed is known, and somebody wants it all the same.
    needs = eligibility.needs_of(evolve(request, attempts=()))
    able = eligibility.eligible(needs, [deployment])[0] or eligibility.if_enlarged(needs, [deployment])
    left, _ = _without_vetoed(plugins, request, able, [])
    if not left:
        return None
    group = fleet.models[selection.model]
    others = (Ineligible(d.model, d.host.name, "another is retried") for d in group if d is not deployment)
    explanation = selection.explanation
    return evolve(
        selection, explanation=evolve(explanation, ineligible=(*explanation.ineligible, *others))
    )


def _enlarged(
    plugins: Plugins,
    request: ModelRequest,
    considered: Sequence[Deployment],
    able: list[Deployment],
    ineligible: list[Ineligible],
) -> tuple[list[Deployment], tuple[Reload, ...], tuple[str, ...]]:
    """Return who may serve after a load with a larger context, else *able*, and what is noted of it.

    *ineligible* follows. This comes before a last resort, and after everybody else.
    """
    needs = eligibility.needs_of(request)
    small = eligibility.if_enlarged(needs, considered)
    if not small or (able and small[0].host.last_resort):
        return able, (), ()
    vetoed: list[Ineligible] = []
    found, notes = _without_vetoed(plugins, request, small, vetoed)
    keys = {deployment.key for deployment in small}
    ineligible[:] = [*(entry for entry in ineligible if (entry.host, entry.model) not in keys), *vetoed]
    if not found:
        return able, (), ()
    reason = "a last resort, and another host can serve with a larger context"
    ineligible.extend(Ineligible(d.model, d.host.name, reason) for d in able)
    reloads = (Reload(d.model, d.host.name, needs.context, d.loaded_context or 0) for d in found)
    return found, tuple(reloads), notes


def _without_vetoed(
    plugins: Plugins, request: ModelRequest, deployments: list[Deployment], ineligible: list[Ineligible]
) -> tuple[list[Deployment], tuple[str, ...]]:
    """Return those that are left, and what is noted of the decision."""
    vetoes = plugins.veto_deployments(request, deployments)
    out = vetoes.reasons
    if not out:
        return deployments, vetoes.notes
    ineligible.extend(Ineligible(d.model, d.host.name, out[d]) for d in deployments if d in out)
    return [d for d in deployments if d not in out], vetoes.notes


def _pin(request: ModelRequest, fleet: Fleet, config: Config) -> str | None:
    """Return the model that the request names; raises ``ModelNotFoundError`` with near names."""
    asked = request.explicit_model
    if asked is None or not fleet.deployments:
        return None
    known = list(fleet.models)
    found = matches(asked, known, config.selection.aliases)
    if len(found) == 1:
        return found[0]
    if request.allow_fallback:
        return None
    if found:
        raise ModelNotFoundError(asked, known, near=found, reason="names more than one model")
    close = near(asked, [*known, *config.selection.aliases])
    reason = f"not found ({', '.join(fleet.silent)} did not answer)" if fleet.silent else ""
    raise ModelNotFoundError(asked, known, near=close, reason=reason)


def _ask(
    plugins: Plugins, request: ModelRequest, candidates: tuple[Candidate, ...], explanation: Explanation
) -> Decision:
    """Ask the strategies in turn; the first that chooses a candidate has chosen."""
    names = {candidate.id: None for candidate in candidates}
    verdicts: list[Verdict] = []
    for name, strategy in plugins.strategies:
        try:
            answer = strategy(request=request, candidates=candidates)
        except NoSuitableModelError as declined:
            verdicts.append(Verdict(name, "declined", declined.message))
            continue
        except Exception as error:  # noqa: BLE001  the plugin boundary
            plugins.report(name, "select_model", error)
            verdicts.append(Verdict(name, "skipped", f"failed: {type(error).__name__}: {error}"))
            continue
        if answer is None:
            verdicts.append(Verdict(name, "abstained"))
        elif isinstance(answer, ModelSelection) and isinstance(answer.model, str) and answer.model in names:
            verdicts.append(Verdict(name, "selected", answer.reason))
            explanation = _explained(explanation, names, verdicts, _notes_of(name, answer))
            selection = ModelSelection(
                answer.model,
                answer.reason,
                answer.ranking,
                answer.estimated_duration,
                answer.strategy_used or name,
                explanation,
                answer.propensity,
            )
            return Decision(request, explanation, candidates, selection)
        else:
            wrong = f"answered {answer!r}, which is no selection of a candidate"
            plugins.report(name, "select_model", ValueError(wrong))
            verdicts.append(Verdict(name, "skipped", wrong))
    explanation = _explained(explanation, names, verdicts)
    reasons = {v.strategy: v.detail or v.outcome for v in verdicts}
    failed = request.attempts[-1].error if request.attempts else None
    nobody = failed or StrategyChainError(list(reasons), reasons=reasons)
    return Decision(request, explanation, candidates, error=nobody)


def _notes_of(strategy: str, selection: ModelSelection) -> tuple[str, ...]:
    said = selection.explanation
    # A strategy may have put anything there, for all but the notes is thrown away.
    if not isinstance(said, Explanation) or not said.notes:
        return ()
    return tuple(f"{note} ({strategy})" for note in said.notes)


def _explained(
    so_far: Explanation, names: Iterable[str], verdicts: Iterable[Verdict], notes: tuple[str, ...] = ()
) -> Explanation:
    notes = (*so_far.notes, *notes)
    return Explanation(
        tuple(names), so_far.ineligible, tuple(verdicts), so_far.signals, notes, so_far.reloads
    )
