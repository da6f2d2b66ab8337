"""Fleet files: what they say is what is emulated, and what is wrong with them is said."""

from pathlib import Path

import pytest

from turnout import ConfigError
from turnout_testing.simulation.fleet_file import SimulatedFleet, read_fleet

FLEET = """
[hosts.desk]
speed = 2.0
memory_gb = 24
loaded = ["owl"]
[hosts.laptop]
models = ["wren"]
auto_evict = false
[models.owl]
load_seconds = 8
prefill = 4000
decode = 60
parallel = 2
context = 8192
size_gb = 5.5
batching_cost = 0.1
[models.wren]
"""


def read(tmp_path: Path, text: str) -> SimulatedFleet:
    path = tmp_path / "fleet.toml"
    path.write_text(text)
    return read_fleet(path)


def test_a_fleet_file_becomes_hosts(tmp_path: Path) -> None:
    """Every key of the file is a property of the emulated host or model."""
    emulators = read(tmp_path, FLEET).emulators("Yes.", seed=3)
    desk, laptop = emulators["desk"], emulators["laptop"]
    owl = desk.model("owl")
    assert owl is not None
    assert (owl.load_seconds, owl.prefill_rate, owl.decode_rate, owl.batching_cost) == (8, 4000, 60, 0.1)
    assert (owl.parallel, owl.max_context_length, owl.size_bytes) == (2, 8192, 5_500_000_000)
    assert [instance.id for instance in desk.instances] == ["owl"]
    assert desk.instances[0].context_length == 8192
    assert (desk.speed, desk.memory_bytes, desk.auto_evict) == (2.0, 24_000_000_000, True)
    assert [model.key for model in laptop.models] == ["wren"]
    assert (laptop.memory_bytes, laptop.auto_evict, laptop.instances) == (None, False, ())


def test_a_host_that_names_no_models_has_all(tmp_path: Path) -> None:
    """Leaving the list out is the common case."""
    assert read(tmp_path, FLEET).models_of("desk") == ("owl", "wren")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "hosts] is missing"),
        ("[hosts]\n[models.owl]", "at least one host"),
        ("[hosts.desk]\n[models]", "one model"),
        ("[hosts.desk]\nmodels = ['hawk']\n[models.owl]", "no table describes: hawk"),
        ("[hosts.desk]\nloaded = ['wren']\nmodels = ['owl']\n[models.owl]\n[models.wren]", "not have: wren"),
        ("[hosts.desk]\nspeed = 0\n[models.owl]", "hosts.desk"),
        ("[hosts.desk]\nspeeed = 1\n[models.owl]", "did you mean 'speed'"),
        ("[hosts.desk]\nspeed = 'fast'\n[models.owl]", "must be a number"),
        ("[hosts.desk", "fleet.toml"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, words: str) -> None:
    """A fleet file that is not right is refused with its name and the key."""
    with pytest.raises(ConfigError, match=words) as caught:
        read(tmp_path, text)
    assert "fleet.toml" in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A mistyped name is an error of the user's, with the name."""
    with pytest.raises(ConfigError, match=r"none\.toml"):
        read_fleet(tmp_path / "none.toml")
