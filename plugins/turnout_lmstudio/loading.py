"""Explicit loads and unloads: once per model at a time, verified, and never on a guess."""

import asyncio
import contextlib

from turnout.errors import ModelLoadError, ModelNotFoundError
from turnout.fleet import Deployment, Instance, LoadOptions
from turnout.messages import JSONObject
from turnout.wire import call
from turnout.wire.lenient import text
from turnout_lmstudio.server import Server
from turnout_lmstudio.settings import LMStudioSettings

LISTED_SECONDS = 5.0
"""How long an instance may be missing from the listing after the server has said that it is loaded."""


class Loader:
    """Loads and unloads models. Whoever wants a load that is under way waits for that one (bt#1751)."""

    def __init__(self, settings: LMStudioSettings) -> None:
        self._settings = settings
        self._loads: dict[tuple[str, str, int | None], asyncio.Task[Instance]] = {}

    async def load(self, server: Server, model: str, options: LoadOptions) -> Instance:
        """Return a loaded instance of *model*, loading it only where none will do.

        ``options.ttl`` has no effect: LM Studio takes none over HTTP. A caller that gives up does not end
        the load for the others. Raises ``ModelLoadError`` or ``InsufficientMemoryError``.
        """
        key = server.host.name, model, options.context_length
        task = self._loads.get(key)
        if task is None:
            task = self._loads[key] = asyncio.create_task(self._load(server, model, options))
            task.add_done_callback(lambda done: self._forget(key, done))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.cancelled():
                raise  # The caller gave up; the load goes on.
            message = f"the load of {model!r} was given up, because the router closed"
            raise ModelLoadError(message, host=server.host.name, model=model) from None

    def _forget(self, key: tuple[str, str, int | None], done: "asyncio.Task[Instance]") -> None:
        self._loads.pop(key, None)
        if not done.cancelled():
            done.exception()  # Nobody may be waiting any more.

    async def _load(self, server: Server, model: str, options: LoadOptions) -> Instance:
        try:
            async with asyncio.timeout(self._settings.load_timeout):
                return await self._load_if_absent(server, model, options)
        except TimeoutError as late:
            message = f"{model!r} was not loaded within {self._settings.load_timeout:g} s"
            raise ModelLoadError(message, late, host=server.host.name, model=model) from late

    async def _load_if_absent(self, server: Server, model: str, options: LoadOptions) -> Instance:
        """List first: a load is not idempotent, a second one makes ``model:2`` (inference-atlas#87)."""
        known = await server.find(model)
        if known is None:
            raise ModelNotFoundError(model, host=server.host.name, reason="is not on the host")
        for instance in known.instances:
            if _suffices(instance, options):
                return instance
        if server.is_old:
            message = f"LM Studio before 0.4 loads no model over HTTP: {model!r}"
            advice = f"Run `lms load {model}` there, or ask it something: it then loads by itself."
            raise ModelLoadError(message, host=server.host.name, model=model, advice=advice)
        body: JSONObject = {"model": model}
        if options.context_length is not None:
            body["context_length"] = options.context_length
        answer = await _call(server, "/api/v1/models/load", body, model)
        return await self._until_there(server, model, _instance_id(answer, server, model))

    async def _until_there(self, server: Server, model: str, identity: str) -> Instance:
        loop = asyncio.get_running_loop()
        until = loop.time() + LISTED_SECONDS
        while True:
            known = await server.find(model)
            found = [i for i in known.instances if i.id == identity] if known is not None else []
            if found:
                return found[0]
            if loop.time() >= until:
                message = f"{identity!r} was loaded, and is not listed: perhaps somebody has unloaded it"
                raise ModelLoadError(message, host=server.host.name, model=model)
            await asyncio.sleep(self._settings.poll_seconds)

    async def unload(self, server: Server, deployment: Deployment, instance: Instance) -> None:
        """Unload *instance*, and return when it is gone; one that is gone already is no error.

        Raises ``ModelLoadError`` when it stays.
        """
        body: JSONObject = {"instance_id": instance.id}
        model = deployment.model
        if server.is_old:
            message = f"LM Studio before 0.4 unloads no model over HTTP: {model!r}"
            advice = f"Run `lms unload {instance.id}` there."
            raise ModelLoadError(message, host=server.host.name, model=model, advice=advice)
        with contextlib.suppress(ModelNotFoundError):
            _instance_id(await _call(server, "/api/v1/models/unload", body, model), server, model)
        try:
            async with asyncio.timeout(self._settings.load_timeout):
                await self._until_gone(server, model, instance.id)
        except TimeoutError as late:
            message = f"{instance.id!r} was not unloaded within {self._settings.load_timeout:g} s"
            raise ModelLoadError(message, late, host=server.host.name, model=model) from late

    async def _until_gone(self, server: Server, model: str, identity: str) -> None:
        while True:
            known = await server.find(model)
            if known is None or all(instance.id != identity for instance in known.instances):
                return
            await asyncio.sleep(self._settings.poll_seconds)

    async def close(self) -> None:
        """Give up the loads that are under way."""
        tasks = list(self._loads.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


def _suffices(instance: Instance, options: LoadOptions) -> bool:
    wanted, has = options.context_length, instance.context_length
    return wanted is None or has is None or has >= wanted


async def _call(server: Server, path: str, body: JSONObject, model: str) -> JSONObject:
    return await call(server.endpoint, "POST", path, body, model=model)


def _instance_id(answer: JSONObject, server: Server, model: str) -> str:
    """Read the instance's id: a route that does not exist can answer 200 too (bt#1680)."""
    identity = text(answer.get("instance_id"))
    if not identity:
        message = f"LM Studio answered without an instance: {str(answer)[:200]}"
        raise ModelLoadError(message, host=server.host.name, model=model)
    return identity
