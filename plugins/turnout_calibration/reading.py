"""Tasks out of JSON, each mistake said in words."""

from turnout.messages import JSON, JSONObject, Tool
from turnout.skills import ModelCapability, Skill, TaskType
from turnout_calibration.check_reading import check
from turnout_calibration.fields import a_list, a_schema, a_text, an_object, at, number, required
from turnout_calibration.results import SKILLS, Source
from turnout_calibration.tasks import MOST_TOKENS, Task, fingerprint

_KEYS = {
    "id", "prompt", "system", "schema", "tools", "max_tokens", "skills", "task_type", "weight", "quick",
    "checks",
}  # fmt: skip


def task(raw: JSON, name: str, source: Source) -> Task:
    """Build a task; *name* is its id where it gives none. Raises ``ValueError`` with what is wrong."""
    if not isinstance(raw, dict):
        raise ValueError("a task is a JSON object, such as {\"prompt\": …, \"checks\": […]}")  # noqa: EM101
    unknown = sorted(set(raw) - _KEYS)
    if unknown:
        message = f"there is no key {unknown[0]!r}; known are {', '.join(sorted(_KEYS))}"
        raise ValueError(message)
    tools = tuple(at(f"tools[{n}]", _tool, one) for n, one in enumerate(a_list(raw, "tools")))
    listed = a_list(raw, "checks")
    if not listed:
        message = "it has no checks: without one nothing can be said about the answer"
        raise ValueError(message)
    kind = None if raw.get("task_type") is None else at("task_type", _task_type, raw["task_type"])
    weight = number(raw, "weight", 1.0)
    return Task(
        id=a_text(raw, "id") or name,
        prompt=required(raw, "prompt"),
        checks=tuple(at(f"checks[{n}]", check, one, tools) for n, one in enumerate(listed)),
        system=a_text(raw, "system"),
        schema=None if raw.get("schema") is None else at("schema", a_schema, raw["schema"]),
        tools=tools,
        max_tokens=int(number(raw, "max_tokens", MOST_TOKENS)),
        skills=_skills(raw) or {kind or ModelCapability.GENERAL: weight},
        task_type=kind,
        weight=weight,
        quick=raw.get("quick") is True,
        source=source,
        fingerprint=fingerprint(raw),
    )


def _task_type(value: JSON) -> TaskType:
    if value not in list(TaskType):
        message = f"must be one of {', '.join(TaskType)}, not {value!r:.60}"
        raise ValueError(message)
    return TaskType(value)


def _skills(raw: JSONObject) -> dict[Skill, float]:
    given = an_object(raw.get("skills", {}), set(SKILLS))
    return {SKILLS[name]: number(given, name, 1.0) for name in given}


def _tool(raw: JSON) -> Tool:
    fields = an_object(raw, {"name", "description", "parameters"})
    parameters = at("parameters", a_schema, fields.get("parameters", {"type": "object", "properties": {}}))
    return Tool(required(fields, "name"), a_text(fields, "description") or "", parameters)
