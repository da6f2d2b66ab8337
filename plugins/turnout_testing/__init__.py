"""An emulator of LM Studio's HTTP server, a virtual clock to run it on, the ways to reach it from a test,
and the rules that every strategy keeps, as tests.

The names are those of `turnout_testing.kit`, imported when the first of them is asked for: the command line
and pytest import this package in every run, and mostly for nothing.
"""
# ruff: noqa: F405  a test holds these names to those of the kit

from importlib import import_module
from typing import TYPE_CHECKING

# Now, for its module has the same name, and would stand here in its place.
from turnout_testing.serve import serve, serving

if TYPE_CHECKING:
    from turnout_testing.kit import *  # noqa: F403
else:

    def __getattr__(name: str) -> object:
        if name in __all__:
            return getattr(import_module("turnout_testing.kit"), name)
        message = f"module 'turnout_testing' has no attribute {name!r}"
        raise AttributeError(message)


__all__ = [
    "CannedAnswer",
    "ConnectionLost",
    "CorruptedArguments",
    "Crash",
    "DeadlockError",
    "DownloadableModel",
    "DuplicateKeys",
    "EmptyChoices",
    "EmptyContent",
    "EmptyToolId",
    "EmulatedHosts",
    "EmulatedModel",
    "Emulator",
    "EngineFault",
    "Era",
    "Evicted",
    "Fault",
    "FetchFailed",
    "Forbidden",
    "GenerationRecord",
    "GuardrailRefusal",
    "HangBeforeHeaders",
    "HangBetweenChunks",
    "HtmlDiscovery",
    "InProcessTransport",
    "InstanceView",
    "InvalidJson",
    "LoadFails",
    "LoadRecord",
    "Message",
    "ModelReply",
    "NoModelsLoaded",
    "Overflow",
    "OverflowForm",
    "Prompt",
    "ReasoningIn",
    "RecordedRequest",
    "SchemaInReasoning",
    "SlowHost",
    "StrategyConformance",
    "Tool",
    "ToolCall",
    "ToolCallAsText",
    "TruncatedStream",
    "Unauthorized",
    "UnloadRecord",
    "VirtualLoop",
    "World",
    "WrongModel",
    "count_tokens",
    "emulated_router",
    "html_500",
    "prompt_tokens",
    "serve",
    "serving",
    "virtual_loop_factory",
]
