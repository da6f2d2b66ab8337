"""The exit code tells what happened."""

import socket

import pytest

import turnout
from turnout import LLMError
from turnout_cli.exit_codes import BY_ERROR, MEANINGS, ExitCode, exit_code, merged
from turnout_testing import Emulator, HangBeforeHeaders, LoadFails, Unauthorized, html_500

from .conftest import Desk, MakeDesk

ERRORS: list[tuple[LLMError, int]] = [
    (turnout.ConfigError("x"), 3),
    (turnout.LLMConnectionError("x"), 4),
    (turnout.AuthenticationError("x"), 4),
    (turnout.ModelNotFoundError("x"), 5),
    (turnout.NoSuitableModelError("x"), 5),
    (turnout.StrategyChainError([]), 5),
    (turnout.LLMTimeoutError("x"), 6),
    (turnout.DeadlineExceededError("x"), 6),
    (turnout.LLMRateLimitError("x"), 6),
    (turnout.OverloadedError("x"), 6),
    (turnout.PoolExhaustedError(1, 1), 6),
    (turnout.ConcurrentExecutionError(["a"], ["x"]), 7),
    (turnout.LLMError("x"), 1),
    (turnout.LLMValidationError("x"), 1),
    (turnout.ContextOverflowError("x"), 1),
    (turnout.EmptyReplyError("x"), 1),
    (turnout.WrongModelError("a", "b"), 1),
    (turnout.ModelLoadError("x"), 1),
    (turnout.ModelLoadError("x", TimeoutError()), 6),
    (turnout.MissingExtraError("x", "y"), 1),
    (turnout.PluginError("x"), 1),
]


@pytest.mark.parametrize(("error", "code"), ERRORS, ids=lambda value: type(value).__name__)
def test_every_error_has_its_code(error: LLMError, code: int) -> None:
    """Each error ends with the code that its kind, or the nearest kind above it, has in the table."""
    assert exit_code(error) == code


def test_the_table_is_reachable() -> None:
    """No line of the table hides behind one before it."""
    for number, (kind, code) in enumerate(BY_ERROR):
        hidden = [above for above, other in BY_ERROR[:number] if issubclass(kind, above) and other != code]
        assert not hidden, (kind, hidden)


def test_every_code_is_explained(desk: Desk) -> None:
    """`turnout --help` lists every code with its meaning."""
    shown = desk.run("--help").stdout
    assert set(MEANINGS) == set(ExitCode)
    for code, meaning in MEANINGS.items():
        assert f"  {int(code):<3}  {meaning}" in shown


@pytest.mark.parametrize(
    ("codes", "expected"),
    [([], 0), ([0, 0], 0), ([0, 5], 7), ([5, 5], 5), ([4, 5], 4)],
)
def test_several_parts_have_one_code(codes: list[int], expected: int) -> None:
    """All well is 0, some well is 7, and none well is what went wrong first."""
    assert merged([ExitCode(code) for code in codes]) == expected


def test_usage_is_2(desk: Desk) -> None:
    """An unknown verb, option or value ends with 2."""
    for line in ("nonsense", "ask --nonsense", "ask --max-tokens 0 hi", "-p metrics ask hi"):
        assert desk.run(*line.split()).exit_code == 2, line


@pytest.mark.parametrize("option", ["--timeout=nan", "--temperature=nan", "--temperature=inf"])
def test_what_is_no_number_is_2(desk: Desk, option: str) -> None:
    """Click lets it through any range, and no request can have it."""
    assert desk.run("ask", option, "hi").exit_code == 2
    assert desk.run("ask", "--timeout=inf", "hi").exit_code == 0


def test_invalid_configuration_is_3(desk: Desk) -> None:
    """A wrong setting ends with 3 and names where it stands."""
    done = desk.run("--set", "router.timeout=-1", "ask", "hi")
    assert done.exit_code == 3
    assert "[router] timeout" in done.stderr


def test_a_missing_configuration_file_is_3(desk: Desk) -> None:
    """A file that --config names must be there."""
    assert desk.run("--config", "nowhere.toml", "ask", "hi").exit_code == 3


def test_no_server_is_4(desk: Desk) -> None:
    """Nobody there ends with 4, and the JSON says so too."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    gone = ("--set", f"hosts.desk.url=http://127.0.0.1:{port}")
    done = desk.run(*gone, "ask", "--json", "hi")
    assert done.exit_code == 4
    assert '"exit_code": 4' in done.stdout
    assert "lms server start" in done.stderr
    assert desk.run(*gone, "hosts").exit_code == 4
    assert desk.run(*gone, "models").exit_code == 4


def test_a_refused_token_is_4(desk: Desk) -> None:
    """A server that takes no token of ours cannot be used, which is 4."""
    desk.emulator.inject(Unauthorized())
    done = desk.run("ask", "hi")
    assert done.exit_code == 4
    assert "LM_API_TOKEN" in desk.run("doctor").stdout


def test_no_such_model_is_5(desk: Desk) -> None:
    """A model that no host has ends with 5, with the nearest names."""
    done = desk.run("ask", "-m", "acme/owl-9b", "hi")
    assert done.exit_code == 5
    assert "Did you mean 'acme/owl-8b'" in done.stderr


def test_no_suitable_model_is_5(desk: Desk) -> None:
    """An embedding model cannot chat."""
    assert desk.run("ask", "-m", "text-embedding-acme-v1", "hi").exit_code == 5


def test_time_is_up_is_6(desk: Desk) -> None:
    """An answer that does not come in time ends with 6."""
    desk.emulator.inject(HangBeforeHeaders(route="/v1/chat/completions"))
    done = desk.run("ask", "--timeout", "0.3", "hi")
    assert done.exit_code == 6
    assert "no answer within 0.3 s" in done.stderr


def test_a_load_that_takes_too_long_is_6(make_desk: MakeDesk) -> None:
    """A load that outlasts load_timeout ends with 6, and says so."""
    with make_desk(Emulator()) as desk:
        desk.emulator.inject(HangBeforeHeaders(route="/api/v1/models/load"))
        done = desk.run("--set", "router.load_timeout=0.3", "models", "load", "acme/owl-8b")
    assert done.exit_code == 6
    assert "not loaded within 0.3 s" in done.stderr


def test_some_of_several_is_7(desk: Desk) -> None:
    """Loading two models of which one exists ends with 7; both results are told."""
    done = desk.run("models", "load", "--json", "acme/owl-8b", "nope")
    assert done.exit_code == 7
    assert '"already": true' in done.stdout
    assert '"exit_code": 5' in done.stdout


def test_other_failures_are_1(make_desk: MakeDesk) -> None:
    """What has no code of its own is 1."""
    with make_desk(Emulator(speed=1000)) as desk:
        desk.emulator.inject(LoadFails())
        assert desk.run("models", "load", "acme/owl-8b").exit_code == 1


def test_a_broken_server_is_1(desk: Desk) -> None:
    """A server that only fails ends with 1 once all attempts are used up."""
    desk.emulator.inject(html_500(route="/v1/chat/completions"))
    assert desk.run("--set", "router.backoff=0", "ask", "hi").exit_code == 1
