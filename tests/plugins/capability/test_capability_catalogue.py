"""What the catalogue knows of a model from its key: the family, the size, and what to expect of it."""

import math
import random
import string
from statistics import mean

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from turnout import Assessment, ModelCapability, ModelInfo, ModelKind, TaskType
from turnout_capability import curve
from turnout_capability.catalogue import BY_SIZE, assess, match, parameters_of, standing
from turnout_capability.families import Catalogue, Family, catalogue
from turnout_capability.sizes import AS_TRAINED, ORDINARY_BITS, bits_per_weight, size_in_name

FAMILIES = catalogue().families

# Keys as LM Studio shows them: family, billions of weights, billions used per token.
KEYS = [
    ("qwen/qwen3-coder-30b", "Qwen3-Coder", 30.5, 3.3),
    ("qwen3-coder-30b-a3b-instruct", "Qwen3-Coder", 30.5, 3.3),
    ("lmstudio-community/Qwen2.5-Coder-7B-Instruct-GGUF", "Qwen2.5-Coder", 7, None),
    ("qwen2.5-coder-0.5b-instruct", "Qwen2.5-Coder", 0.5, None),
    ("Qwen2.5-1.5B-Instruct-4bit", "Qwen2.5", 1.5, None),
    ("qwen2-57b-a14b-instruct", "Qwen2", 57, 14),
    ("qwen/qwen2.5-vl-7b", "Qwen2.5-VL", 7, None),
    ("qwen/qwen3-vl-8b", "Qwen3-VL", 8, None),
    ("qwen/qwen3-4b-thinking-2507", "Qwen3 Thinking 2507", 4, None),
    ("qwen/qwen3-30b-a3b-2507", "Qwen3 Instruct 2507", 30.5, 3.3),
    ("qwen/qwen3-1.7b", "Qwen3", 1.7, None),
    ("qwen/qwen3-235b-a22b", "Qwen3", 235, 22),
    ("qwen/qwen3-next-80b", "Qwen3-Next Instruct", 80, 3),
    ("qwen/qwq-32b", "QwQ", 32, None),
    ("mistralai/magistral-small-2509", "Magistral Small", 23.6, None),
    ("mistralai/devstral-small-2507", "Devstral Small", 23.6, None),
    ("mistralai/devstral-small-2-2512", "Devstral 2", 24, None),
    ("mistralai/mistral-small-3.2", "Mistral Small 3.1 and 3.2", 24, None),
    ("mistral-small-24b-instruct-2501", "Mistral Small 3", 24, None),
    ("mistral-nemo-instruct-2407", "Mistral Nemo", 12.2, None),
    ("mistral-7b-instruct-v0.3", "Mistral 7B", 7, None),
    ("mixtral-8x7b-instruct-v0.1", "Mixtral", 46.7, 12.9),
    ("mixtral-8x22b-instruct", "Mixtral", 141, 39),
    ("codestral-22b-v0.1", "Codestral", 22, None),
    ("ministral-8b-instruct-2410", "Ministral", 8, None),
    ("mistralai/ministral-3-14b-reasoning", "Ministral 3 Reasoning", 13.9, None),
    ("openai/gpt-oss-20b", "gpt-oss", 20.9, 3.6),
    ("unsloth/gpt-oss-120b-GGUF", "gpt-oss", 116.8, 5.1),
    ("deepseek-r1-0528-qwen3-8b", "DeepSeek-R1-0528-Qwen3-8B", 8, None),
    ("deepseek-r1-distill-qwen-7b", "DeepSeek-R1 distills", 7, None),
    ("unsloth/DeepSeek-R1-Distill-Llama-70B-GGUF", "DeepSeek-R1 distills", 70, None),
    ("deepseek-coder-6.7b-instruct", "DeepSeek-Coder", 6.7, None),
    ("deepseek-coder-v2-lite-instruct", "DeepSeek-Coder-V2", 15.7, 2.4),
    ("google/gemma-3-12b", "Gemma 3", 12, None),
    ("google/gemma-3-1b", "Gemma 3 text", 1, None),
    ("gemma-3-270m-it", "Gemma 3 text", 0.27, None),
    ("google/gemma-3n-e4b", "Gemma 3n", 7.85, 4),
    ("gemma-2-2b-it", "Gemma 2", 2, None),
    ("gemma-2b-it", "Gemma", 2, None),
    ("google/gemma-4-26B-A4B", "Gemma 4", 25.8, 3.8),
    ("medgemma-4b-it", "MedGemma", 4, None),
    ("codegemma-7b-it", "CodeGemma", 7, None),
    ("Meta-Llama-3_1-8B-Instruct", "Llama 3.1", 8, None),
    ("bartowski/Llama-3.1-8B-Lexi-Uncensored-GGUF", "Llama 3.1", 8, None),
    ("meta-llama-3-8b-instruct", "Llama 3", 8, None),
    ("llama-3.2-1b-instruct", "Llama 3.2", 1, None),
    ("llama-3.3-70b-instruct@q4_k_m", "Llama 3.3", 70, None),
    ("llama-4-scout-17b-16e-instruct", "Llama 4", 109, 17),
    ("llama-2-13b-chat", "Llama 2", 13, None),
    ("codellama-34b-instruct", "CodeLlama", 34, None),
    ("hermes-3-llama-3.1-8b", "Hermes", 8, None),
    ("nvidia/llama-3.3-nemotron-super-49b-v1.5", "Llama Nemotron", 49, None),
    ("microsoft/phi-4", "Phi-4", 14.7, None),
    ("microsoft/phi-4-reasoning-plus", "Phi-4-reasoning", 14.7, None),
    ("phi-3.5-mini-instruct", "Phi-3.5", 3.8, None),
    ("phi-3-mini-4k-instruct", "Phi-3", 3.8, None),
    ("smollm2-135m-instruct", "SmolLM2", 0.135, None),
    ("zai-org/glm-4.5-air", "GLM-4.5", 106, 12),
    ("ibm/granite-4-h-tiny", "Granite 4", 6.9, 1),
    ("internlm2_5-7b-chat:2", "InternLM", 7, None),
    ("someone/strange-model-13b", None, 13, None),
    ("strange-model-2509-v1.5", None, None, None),
]


def billions(count: float | None) -> int | None:
    return None if count is None else round(count * 1e9)


def expect(key: str, task: TaskType | ModelCapability, quantization: str | None = None) -> float:
    return assess(ModelInfo(key, quantization=quantization))[task].score


@pytest.mark.parametrize(("key", "family", "total", "active"), KEYS)
def test_a_key_tells_the_family_and_the_size(
    key: str, family: str | None, total: float | None, active: float | None
) -> None:
    """The most specific pattern names the family; the size is the catalogue's, else the one in the key."""
    for spelling in (key, key.upper()):
        found = match(ModelInfo(spelling))
        assert (found.name if found else None) == family
        assert parameters_of(ModelInfo(spelling)) == (billions(total), billions(active))


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("x-0.5b", (0.5, None)),
        ("x-135M", (0.135, None)),
        ("x_1.7B", (1.7, None)),
        ("x-30b-a3b", (30, 3)),
        ("x-26B-A4B-it", (26, 4)),
        ("x-1ba400m", (1, 0.4)),
        ("x-e4b", (4, None)),
        ("x-8x7b", (46.48, 12.6)),
        ("llama-3.1", (None, None)),
        ("qwen2.5-instruct", (None, None)),
        ("small-2509", (None, None)),
        ("x-4bit", (None, None)),
        ("x-0b", (None, None)),
    ],
)
def test_a_size_is_read_from_a_name_but_no_version_date_or_width(
    name: str, size: tuple[float | None, float | None]
) -> None:
    """Only a number with its unit is a size."""
    assert size_in_name(name) == (billions(size[0]), billions(size[1]))


def test_what_a_server_tells_counts_before_the_name() -> None:
    """Metadata are facts about this file; a name may leave out what it rounds."""
    assert parameters_of(ModelInfo("qwen/qwen3-8b", parameters=8_190_000_000)) == (8_190_000_000, None)
    told = ModelInfo("strange", parameters=10, active_parameters=4)
    assert parameters_of(told) == (10, 4)
    mixture = ModelInfo("qwen3-30b-a3b", parameters=30_500_000_000)
    assert parameters_of(mixture) == (30_500_000_000, 3_300_000_000)
    unlike = ModelInfo("qwen3-30b-a3b", parameters=8_000_000_000)
    assert parameters_of(unlike) == (8_000_000_000, None)


def test_experts_are_not_just_multiplied_out() -> None:
    """8x7B is 46.7 billion, also where a server says 56: attention is there once."""
    told = ModelInfo("someones-8x7b", parameters=56_000_000_000)
    total, active = parameters_of(told)
    assert total is not None
    assert active is not None
    assert 45e9 < total < 48e9
    assert 12e9 < active < 13.5e9
    assert parameters_of(evolve(told, id="mixtral-8x7b")) == (46_700_000_000, 12_900_000_000)


@pytest.mark.parametrize("parameters", [0, -7, 10**400])
def test_a_count_that_cannot_be_is_no_count(parameters: int) -> None:
    """A server that knows nothing may say 0, or anything else."""
    info = ModelInfo("strange", parameters=parameters, active_parameters=parameters)
    assert parameters_of(info) == (None, None)
    assert assess(info) == {}


@pytest.mark.parametrize(
    ("info", "bits"),
    [
        (ModelInfo("m", quantization="Q4_K_M", bits_per_weight=4), 4.84),
        (ModelInfo("m", quantization="UD-Q2_K"), 3.35),
        (ModelInfo("m", quantization="4bit"), 4.5),
        (ModelInfo("m", quantization="8bit", bits_per_weight=8), 8.5),
        (ModelInfo("m", quantization="F16"), 16),
        (ModelInfo("m", bits_per_weight=3.7), 3.7),
        (ModelInfo("m", quantization="MXFP4", bits_per_weight=4), AS_TRAINED),
        (ModelInfo("m", bits_per_weight=math.nan), ORDINARY_BITS),
        (ModelInfo("m", quantization="none"), ORDINARY_BITS),
        (ModelInfo("m"), ORDINARY_BITS),
    ],
)
def test_quantisation_counts_with_its_scales(info: ModelInfo, bits: float) -> None:
    """A four-bit weight takes more than four bits; what is unknown is what people mostly load."""
    assert bits_per_weight(info) == bits


def test_an_architecture_names_the_family_where_the_key_does_not() -> None:
    """A renamed model still says what it was built as; the key knows better where it knows."""
    found = match(ModelInfo("my-own-tune", architecture="Gemma3"))
    assert found is not None
    assert found.name == "Gemma 3"
    named = match(ModelInfo("gemma-2-9b", architecture="gemma3"))
    assert named is not None
    assert named.name == "Gemma 2"


def test_embedding_models_are_not_rated() -> None:
    """An embedding model never gets a chat."""
    info = ModelInfo("qwen3-embedding-8b", kind=ModelKind.EMBEDDING)
    assert match(info) is None
    assert assess(info) == {}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_family_says_where_it_is_known_from(family: Family) -> None:
    """There is a source and a date; figures and "none found" exclude each other."""
    assert family.source
    assert family.patterns
    assert family.released <= family.as_of
    assert family.source.startswith("none found") is not bool(family.scores)
    assert family.kind in {"general", "coder", "reasoning"}
    assert family.like is None or catalogue().named(family.like)
    assert all(len(code) == 2 and set(code) <= set(string.ascii_lowercase) for code in family.languages)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_figure_is_a_share_of_a_known_benchmark_at_a_size(family: Family) -> None:
    """A figure without its size or its benchmark cannot be compared."""
    for benchmark, figures in family.scores.items():
        assert benchmark in curve.BENCHMARKS
        for (total, active), score in figures:
            assert total is not None
            assert 0 < (active or total) <= total
            assert 0 < score < 1


def test_no_two_families_claim_the_same_keys() -> None:
    """A pattern or an architecture in two families would let their order decide."""
    patterns = [pattern for family in FAMILIES for pattern in family.patterns]
    architectures = [name for family in FAMILIES for name in family.architectures]
    assert len(set(patterns)) == len(patterns)
    assert len(set(architectures)) == len(architectures)
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)


@given(st.randoms())
def test_the_order_of_the_families_does_not_matter(chance: random.Random) -> None:
    """The most specific pattern wins, wherever it stands."""
    shuffled = list(FAMILIES)
    chance.shuffle(shuffled)
    other = Catalogue(shuffled)
    for key, *_ in KEYS:
        assert other.match(ModelInfo(key)) == match(ModelInfo(key))


def test_the_curve_alone_explains_most_of_what_is_published() -> None:
    """Size, year and thinking explain most of MMLU-Pro; families and their kind explain nearly all."""
    logits, alone, placed = [], [], []
    for family in FAMILIES:
        known = standing(family)
        for size, score in family.scores.get("mmlu_pro", ()):
            there = known.ability(curve.effective_size(size) or 0)
            logits.append(curve.logit(score))
            alone.append(there - known.lead)
            placed.append(there)
    assert len(logits) > 60
    assert explained(logits, alone) > 0.8
    assert explained(logits, placed) > 0.95


def explained(values: list[float], expected: list[float]) -> float:
    middle = mean(values)
    rest = sum((value - other) ** 2 for value, other in zip(values, expected, strict=True))
    return 1 - rest / sum((value - middle) ** 2 for value in values)


@pytest.mark.parametrize(
    ("better", "worse", "task"),
    [
        ("qwen/qwen3-coder-30b", "google/gemma-3-4b", TaskType.CODE_GENERATION),
        ("qwen/qwen3-coder-30b", "qwen/qwen3-vl-8b", TaskType.CODE_GENERATION),
        ("qwen2.5-coder-7b-instruct", "qwen2.5-7b-instruct", TaskType.CODE_GENERATION),
        ("qwen2.5-7b-instruct", "qwen2.5-coder-7b-instruct", ModelCapability.GENERAL),
        ("deepseek-coder-v2-lite-instruct", "llama-2-13b-chat", TaskType.CODE_REVIEW),
        ("deepseek-r1-distill-qwen-14b", "qwen2.5-14b-instruct", TaskType.COMPLEX_REASONING),
        ("phi-4-reasoning", "phi-4", TaskType.PLANNING),
        ("llama-3.1-70b-instruct", "llama-3.1-8b-instruct", ModelCapability.GENERAL),
        ("llama-3.1-70b-instruct", "llama-3.1-8b-instruct", TaskType.SIMPLE_QUERY),
        ("qwen3-8b", "qwen2.5-7b-instruct", ModelCapability.GENERAL),
        ("qwen2.5-7b-instruct", "qwen1.5-7b-chat", ModelCapability.GENERAL),
        ("gemma-3-4b-it", "gemma-3-4b-pt", TaskType.OTHER),
        ("google/gemma-3-12b", "google/gemma-3-4b", ModelCapability.VISION),
        ("qwen/qwen3-14b", "google/gemma-3-12b", ModelCapability.TOOLS),
    ],
)
def test_the_better_model_is_expected_to_be_better(
    better: str, worse: str, task: TaskType | ModelCapability
) -> None:
    """Size, generation and what a model was trained for decide as somebody who knows them would."""
    assert expect(better, task) > expect(worse, task)


def test_a_big_model_loses_more_by_bits_the_fewer_are_left() -> None:
    """Q8 is nearly the whole model, Q4 a little less, Q2 visibly worse; yet not as bad as the next size."""
    q2, q3, q4, q8, whole = (
        expect("qwen2.5-14b-instruct", ModelCapability.GENERAL, name)
        for name in ("Q2_K", "Q3_K_M", "Q4_K_M", "Q8_0", "F16")
    )
    assert q2 < q3 < q4 < q8 <= whole
    assert whole - q8 < 0.005
    assert q4 - q2 > 1.5 * (q8 - q4)
    assert q2 > expect("qwen2.5-7b-instruct", ModelCapability.GENERAL, "Q8_0")


def test_only_what_is_known_is_told() -> None:
    """Vision, tools and long context are left out where neither the family nor the server has them."""
    plain = assess(ModelInfo("llama-2-13b-chat"))
    assert not {ModelCapability.VISION, ModelCapability.TOOLS, ModelCapability.LONG_CONTEXT} & set(plain)
    assert ModelCapability.STRUCTURED_OUTPUT in plain
    told = assess(ModelInfo("llama-2-13b-chat", vision=True, tools=True))
    assert {ModelCapability.VISION, ModelCapability.TOOLS} <= set(told)
    blind = assess(ModelInfo("google/gemma-3-12b", vision=False))
    assert ModelCapability.VISION not in blind
    assert ModelCapability.VISION in assess(ModelInfo("google/gemma-3-12b"))


def test_a_base_model_has_no_tools_and_little_weight() -> None:
    """It was never taught to follow an instruction, let alone a schema."""
    base = assess(ModelInfo("gemma-3-12b-pt"))
    tuned = assess(ModelInfo("gemma-3-12b-it"))
    assert not {ModelCapability.TOOLS, ModelCapability.STRUCTURED_OUTPUT} & set(base)
    assert base[TaskType.OTHER].weight < tuned[TaskType.OTHER].weight
    assert assess(ModelInfo("gemma-3-12b-it-pt-br")) == tuned


def test_published_figures_weigh_more_than_a_guess_by_size() -> None:
    """The less there is behind a prior, the sooner measurements replace it."""
    weights = [
        assess(ModelInfo(key))[ModelCapability.GENERAL].weight
        for key in ("qwen2.5-14b-instruct", "qwen2.5-coder-14b-instruct", "olmo-2-13b", "strange-13b")
    ]
    assert weights == sorted(weights, reverse=True)
    assert len(set(weights)) == 4
    assert weights[-1] == BY_SIZE


def test_of_an_unknown_model_only_the_size_is_known() -> None:
    """A model outside the catalogue is judged by its size, for every task but no special ability."""
    found = assess(ModelInfo("strange-13b"))
    assert set(found) == {*TaskType, ModelCapability.GENERAL}
    assert all(quality.weight == BY_SIZE for quality in found.values())
    assert assess(ModelInfo("strange")) == {}


def test_a_known_family_of_unknown_size_counts_as_its_middle_size() -> None:
    """Half the weight, as the size is a guess; nothing where no size was ever published."""
    guessed = assess(ModelInfo("qwen2.5-instruct"))[ModelCapability.GENERAL]
    assert expect("qwen2.5-1.5b", ModelCapability.GENERAL) < guessed.score
    assert guessed.score < expect("qwen2.5-32b", ModelCapability.GENERAL)
    assert guessed.weight < assess(ModelInfo("qwen2.5-7b"))[ModelCapability.GENERAL].weight
    assert assess(ModelInfo("olmo-2-instruct")) == {}


def key_of(family: Family) -> str:
    return family.patterns[0].replace("*", "-")


@given(
    st.sampled_from(FAMILIES),
    st.tuples(st.integers(10**6, 10**12), st.integers(10**6, 10**12)).map(sorted),
    st.integers(1, 30),
)
def test_more_weights_are_never_worse_within_a_family(
    family: Family, sizes: list[int], sparsity: int
) -> None:
    """With the same share of them in use, a bigger model of a family is at least as good at everything."""
    small, big = (
        assess(ModelInfo(key_of(family), parameters=size, active_parameters=size // sparsity))
        for size in sizes
    )
    assert set(small) == set(big)
    assert all(small[skill].score <= big[skill].score for skill in small)


KNOWN_KEYS = st.sampled_from([key for key, *_ in KEYS] + [key_of(family) for family in FAMILIES])
COUNTS = st.none() | st.integers()


@given(
    st.builds(
        ModelInfo,
        id=KNOWN_KEYS | st.text() | st.builds("{}-{}".format, KNOWN_KEYS, st.text(max_size=8)),
        kind=st.sampled_from(ModelKind),
        vision=st.none() | st.booleans(),
        tools=st.none() | st.booleans(),
        architecture=st.none() | st.text() | st.sampled_from(["qwen3moe", "llama", "GEMMA3"]),
        parameters=COUNTS,
        active_parameters=COUNTS,
        quantization=st.none() | st.text() | st.sampled_from(["Q4_K_M", "IQ1_S", "4bit", "MXFP4"]),
        bits_per_weight=st.none() | st.floats() | st.integers(),
    )
)
def test_anything_can_be_assessed(info: ModelInfo) -> None:
    """Whatever a server says, there is an answer with scores from 0 to 1, the same every time."""
    found: Assessment = assess(info)
    assert all(0.0 <= quality.score <= 1.0 and quality.weight > 0 for quality in found.values())
    assert found == assess(info)
