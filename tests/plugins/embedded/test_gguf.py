"""The rules of reading GGUF headers."""

from __future__ import annotations

import contextlib
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.fleet import ModelKind
from turnout.skills import ModelCapability
from turnout_embedded.gguf import Header, NotGGUFError, Scalar, read_header
from turnout_embedded.model import SMOLLM2_INFO, describe

if TYPE_CHECKING:
    from pathlib import Path


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def packed(kind: int, layout: str, value: Scalar) -> bytes:
    return struct.pack(f"<I{layout}", kind, value)


def encode(value: Scalar) -> bytes:
    """Write a value with its type; None is an array."""
    if value is None:
        words = b"".join(map(text, ("a", "", "ccc")))
        inner = struct.pack("<IQ3H", 2, 3, 1, 2, 3)
        strings = struct.pack("<IQ", 8, 3) + words
        return struct.pack("<IIQ", 9, 9, 2) + inner + strings
    if isinstance(value, bool):
        return packed(7, "?", value)
    if isinstance(value, int):
        return packed(4, "I", value) if 0 <= value < 2**32 else packed(11, "q", value)
    if isinstance(value, float):
        return packed(12, "d", value)
    return struct.pack("<I", 8) + text(value)


def gguf_bytes(values: dict[str, Scalar], shapes: list[list[int]], version: int = 3) -> bytes:
    """Write a header by the format's description."""
    head = struct.pack("<4sIQQ", b"GGUF", version, len(shapes), len(values))
    pairs = b"".join(text(key) + encode(value) for key, value in values.items())
    tensors = b"".join(
        text(f"t{n}") + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, 0)
        for n, shape in enumerate(shapes)
    )
    return head + pairs + tensors


scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text()
)
tables = st.dictionaries(st.text(), scalars.filter(lambda v: v is None or v != ""), max_size=6)
shape_lists = st.lists(st.lists(st.integers(1, 999), max_size=4), max_size=4)


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gguf") / "model.gguf"


@given(values=tables, shapes=shape_lists)
def test_round_trip(scratch: Path, values: dict[str, Scalar], shapes: list[list[int]]) -> None:
    """Every scalar comes back as it was written, arrays as None, and the weights are counted."""
    values.pop("split.count", None)
    data = gguf_bytes(values, shapes)
    scratch.write_bytes(data)
    header = read_header(scratch)
    assert header.values == values
    assert header.parameters == sum(_product(shape) for shape in shapes)
    assert header.size_bytes == len(data)


def _product(shape: list[int]) -> int:
    result = 1
    for length in shape:
        result *= length
    return result


@given(values=tables, shapes=shape_lists, share=st.floats(0, 1, exclude_max=True))
def test_cut_off(scratch: Path, values: dict[str, Scalar], shapes: list[list[int]], share: float) -> None:
    """A header that is cut off anywhere is told as such, and nothing else goes wrong."""
    data = gguf_bytes(values, shapes)
    scratch.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(NotGGUFError, match="is not a whole GGUF file"):
        read_header(scratch)


@given(data=st.binary(max_size=200), magic=st.sampled_from([b"", b"GGUF", b"GGUF\x03\0\0\0"]))
def test_junk(scratch: Path, data: bytes, magic: bytes) -> None:
    """Any bytes at all are either a header or told to be none."""
    scratch.write_bytes(magic + data)
    with contextlib.suppress(NotGGUFError):
        assert isinstance(read_header(scratch), Header)


@pytest.mark.parametrize("kind", [13, 99, 2**32 - 1])
def test_unknown_type(scratch: Path, kind: int) -> None:
    """A value of a type that is not known ends the reading: where it ends cannot be told."""
    pair = text("key") + struct.pack("<II", kind, 0)
    scratch.write_bytes(struct.pack("<4sIQQ", b"GGUF", 3, 0, 1) + pair)
    with pytest.raises(NotGGUFError, match=f"a value of the unknown type {kind}"):
        read_header(scratch)


def test_arrays(scratch: Path) -> None:
    """Arrays of numbers, of strings and of arrays are passed over."""
    values: dict[str, Scalar] = {"a": None, "after": 7}
    scratch.write_bytes(gguf_bytes(values, []))
    assert read_header(scratch).values == values


@pytest.mark.parametrize("array", [(4, 3), (8, 1), (9, 1), (0, 2**63)])
def test_array_cut_off(scratch: Path, array: tuple[int, int]) -> None:
    """An array that says to be longer than the file is a header that is cut off."""
    pair = text("key") + struct.pack("<IIQ", 9, *array)
    scratch.write_bytes(struct.pack("<4sIQQ", b"GGUF", 3, 0, 1) + pair)
    with pytest.raises(NotGGUFError, match="is not a whole GGUF file"):
        read_header(scratch)


def test_unknown_version(scratch: Path) -> None:
    """A version of the format that is not known is refused by its number."""
    scratch.write_bytes(gguf_bytes({}, [], version=9))
    with pytest.raises(NotGGUFError, match="GGUF version 9 is not known here"):
        read_header(scratch)


def test_real_header(gguf: Path) -> None:
    """What is said of the built-in model before it is fetched is what its header says."""
    described = describe(SMOLLM2_INFO.id, read_header(gguf))
    assert described.name == "Smollm2 135M 8k Lc100K Mix1 Ep2"
    for name in ("capabilities", "context_length", "tools", "architecture", "parameters", "quantization"):
        assert getattr(described, name) == getattr(SMOLLM2_INFO, name)
    assert described.size_bytes == SMOLLM2_INFO.size_bytes
    assert described.bits_per_weight == SMOLLM2_INFO.bits_per_weight
    assert described.kind is ModelKind.LLM


def test_embedding_model(embedding_gguf: Path) -> None:
    """A model that says how to pool token states gives vectors and never gets a chat."""
    info = describe("vectors", read_header(embedding_gguf))
    assert info.kind is ModelKind.EMBEDDING
    assert info.capabilities == {ModelCapability.EMBEDDINGS}


@pytest.mark.parametrize(
    ("values", "tools"),
    [
        ({}, False),
        ({"tokenizer.chat_template": "{{ messages }}"}, False),
        ({"tokenizer.chat_template": "{% if tools %}{{ tools }}{% endif %}"}, True),
    ],
)
def test_tools(scratch: Path, values: dict[str, Scalar], tools: bool) -> None:
    """A model takes tools when its chat template has a place for them."""
    scratch.write_bytes(gguf_bytes(values, []))
    info = describe("m", read_header(scratch))
    assert info.tools is tools
    assert (ModelCapability.TOOLS in info.capabilities) is tools


@pytest.mark.parametrize(
    ("number", "name"), [(0, "F32"), (15, "Q4_K_M"), (38, "MXFP4_MOE"), (5, None), (999, None)]
)
def test_quantization(scratch: Path, number: int, name: str | None) -> None:
    """The quantisation has llama.cpp's name; one that is not known has none."""
    scratch.write_bytes(gguf_bytes({"general.file_type": number}, []))
    assert read_header(scratch).quantization == name


def test_split(scratch: Path) -> None:
    """The first file of a split model does not claim to be all of it."""
    scratch.write_bytes(gguf_bytes({"split.count": 3, "general.architecture": "llama"}, [[8, 8]]))
    info = describe("m", read_header(scratch))
    assert (info.parameters, info.size_bytes, info.bits_per_weight) == (None, None, None)
    assert info.architecture == "llama"
