"""vLLM and transformers, token for token: prompts, ends, stop texts and log-probabilities of four families.

Each family's real vocabulary, on a small model of its architecture. The model has learned eight sentences by
heart, so that it says signs of several tokens; all its other tokens are random. vLLM's own detokenizer is a
third opinion.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from families import MISTRAL, vocabulary

from stages.inference.complete import Plan, run_plan
from stages.inference.encoding import following, load_tokenizer
from stages.inference.interface import Backend
from stages.inference.prompting import encode
from stages.records import templates
from stages.records.record import Record
from stages.runtime.errors import BadInput
from stages.settings.groups import Engine, Lora, Sampling
from stages.training.policy import Policy
from stages.training.rows import Sample, rows

pytestmark = pytest.mark.full

ENGINE = Engine(device="cpu", threads=1, batch_size=32, gpu_memory=0.03)
GREEDY = Sampling(temperature=0.0, max_tokens=40)
WARM = Sampling(temperature=1.1, max_tokens=24)
CONTEXT, WINDOW, TIE = 256, 24, 1e-5
SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,  # the least that vLLM's attention on a CPU takes
    "max_position_embeddings": CONTEXT,
    "initializer_range": 0.1,
}
SAYINGS = (
    "The rain falls on 𓀀 and on the 𠮷 野 家, all day.",
    "Tea 🦩 is  warm   ,  said the 𓁿 to the 🦩 again.",
    "Snow\n\nlies on 雪 and 氷\n\n- and that is all.\n",
    "𠮷 Bread costs 1234567 crowns; naïve café, déjà vu!",
    " A river runs\tto the sea: `x = 1` and \\frac{1}{2}.",
    "你好，世界！ مرحبا بالعالم — Привет, мир.",
    "It's \"tea\", 'tea' or <b>tea</b> ... \U0001fae8\U0001fae8 ok?",
    "First  𓀀\n second 𠮷\n  third 🦩\n\n\nand the end",
)
QUESTIONS = (
    "What of rain?", "Tea?", "Say something of snow.", " bread", "A river:", "你好", "𓀀 or 🦩?", "First",
    "  two spaces before", "a tab\tand lines\n\n", "Write </s> or <|im_end|> or <eos>.", "naïve 𠮷",
)  # fmt: skip


@dataclass(frozen=True)
class Family:
    """A vocabulary, the model's class in transformers, its settings, and the tokens that end its answers."""

    vocabulary: str
    kind: str
    size: int
    ends: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    template: str = ""


FAMILIES = {
    "Qwen3": Family(
        "qwen3", "Qwen3", 151936, ("<|im_end|>", "<|endoftext|>"), {"tie_word_embeddings": True}
    ),
    "Llama-3": Family(
        "llama3", "Llama", 128256, ("<|eot_id|>", "<|end_of_text|>"),
        {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}},
    ),
    "Mistral": Family(
        "mistral", "Mistral", 32768, ("</s>",), {"sliding_window": WINDOW}, template=MISTRAL
    ),
    "Gemma-3": Family(
        "gemma3", "Gemma3", 262208, ("<end_of_turn>", "<eos>"),
        {
            "tie_word_embeddings": True,
            "sliding_window": WINDOW,
            "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
            "query_pre_attn_scalar": 32,
        },
    ),
}  # fmt: skip


def built(folder: Path, family: Family) -> Path:
    """A checkpoint of the family, in float32."""
    import transformers
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(vocabulary(family.vocabulary))
    if family.template:
        tokenizer.chat_template = family.template
    tokenizer.save_pretrained(folder)
    lessons = [ids for name in ("chat", "none") for ids in _lessons(tokenizer, family, name)]
    used = sorted({token for ids in lessons for token in ids})
    name = family.kind + ("TextConfig" if family.kind == "Gemma3" else "Config")
    settings = {**SIZES, "bos_token_id": None, "pad_token_id": None, **family.settings}
    config = getattr(transformers, name)
    kind = getattr(transformers, family.kind + "ForCausalLM")
    torch.manual_seed(0)
    small = kind(config(**settings, vocab_size=len(used), eos_token_id=None))
    _learn(small, [[used.index(token) for token in ids] for ids in lessons])
    ends = [tokenizer.convert_tokens_to_ids(end) for end in family.ends]
    model = kind(config(**settings, vocab_size=family.size, eos_token_id=ends))
    learned = small.state_dict()
    with torch.no_grad():
        for key, weight in model.state_dict().items():
            if weight.shape == learned[key].shape:
                weight.copy_(learned[key])
            else:  # of embeddings or head: one row a token, the others random
                weight.normal_(std=float(learned[key].std()))
                weight[used] = learned[key]
    model.generation_config.eos_token_id = ends
    model.save_pretrained(folder)
    return folder


def _lessons(tokenizer: Any, family: Family, template: str) -> Iterator[list[int]]:
    """Questions with sayings as answers, each with one of the family's ends."""
    for place, question in enumerate(QUESTIONS):
        asked = templates.load(template).render(Record(id="q", prompt=question))
        ids, _ = encode(tokenizer, asked)
        said, _ = following(tokenizer, ids, "", SAYINGS[place % len(SAYINGS)])
        end = family.ends[0 if template == "chat" else -1]
        yield [*ids, *said, tokenizer.convert_tokens_to_ids(end)]


def _learn(model: Any, lessons: list[list[int]], steps: int = 60) -> None:
    longest = max(map(len, lessons))
    ids = torch.tensor([each + [0] * (longest - len(each)) for each in lessons])
    labels = torch.tensor([each + [-100] * (longest - len(each)) for each in lessons])
    optimiser = torch.optim.AdamW(model.parameters(), lr=8e-3, weight_decay=0.0)
    model.train()
    for _ in range(steps):
        loss = model(input_ids=ids, labels=labels, use_cache=False).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    model.eval()
    print(f"loss {loss.item():.3f}")


@dataclass(eq=False)
class Pair:
    """Both backends on one checkpoint, the trainer's model of it, and what was counted."""

    name: str
    vllm: Any
    plain: Any
    policy: Policy
    tally: Counter[str] = field(default_factory=Counter)
    gaps: dict[str, list[float]] = field(default_factory=dict)

    @property
    def tokenizer(self) -> Any:
        return self.vllm.tokenizer


@pytest.fixture(scope="module", params=FAMILIES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    pytest.importorskip("vllm", reason="vLLM is not installed", exc_type=ImportError)
    if torch.cuda.is_available():
        pytest.skip("these tests compare in float32 on a CPU")
    from stages.inference.transformers.backend import TransformersBackend
    from stages.inference.transformers.model import load_model
    from stages.inference.vllm.backend import VllmBackend

    began = time.monotonic()
    path = str(built(tmp_path_factory.mktemp("family"), FAMILIES[request.param]))
    print(f"{request.param}: built in {time.monotonic() - began:.1f} s")
    vllm = VllmBackend(path, replace(ENGINE, backend="vllm"))
    own = vllm.engine.vllm_config.model_config.max_model_len
    print(f"{request.param}: engine after {time.monotonic() - began:.1f} s, vLLM's context is {own}")
    plain = TransformersBackend(load_model(path, ENGINE), load_tokenizer(path), ENGINE)
    made = Pair(request.param, vllm, plain, Policy(path, ENGINE, Lora()))
    yield made
    print(made.name, dict(made.tally), {k: (sum(v) / len(v), max(v)) for k, v in made.gaps.items()})
    print(f"{made.name}: done after {time.monotonic() - began:.1f} s")
    vllm.close()


def asked() -> list[Record]:
    return [Record(id=f"q{i}", prompt=text) for i, text in enumerate(QUESTIONS)]


def said(
    backend: Backend, template: str, sampling: Sampling, *, problems: list[Record] | None = None,
    samples: int = 1
) -> list[Record]:  # fmt: skip
    plan = Plan("m", templates.load(template), sampling, 0, samples, Engine(), tokens=True)
    return list(run_plan(problems or asked(), plan, backend))


def gap_of_best(pair: Pair, record: Record, place: int) -> float:
    """How far apart the two best logits are where the completion's token `place` was chosen."""
    ids = [*record["prompt_ids"], *record["completion_ids"][:place]]
    with torch.no_grad():
        best = (
            pair.policy.unwrapped(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].topk(2).values
        )
    return float(best[0] - best[1])  # fmt: skip


def compare(pair: Pair, template: str, sampling: Sampling, **more: Any) -> list[Record]:
    """Greedy completions of both, which must be the same records up to a tie. Returns those of
    transformers."""
    ours, theirs = (said(each, template, sampling, **more) for each in (pair.plain, pair.vllm))
    for own, other in zip(ours, theirs, strict=True):
        assert own["prompt_ids"] == other["prompt_ids"]
        assert own["prefill"] == other["prefill"]
        pair.tally["completions"] += 1
        both = zip(own["completion_ids"], other["completion_ids"], strict=False)
        differs = next((i for i, (a, b) in enumerate(both) if a != b), None)
        if differs is not None:
            assert gap_of_best(pair, own, differs) < TIE, (own["completion"], other["completion"])
            pair.tally["ties"] += 1
            continue
        assert own["completion_ids"] == other["completion_ids"]
        assert own["completion"] == other["completion"]
        assert own["finish"] == other["finish"]
        pair.tally["equal"] += 1
        pair.tally["tokens"] += len(own["completion_ids"])
        pair.gaps.setdefault("greedy", []).extend(
            abs(a - b) for a, b in zip(own["logprobs"], other["logprobs"], strict=True)
        )
    return ours


def own_ids(tokenizer: Any, template: str, question: str) -> list[int]:
    """The tokens of a prompt by the tokenizer alone, as vLLM's server has them."""
    if template == "none":
        return list(tokenizer(question)["input_ids"])
    turns = [{"role": "user", "content": question}]
    return list(tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False))


def vllms_text(pair: Pair, record: Record, stops: tuple[str, ...] = ()) -> tuple[str, str | None]:
    """What vLLM's own detokenizer makes of the record's tokens, and the stop text at which it ends."""
    from vllm import SamplingParams
    from vllm.v1.engine import EngineCoreRequest
    from vllm.v1.engine.detokenizer import IncrementalDetokenizer

    settings = SamplingParams(stop=list(stops), skip_special_tokens=False, detokenize=True)
    fields = dict.fromkeys(EngineCoreRequest.__struct_fields__)
    fields |= {
        "request_id": "0",
        "prompt_token_ids": record["prompt_ids"],
        "sampling_params": settings,
    }
    stream = IncrementalDetokenizer.from_new_request(pair.tokenizer, EngineCoreRequest(**fields))
    ended = None
    for token in record["completion_ids"]:
        assert ended is None, "tokens follow the stop text"
        if token not in pair.vllm.ends:
            ended = stream.update([token], False)
    return stream.get_next_output_text(True, False), ended


def check_text(pair: Pair, record: Record, vllms: str) -> None:
    """A record's text must be vLLM's; a broken sign may show otherwise there, or not yet."""
    text = record["completion"]
    if text != vllms:
        assert "\ufffd" in text, (text, vllms)
        pair.tally["texts with a broken sign, which vllm shows otherwise"] += 1
    pair.tally["texts"] += 1


def _ends_within_a_sign(pair: Pair, record: Record) -> bool:
    shown: str = pair.tokenizer.decode(record["completion_ids"])
    return shown.endswith("\ufffd")


def stop_texts(pair: Pair, records: list[Record]) -> dict[str, tuple[str, ...]]:
    """Texts to stop at that these completions hold, each of another kind."""
    pieces = [list(_pieces(pair.tokenizer, record)) for record in records]
    found: dict[str, tuple[str, ...]] = {"a space": (" ",), "two spaces": ("  ",)}
    first = max(record["completion"][:2] for record in records)
    found["the first signs"] = (first,)
    for line in pieces:
        for (one, _), (two, count), (three, _) in zip(line, line[1:], line[2:], strict=False):
            whole = one + two + three
            if count > 1 and len(two) == 1:
                found.setdefault("a sign of several tokens", (two,))
                found["ends in a sign of several tokens"] = (one + two,)
                found["begins with a sign of several tokens"] = (two + three,)
            if len(one) > 2 and len(three) > 2 and "\n" not in whole:
                found["several tokens"] = (whole,)
                found["across borders"] = (one[-2:] + two + three[:2],)
                found["one in another"] = (whole, one[-1:] + two)
    if any("\n\n" in record["completion"] for record in records):
        found["two lines"] = ("\n\n",)
    return found


def _pieces(tokenizer: Any, record: Record) -> Iterator[tuple[str, int]]:
    """The completion's text in the smallest parts that tokens make whole, and how many tokens each has."""
    before, ids, start = record["prompt_ids"][-1:], record["completion_ids"], 0
    if record["finish"] == "stop":
        ids = ids[:-1]
    for end in range(1, len(ids) + 1):
        shown: str = tokenizer.decode([*before, *ids[:end]])
        if not shown.endswith("\ufffd"):
            told: str = tokenizer.decode([*before, *ids[:start]])
            yield shown[len(told) :], end - start
            start = end


@pytest.mark.parametrize("template", ["chat", "none"])
def test_greedy_completions_and_stops(pair: Pair, template: str) -> None:
    records = compare(pair, template, GREEDY)
    for record, question in zip(records, QUESTIONS, strict=True):
        assert record["prompt_ids"] == own_ids(pair.tokenizer, template, question)
        text, _ = vllms_text(pair, record)
        check_text(pair, record, text)
    kinds = stop_texts(pair, records)
    print(pair.name, template, kinds)
    for kind, stops in kinds.items():
        holding = [r for r in records if any(stop in r["completion"] for stop in stops)][:6]
        problems = [r for r in asked() if r["id"] in {each["group"] for each in holding}]
        cut = compare(pair, template, replace(GREEDY, stop=stops), problems=problems)
        for uncut, record in zip(holding, cut, strict=True):
            text = uncut["completion"]
            seen = text[: min(at + len(stop) for stop in stops if (at := text.find(stop)) >= 0)]
            least = min(at for stop in stops if (at := seen.find(stop)) >= 0)
            assert (record["completion"], record["finish"]) == (text[:least], "stop")
            other, ended = vllms_text(pair, record, stops)
            assert other.startswith(record["completion"])
            pair.tally["texts"] += 1
            if ended is not None:
                assert other == record["completion"]
            else:  # vLLM waits for the rest of the sign that the stop text's last token begins
                assert _ends_within_a_sign(pair, record)
                pair.tally["vllm would stop later"] += 1
            pair.tally[f"stops: {kind}"] += 1


@pytest.mark.parametrize("template", ["chat", "none"])
def test_sampled_completions_have_the_trainers_logprobs(pair: Pair, template: str) -> None:
    stops = ("🦩 ", "the ", "é", "\u4e16")
    for backend in (pair.vllm, pair.plain):
        records = said(backend, template, replace(WARM, stop=stops), samples=2)
        samples = [
            Sample(r["prompt_ids"], r["completion_ids"], [1.0] * len(r["completion_ids"]), group=r["group"])
            for r in records
        ]  # fmt: skip
        old = torch.tensor([p for r in records for p in r["logprobs"]])
        with torch.no_grad():
            new = torch.cat([pair.policy.logprobs(row, WARM.temperature)[0] for row in rows(samples, 2048)])
        gap = (new - old).abs()
        which = "vllm" if backend is pair.vllm else "transformers"
        pair.gaps.setdefault(f"sampled by {which}", []).extend(gap.tolist())
        pair.tally[f"sampled by {which}"] += len(records)
        assert float(gap.max()) < 1e-4
        for record in records:
            text, ended = vllms_text(pair, record, stops)
            check_text(pair, record, text)
            last = record["completion_ids"][-1:]
            stopped = ended is not None or pair.vllm.ends.issuperset(last)
            assert record["finish"] == ("stop" if stopped else "length")
            pair.tally[f"sampled by {which}, stopped"] += ended is not None


def test_both_end_where_the_context_does(pair: Pair) -> None:
    assert pair.vllm.limit == pair.plain.limit == CONTEXT
    assert pair.vllm.ends == pair.plain.ends
    words = next(n for n in range(100, 300) if len(pair.tokenizer("so " * n)["input_ids"]) >= CONTEXT - 9)
    (record,) = compare(pair, "none", GREEDY, problems=[Record(id="long", prompt="so " * words)])
    assert len(record["prompt_ids"]) + len(record["completion_ids"]) <= CONTEXT
    for backend in (pair.vllm, pair.plain):
        with pytest.raises(BadInput, match=f"the model's context {CONTEXT}"):
            said(backend, "none", GREEDY, problems=[Record(id="long", prompt="so " * 300)])


def test_a_token_that_the_model_does_not_know_is_refused(pair: Pair) -> None:
    """Runs last: it extends both tokenizers."""
    size = FAMILIES[pair.name].size
    extra = [f"<extra{i}>" for i in range(size - len(pair.tokenizer) + 1)]
    for backend in (pair.vllm, pair.plain):
        backend.tokenizer.add_tokens(extra)
        with pytest.raises(BadInput, match=rf"p:1: has token {size} .* embeddings of {size}"):
            said(
                backend,
                "none",
                GREEDY,
                problems=[Record({"id": "q", "prompt": extra[-1]}, place="p:1")],
            )
