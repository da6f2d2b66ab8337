"""All that is known of a model on a host, for ``turnout models show``."""

from collections.abc import Iterator, Mapping

from turnout import JSON, Deployment, JSONObject
from turnout_cli.measured import Scores, Speeds, measured, scores
from turnout_cli.words import UNKNOWN, count, percent, plural, rate, seconds, size, weights


def facts(deployment: Deployment) -> Iterator[tuple[str, str]]:
    """Yield what the host and the catalogue say of a model, as label and value."""
    info, host = deployment.info, deployment.host
    yield "Model", f"{deployment.model}{f' ({info.name})' if info.name else ''}"
    yield "Host", f"{host.name}, {host.url}, {host.backend}{f' {host.era}' if host.era else ''}"
    yield "Kind", str(info.kind)
    yield "Can", ", ".join(sorted(info.capabilities)) or UNKNOWN
    yield "Vision", _known(info.vision)
    yield "Tools", _known(info.tools)
    if info.reasoning is not None:
        levels = f"{', '.join(info.reasoning)}; by default {info.reasoning_default or UNKNOWN}"
        yield "Reasoning", levels if info.reasoning else "no"
    yield "Architecture", info.architecture or UNKNOWN
    active = f", {weights(info.active_parameters)} active" if info.active_parameters else ""
    yield "Weights", f"{weights(info.parameters)}{active}"
    yield "Quantization", info.quantization or UNKNOWN
    yield "Size", size(info.size_bytes)
    yield "Format", info.format or UNKNOWN
    yield "Max context", count(info.context_length)
    if info.variants:
        yield "Variants", ", ".join(info.variants)
    for instance in deployment.instances:
        slots = instance.parallel or deployment.default_parallel
        yield "Loaded", f"{instance.id}, context {count(instance.context_length)}, slots {slots}"
    if not deployment.instances:
        yield "Loaded", "loading" if deployment.loading else "no"
    for key, value in info.metadata.items():
        yield key.replace("_", " ").capitalize(), str(value)


def _known(value: bool | None) -> str:
    return "unknown" if value is None else "yes" if value else "no"


def _speed_facts(speed: Speeds | None) -> Iterator[tuple[str, str]]:
    if speed is None:
        yield "Measured", "nothing yet"
        return
    yield "Measured", f"{plural(speed.requests, 'request')}, {percent(speed.went_well)} went well"
    yield "Tokens/s", rate(speed.tokens_per_second)
    yield "First token", seconds(speed.time_to_first_token)
    yield "Load", seconds(speed.load_seconds)


def _measured_shape(speed: Speeds | None) -> JSONObject | None:
    if speed is None:
        return None
    return {
        "requests": speed.requests,
        "successes": speed.successes,
        "success_rate": speed.success_rate,
        "tokens_per_second": speed.tokens_per_second,
        "time_to_first_token": speed.time_to_first_token,
        "load_seconds": speed.load_seconds,
    }


def learned_facts(deployment: Deployment, stats: Mapping[str, JSON]) -> Iterator[tuple[str, str]]:
    """Yield what was measured and probed here, as label and value."""
    host, model = deployment.key
    yield from _speed_facts(measured(stats, host, model))
    yield from _score_facts(scores(stats, host, model))


def _score_facts(found: Scores | None) -> Iterator[tuple[str, str]]:
    if found is None:
        yield "Calibrated", "not yet: `turnout calibrate` finds out what it is good at"
        return
    day, right = found.date.partition("T")[0], f"{found.passed} of {plural(found.tasks, 'task')} right"
    yield "Calibrated", f"{day}, {right}"
    for skill, (score, weight) in sorted(found.by_skill.items()):
        yield f"  {skill.replace('_', ' ')}", f"{percent(score)} ({weight:.0f})"


def learned_shape(deployment: Deployment, stats: Mapping[str, JSON]) -> JSONObject:
    """Describe what was measured and probed here; None where nothing was."""
    host, model = deployment.key
    found = scores(stats, host, model)
    return {
        "measured": _measured_shape(measured(stats, host, model)),
        "calibrated": None if found is None else found.shape,
    }
