"""The table of all faults: what is specified of each, held against what happens."""

import inspect

import pytest
from benchmarks.faults import CASES, CELLS, SECONDS, Case, run

import turnout_testing.faults
from turnout_testing import Fault, OverflowForm

pytestmark = pytest.mark.anyio
SHOWN = {"Fault"}
"""The base class of all faults is none itself."""


@pytest.mark.parametrize(("hosts", "streaming"), CELLS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_every_fault_ends_as_specified(case: Case, hosts: int, streaming: bool) -> None:
    """Each outcome is reached in so many attempts, and within the request's time."""
    seen = await run(case, hosts=hosts, streaming=streaming)
    specified = dict(zip(CELLS, case.expected, strict=True))
    assert seen.cell == specified[hosts, streaming]
    assert seen.seconds <= SECONDS + 1e-6


def test_the_table_has_every_fault() -> None:
    """One that is added to the emulator has to be specified."""
    kinds = {
        kind.__name__
        for _, kind in inspect.getmembers(turnout_testing.faults, inspect.isclass)
        if issubclass(kind, Fault)
    }
    assert {type(case.fault).__name__ for case in CASES} == kinds - SHOWN


def test_the_table_has_every_form_of_an_overflow() -> None:
    """But for garbage, which nothing tells from an answer where the server counts no tokens."""
    forms = {getattr(case.fault, "form", None) for case in CASES} - {None}
    assert forms == set(OverflowForm) - {OverflowForm.GARBAGE}
