"""Rows of sft against those of TRL's SFTTrainer, on the vocabularies and chat templates of model families.

The trainer is TRL's own, with a model that has the vocabulary: its rows are the batches of its data loader,
once of prompt and completion, once of all turns with `assistant_only_loss`. Each difference has one of the
causes below, and the test says which; in all but `end` the row here is what the model is asked and would
write:

head     TRL learns tokens that `generate` writes before the answer: the name of the role, an open `<think>`
tag      TRL counts the `<` of an answer's `</think>` as the prompt's, whose `<think>` begins with that token
as well after    TRL learns what follows the end, where a model has stopped: a line end, the end of text, the
next name no end   the template writes no end and TRL learns none; here it is the tokenizer's end of text end
another token ends the answer: GPT-OSS writes `<|return|>`, TRL learns the `<|end|>` that the template
         writes in earlier turns; GLM's template writes no end, TRL's for training the mark with which the
         next turn begins, as GLM's models do, and here it is the tokenizer's end of text, which stops them as
         well
merged   the text is the same, but tokens of prompt and answer, or of two turns, merge, which no sampler does
history  other words stand before an answer in TRL's row than `generate` asks it with: its template for
training
         writes earlier turns as the model's own does not, or a later turn changes them, as a system turn does
thinking the template leaves thinking out of the answer, and TRL learns the rest; here it is written in full
part     the template leaves out more than that, and TRL learns the rest; here it is bad input
refused  the template refuses it: both do
only     TRL refuses it, as arguments of a call must be text for the template; here they are made so
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import families
import jinja2
import pytest
from dialects import backend
from families import CONVERSATIONS

from stages.inference.encoding import decode
from stages.inference.prompting import encode
from stages.records import templates
from stages.records.record import Record
from stages.runtime.errors import BadInput
from stages.training.rows import Sample
from stages.training.sft.examples import Examples
from stages.training.sft.lessons import lessons

pytestmark = pytest.mark.full

CAUSES = ("head", "tag", "after", "no end", "end", "merged", "history", "thinking", "part", "refused", "only")
# TRL has no template with masks for them.
UNMASKED = ("Llama-3.1", "Llama-3.2", "Llama-2", "Mistral", "Mistral-Nemo", "SmolLM2")
ENDS = (
    "<|user|>",
    "<|system|>",
    "<|observation|>",
    "<|end|>",
)  # what GLM's and GPT-OSS's turns end with
HEADS = ("<｜Assistant｜>", "<think>", "</think>", "<|start|>", "assistant", "<|assistant|>")
OURS = templates.load("chat")


Answer = tuple[list[int], list[int]]  # what stands before it, and its tokens


class Row(NamedTuple):
    """A row as it is trained on: its tokens, and which of them are learned."""

    ids: list[int]
    learned: list[bool]

    def answers(self) -> list[Answer]:
        """Each run of learned tokens after all that stands before it."""
        edges = [
            i
            for i in range(len(self.ids) + 1)
            if (i < len(self.ids) and self.learned[i]) != (i > 0 and self.learned[i - 1])
        ]
        pairs = zip(edges[::2], edges[1::2], strict=True)
        return [(self.ids[:first], self.ids[first:last]) for first, last in pairs]


def row_of(sample: Sample) -> Row:
    assert set(sample.weight) <= {0.0, 1.0}
    learned = [False] * len(sample.prompt_ids) + [weight > 0 for weight in sample.weight]
    return Row([*sample.prompt_ids, *sample.completion_ids], learned)


@pytest.fixture(scope="module", params=families.FAMILIES)
def family(request: pytest.FixtureRequest) -> tuple[str, Any]:
    """Its name and its tokenizer with the model's own template."""
    pytest.importorskip("trl")
    return request.param, families.tokenizer(request.param)


def test_there_are_forty_conversations() -> None:
    assert len(CONVERSATIONS) == 40


def trained(found: Any, talks: Sequence[dict[str, Any]], folder: Path, *, all_: bool) -> list[Row]:
    """What TRL's trainer learns of conversations: the rows of its data loader, without the padding."""
    from datasets import IterableDataset
    from transformers import LlamaConfig, LlamaForCausalLM
    from trl import SFTConfig, SFTTrainer

    def rows() -> Iterator[dict[str, Any]]:
        for talk in talks:
            turns = talk["messages"]
            form = {"messages": turns} if all_ else {"prompt": turns[:-1], "completion": turns[-1:]}
            yield {
                **form,
                "tools": talk.get("tools"),
                "chat_template_kwargs": talk.get("chat_template_kwargs", {}),
            }

    sizes = {
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
    }
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(found), tie_word_embeddings=True, **sizes))
    args = SFTConfig(
        str(folder), per_device_train_batch_size=8, max_steps=-(-len(talks) // 8), max_length=None,
        assistant_only_loss=all_, use_cpu=True, bf16=False, report_to=[], disable_tqdm=True,
    )  # fmt: skip
    trainer = SFTTrainer(
        model, args, train_dataset=IterableDataset.from_generator(rows), processing_class=found
    )
    made = []
    for batch in trainer.get_train_dataloader():
        for ids, labels, mask in zip(
            batch["input_ids"].tolist(),
            batch["labels"].tolist(),
            batch["attention_mask"],
            strict=True,
        ):
            size = int(mask.sum())
            assert bool(mask[:size].all())
            assert all(label in (-100, token) for token, label in zip(ids[:size], labels, strict=False))
            assert set(labels[size:]) <= {-100}
            made.append(Row(ids[:size], [label != -100 for label in labels[:size]]))
    assert len(made) == len(talks)
    return made


def takes(found: Any, talk: dict[str, Any], training: str | None) -> bool:
    """Whether the template that TRL takes has a form for the conversation, and its own for the prompt
    alone."""
    options = {
        "tools": talk.get("tools"),
        "tokenize": False,
        **talk.get("chat_template_kwargs", {}),
    }
    try:
        if training is None:
            found.apply_chat_template(talk["messages"][:-1], add_generation_prompt=True, **options)
        found.apply_chat_template(talk["messages"], chat_template=training, **options)
    except (TypeError, jinja2.TemplateError):
        return False
    return True


def theirs(found: Any, folder: Path, *, all_: bool) -> dict[str, Row]:
    """TRL's rows of the conversations that its template takes; its trainer refuses the first of the
    others."""
    from trl.chat_template_utils import get_training_chat_template

    training = get_training_chat_template(found) if all_ else None
    taken = {which: talk for which, talk in CONVERSATIONS.items() if takes(found, talk, training)}
    others = [talk for which, talk in CONVERSATIONS.items() if which not in taken]
    if others:
        with pytest.raises((TypeError, jinja2.TemplateError)):
            trained(found, others[:1], folder, all_=all_)
    return dict(zip(taken, trained(found, list(taken.values()), folder, all_=all_), strict=True))


def asked(found: Any, talk: dict[str, Any], index: int) -> list[int]:
    """The tokens with which `generate` asks for the turn `index` of a conversation."""
    return encode(found, OURS.render(Record({**talk, "prompt": talk["messages"][:index]})))[0]


def bare(text: str) -> str:
    return "".join(text.split())


def ends(found: Any, ids: list[int]) -> bool:
    """Whether tokens are no more than what follows an answer: white space, an end of text, a name of the next
    turn.
    """
    names = ("", found.eos_token, *HEADS)
    return all(found.decode([token]).strip() in names for token in ids)


def thinking_of(turn: dict[str, Any]) -> str:
    said = turn["content"].partition("</think>")[0].removeprefix("<think>")
    return str(turn.get("reasoning_content", said if said != turn["content"] else "")).strip()


def differences(found: Any, ours: Answer, other: Answer, turn: dict[str, Any]) -> set[str]:
    """The causes why two answers and what stands before them are not the same tokens. Fails where there is
    none.
    """
    (before, said), (context, learned) = ours, other
    texts = (
        found.decode(before + said),
        found.decode(context + learned).removesuffix(found.eos_token),
    )
    thought = thinking_of(turn)
    if thought and thought not in texts[1]:
        assert thought in found.decode(said)
        return {"thinking"}
    causes: set[str] = set()
    if context[: len(before)] == before and context != before:
        assert found.decode(context[len(before) :]).strip() == "<", "learned here, and not by TRL"
        causes.add("tag")
        context, learned = before, context[len(before) :] + learned
    head = len(before) - len(context)
    if head < 0 or context + learned[:head] != before:
        if bare(texts[0]).startswith(bare(texts[1])) or bare(texts[1]).startswith(bare(texts[0])):
            return causes | {"merged"}
        causes.add("history")
        heads = [i for i in range(len(learned)) if learned[i : i + len(said) - 1] == said[:-1]]
        if not heads:
            assert bare(found.decode(said)) in bare(found.decode(learned)), texts
            return causes | {"merged"}
        head = heads[0]
        assert found.decode(before).endswith(found.decode(learned[:head]))
    causes |= {"head"} if head else set()
    learned = learned[head:]
    if learned == said:
        return causes
    if learned[: len(said)] == said:
        assert ends(found, learned[len(said) :]), texts
        return causes | {"after"}
    if learned == said[:-1]:
        return causes | {"no end"}
    if learned[:-1] == said[:-1]:
        assert found.decode(learned[-1:]) in ENDS, texts
        return causes | {"end"}
    assert bare(texts[0]).startswith(bare(texts[1])) or bare(texts[1]).startswith(bare(texts[0])), texts
    return causes | {"merged"}


def compared(found: Any, examples: Examples, others: dict[str, Row], *, all_: bool) -> Counter[str]:
    """How many of the conversations have each cause of a difference, or none, and how many tokens are
    equal."""
    tally: Counter[str] = Counter()
    for which, talk in CONVERSATIONS.items():
        turns, other = talk["messages"], others.get(which)
        (record,) = lessons(Record(id=which, **talk))
        try:
            rows = [row_of(sample) for sample in examples.of(record)]
        except BadInput as error:
            if other is None:
                tally["refused"] += 1
            else:
                refused_for(str(error), found, other, turns)
                tally["part"] += 1
            continue
        if other is None:
            tally["only"] += 1
            continue
        answers = [answer for row in rows for answer in row.answers()]
        places = [i for i, turn in enumerate(turns) if turn["role"] == "assistant"]
        places = places if all_ else places[-1:]
        causes: set[str] = set()
        for place, ours, theirs_ in zip(places, answers, other.answers(), strict=True):
            text = found.decode(asked(found, talk, place))
            assert text.startswith(found.decode(ours[0])), (which, text, found.decode(ours[0]))
            causes |= differences(found, ours, theirs_, turns[place])
        same = len(rows) == 1 and rows[0] == other
        assert same or causes, which
        tally.update(causes if not same else {"equal"})
        tally["rows"] += len(rows)
        tally["tokens"] += sum(len(row.ids) for row in rows)
        tally["tokens equal"] += sum(
            token in zip(other.ids[at : at + 1], other.learned[at : at + 1], strict=True)
            for row in rows
            for at, token in enumerate(zip(row.ids, row.learned, strict=True))
        )
    return tally


def refused_for(why: str, found: Any, row: Row, turns: Sequence[dict[str, Any]]) -> None:
    """Fails unless TRL's row lacks what the template was said not to show."""
    assert "does not show" in why, why
    assert not all(whole(turn, found, row) for turn in turns), why


def whole(turn: dict[str, Any], found: Any, row: Row) -> bool:
    """Whether a row has the thinking and the calls of a turn."""
    cities = [each["function"]["arguments"]["city"] for each in turn.get("tool_calls", ())]
    text = found.decode(row.ids)
    return all(word in text for word in (thinking_of(turn), *cities))


def test_rows_of_prompt_and_completion(family: tuple[str, Any], tmp_path: Path) -> None:
    name, found = family
    others = theirs(found, tmp_path, all_=False)
    tally = compared(found, Examples(OURS, backend(found)), others, all_=False)
    print(name, "prompt and completion", dict(tally))
    assert set(tally) <= {*CAUSES, "equal", "rows", "tokens", "tokens equal"}


def test_rows_of_all_answers(family: tuple[str, Any], tmp_path: Path) -> None:
    """With the model's own template here, and with TRL's for training, which its trainer takes by itself."""
    from trl.chat_template_utils import get_training_chat_template

    name, found = family
    if name in UNMASKED:
        with pytest.raises(ValueError, match="not training-compatible"):
            trained(found, list(CONVERSATIONS.values()), tmp_path, all_=True)
        return
    others = theirs(found, tmp_path, all_=True)
    own, training = found.chat_template, get_training_chat_template(found)
    try:
        for which, found.chat_template in (("own", own), ("for training", training)):
            tally = compared(found, Examples(OURS, backend(found), "all"), others, all_=True)
            print(name, "all answers, template", which, dict(tally))
            assert set(tally) <= {*CAUSES, "equal", "rows", "tokens", "tokens equal"}
    finally:
        found.chat_template = own


def test_ten_rounds_change_no_token(family: tuple[str, Any]) -> None:
    """Text of sampled tokens, learned, decoded and learned again."""
    import random

    name, found = family
    draw = random.Random(name)
    examples = {
        template: Examples(templates.load(template), backend(found)) for template in ("chat", "none", "r1")
    }
    for template, each in examples.items():
        prompt_ids, prefill = encode(found, templates.load(template).render({"prompt": "3*4?"}))
        for _ in range(12):
            drawn = [draw.randrange(300, len(found) - 600) for _ in range(draw.randrange(1, 8))]
            text = decode(found, prompt_ids, [i for i in drawn if i not in each.ends])
            text = unicodedata.normalize("NFC", text)  # Qwen's tokens say nothing else
            before: list[int] = []
            for _ in range(10):
                (sample,) = each.of(
                    Record(id="a", prompt="3*4?", completion=text, finish="stop", prefill=prefill)
                )
                ids = list(sample.completion_ids[:-1])
                assert not before or ids == before
                before = ids
                assert decode(found, list(sample.prompt_ids), ids) == text
        assert not each.notes.found
