"""With several models, the default chain picks what an expert would pick."""

import pytest

from turnout import Config, HostSettings, ImagePart, Message, ModelRequest, Router, Tool
from turnout_testing import EmulatedModel, Emulator
from turnout_testing.fleet import EmulatedHosts

pytestmark = pytest.mark.anyio
CODER, GEMMA, OSS = "qwen/qwen3-coder-30b", "google/gemma-3-12b", "openai/gpt-oss-20b"
SMALL, MAGISTRAL = "llama-3.2-3b-instruct", "mistralai/magistral-small-2509"
PLUGINS = {"explicit", "task_based", "capability", "performance", "fallback", "lmstudio", "pool", "metrics"}


def a_model(key: str, gigabytes: float, params: str, *, thinks: bool = False, **facts: bool) -> EmulatedModel:
    options = ("off", "on") if thinks else ()
    return EmulatedModel(
        key,
        size_bytes=int(gigabytes * 1e9),
        params_string=params,
        reasoning_options=options,
        reasoning_default="on" if thinks else None,
        **facts,  # type: ignore[arg-type]
    )


LIBRARY = (
    a_model(CODER, 18.6, "30B-A3B"),
    a_model(GEMMA, 8.0, "12B", vision=True, tools=False),
    a_model(OSS, 12.0, "20B", thinks=True),
    a_model(MAGISTRAL, 14.0, "24B", thinks=True),
    a_model(SMALL, 2.0, "3B"),
)
CODE = "Write a function in Rust that merges two sorted vectors."
PROOF = "Prove that the sum of two odd numbers is even, and generalise it to n summands."
DIFF = "Review this diff:\n```diff\n-    return a - b\n+    return a + b\n```"
CHART = ModelRequest(messages=[Message("user", (ImagePart("data:image/png;base64,AA"),))])


async def chosen(request: ModelRequest | str, *loaded: str) -> str:
    """Return what is chosen where these are loaded and nothing has been measured."""
    desk = Emulator(LIBRARY, loaded=loaded, default_context=32_768)
    config = Config(
        hosts={"desk": HostSettings("http://desk:1234", "lmstudio")}, tables={"metrics": {"path": ":memory:"}}
    )
    hosts = EmulatedHosts({"desk": desk})
    async with Router(config, plugins={"emulated_hosts": hosts}, only_plugins=PLUGINS) as router:
        return (await router.route(request)).model


@pytest.mark.parametrize(
    ("request_", "loaded", "expected"),
    [
        (CODE, (), CODER),
        (CODE, (SMALL,), CODER),
        (DIFF, (SMALL,), CODER),
        (PROOF, (SMALL,), OSS),
        (PROOF, (CODER, SMALL, OSS), OSS),
        ("What is the capital of France?", (SMALL,), SMALL),
        ("What is the capital of France?", (CODER,), CODER),
        ("hi", (SMALL,), SMALL),
        ("hi", (GEMMA,), GEMMA),
        ("Write a haiku about owls", (CODER,), CODER),
        (CHART, (CODER,), GEMMA),
        (ModelRequest(CODE, prefer_fast=True), (SMALL,), SMALL),
        (ModelRequest("Look it up", tools=[Tool("look")]), (GEMMA, CODER), CODER),
    ],
)
async def test_the_choice_is_an_experts(
    request_: ModelRequest | str, loaded: tuple[str, ...], expected: str
) -> None:
    """A coder is worth loading for code and a thinker for a proof; nothing is loaded for a quick question."""
    assert await chosen(request_, *loaded) == expected


async def test_more_loaded_models_never_make_a_swap() -> None:
    """Where everything is loaded, small talk does not go to the slowest, nor a proof to the smallest."""
    everything = tuple(model.key for model in LIBRARY)
    assert await chosen("Write a haiku about owls", *everything) not in (MAGISTRAL, OSS)
    assert await chosen(PROOF, *everything) != SMALL
