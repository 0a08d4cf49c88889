"""A conversation is rendered whole, once, and learned as the very tokens that a model would have to write."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from dialects import BARE, FAMILIES, QWEN3, backend, tokenizer

from stages.formats.rows import Reader
from stages.inference.encoding import decode, fingerprint_of
from stages.inference.prompting import encode
from stages.records import templates
from stages.records.record import Record
from stages.runtime.errors import BadInput
from stages.training.rows import Sample
from stages.training.sft.examples import Examples
from stages.training.sft.lessons import lessons

TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
CALL = {"type": "function", "function": {"name": "weather", "arguments": {"city": "你好"}}}


def system(text: str) -> dict[str, Any]:
    return {"role": "system", "content": text}


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def answer(text: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **more}


def taught(
    found: Any, record: dict[str, Any], learn: Any = "completion", template: str = "chat"
) -> tuple[list[Sample], dict[str, tuple[int, str]]]:
    examples = Examples(templates.load(template), backend(found), learn)
    samples = [
        sample
        for lesson in lessons(Record({"id": "a", **record}, place="f:1"))
        for sample in examples.of(lesson)
    ]
    return samples, examples.notes.found


def only(found: Any, record: dict[str, Any], **options: Any) -> Sample:
    (sample,), _ = taught(found, record, **options)
    return sample


def row(sample: Sample) -> list[int]:
    return [*sample.prompt_ids, *sample.completion_ids]


def learned(found: Any, sample: Sample) -> list[str]:
    """What is learned of the sample, a text for each stretch of it."""
    runs: list[list[int]] = [[]]
    for token, weight in zip(sample.completion_ids, sample.weight, strict=True):
        if weight:
            runs[-1].append(token)
        elif runs[-1]:
            runs.append([])
    return [found.decode(run) for run in runs if run]


TALKS: dict[str, dict[str, Any]] = {
    "one": {"messages": [user("3*4?"), answer("It is 12.")]},
    "several": {"messages": [user("a"), answer("Hello"), user("b"), answer("How are you?")]},
    "chinese": {"messages": [user("你好吗"), answer("我很好 🤔")]},
    "lines": {"messages": [user("code"), answer("    x = 1\n\n  y")]},
    "marks in the text": {"messages": [user("what is <|im_end|>, </s>?"), answer("Tokens <s>.")]},
    "no words": {"messages": [user("hush"), answer("")]},
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("talk", TALKS)
def test_a_row_is_what_the_chat_template_gives_up_to_the_end_of_the_turn(family: str, talk: str) -> None:
    found = tokenizer(family)
    messages = TALKS[talk]["messages"]
    sample = only(found, TALKS[talk])
    whole = found.apply_chat_template(messages, return_dict=False)
    prompt = found.apply_chat_template(messages[:-1], add_generation_prompt=True, return_dict=False)
    end = found.convert_tokens_to_ids(FAMILIES[family][2])
    ids = row(sample)
    assert ids[-1] == end
    if family != "bare":  # it has no end of its own, and its head ends in a space that words begin with
        assert ids == whole[: len(ids)]
        rest = found.decode(whole[len(ids) :]).replace("</s>", "")
        assert not rest.strip(), "then nothing is said"
    if family != "deepseek":  # it opens the thinking, and these answers have none
        assert sample.prompt_ids == prompt
        assert sample.prompt_ids == encode(found, templates.load("chat").render({"prompt": messages[:-1]}))[0]
    assert set(sample.weight) == {1.0}


@pytest.mark.parametrize("family", FAMILIES)
def test_all_answers_can_be_learned_and_the_users_words_never(family: str) -> None:
    found = tokenizer(family)
    talk = [user("a"), answer("Hello"), user("b"), answer("How are you?"), user("c"), answer("12")]
    samples, _ = taught(found, {"messages": talk}, "all")
    texts = [text for sample in samples for text in learned(found, sample)]
    end = FAMILIES[family][2]
    said = [text.removeprefix("<think>\n\n</think>\n\n") for text in texts]
    assert [text.removesuffix(end).strip() for text in said] == ["Hello", "How are you?", "12"]
    assert all(text.endswith(end) for text in texts)
    if family in ("chatml", "llama3", "gemma", "mistral", "llama2", "phi3"):
        (sample,) = samples
        whole = found.apply_chat_template(talk, return_dict=False)
        assert row(sample) == whole[: len(row(sample))], "one row, the template's tokens"


def test_of_a_completion_of_several_turns_each_answer_is_learned() -> None:
    found = tokenizer("chatml")
    record = {
        "prompt": [user("a"), answer("not this"), user("b")],
        "completion": [answer("one"), user("between"), answer("two")],
    }
    assert learned(found, only(found, record)) == ["one<|im_end|>", "two<|im_end|>"]
    assert learned(found, only(found, record, learn="last")) == ["two<|im_end|>"]
    every = ["not this<|im_end|>", "one<|im_end|>", "two<|im_end|>"]
    assert learned(found, only(found, record, learn="all")) == every


def test_a_turn_says_itself_whether_and_how_much_it_is_learned() -> None:
    found = tokenizer("chatml")
    talk = [
        user("a"),
        answer("one", train=True),
        user("b"),
        answer("two", weight=0.25),
        user("c"),
        answer("three", train=False),
    ]
    sample = only(found, {"messages": talk})
    assert learned(found, sample) == ["one<|im_end|>", "two<|im_end|>"]
    assert {weight for weight in sample.weight if weight} == {1.0, 0.25}
    for broken, why in (
        ([user("a"), answer("b", train=0)], "no turn of it is learned"),
        ([{**user("a"), "train": True}, answer("b")], "only the assistant's turns"),
        ([user("a"), answer("b", weight=-1)], "not negative"),
    ):
        with pytest.raises(BadInput, match=why):
            taught(found, {"messages": broken})


def test_reasoning_is_learned_where_the_template_shows_it() -> None:
    found = tokenizer("qwen3")
    talk = [user("3*4?"), answer("12", reasoning_content="three fours")]
    said = "<think>\nthree fours\n</think>\n\n12<|im_end|>"
    assert learned(found, only(found, {"messages": talk})) == [said]
    deep = tokenizer("deepseek")  # drops thinking from turns, and opens it for the answer
    sample = only(deep, {"messages": talk})
    assert deep.decode(sample.prompt_ids).endswith("<|Assistant|><think>\n")
    assert learned(deep, sample) == ["three fours\n</think>\n\n12</s>"]
    written = only(deep, {"messages": [user("3*4?"), answer("<think>\nthree fours\n</think>\n\n12")]})
    assert row(written) == row(sample)
    for family in ("chatml", "llama3", "phi3"):
        with pytest.raises(BadInput, match="f:1: the chat template does not show the reasoning_content"):
            taught(tokenizer(family), {"messages": talk})
    sample = only(tokenizer("chatml"), {"messages": talk}, template="r1")
    assert learned(tokenizer("chatml"), sample) == ["three fours\n</think>\n\n12<|im_end|>"]


def test_reasoning_under_another_name_is_found() -> None:
    found = tokenizer("qwen3")
    found.chat_template = QWEN3.replace("reasoning_content", "thinking")
    talk = [user("3*4?"), answer("12", reasoning_content="three fours")]
    assert "three fours" in learned(found, only(found, {"messages": talk}))[0]


def test_an_empty_think_block_is_learned_or_stands_in_the_prompt() -> None:
    found = tokenizer("qwen3")
    talk = {"messages": [user("3*4?"), answer("12")]}
    assert learned(found, only(found, talk)) == ["<think>\n\n</think>\n\n12<|im_end|>"]
    off = only(found, {**talk, "chat_template_kwargs": {"enable_thinking": False}})
    assert found.decode(off.prompt_ids).endswith("assistant\n<think>\n\n</think>\n\n")
    assert learned(found, off) == ["12<|im_end|>"]
    thought = [user("3*4?"), answer("12", reasoning_content="three fours")]
    denied = {"messages": thought, "chat_template_kwargs": {"enable_thinking": False}}
    (odd,), notes = taught(found, denied)
    assert list(notes) == ["an answer begins otherwise than its prompt has it begin"]
    assert found.decode(row(odd)).count("<think>") == 1, "a head that denies it is not forced"


def test_a_mark_that_the_prompt_has_is_not_learned() -> None:
    """As in Nemotron 3, whose prompt opens the thinking, and whose answers close it at once where there is
    none.
    """
    found = tokenizer("chatml")
    found.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}<think></think>{% "
        "endif %}"
        "{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
        "<think>\n{% endif %}"
    )
    talk = {"messages": [user("3*4?"), answer("12")]}
    assert learned(found, only(found, talk)) == ["</think>12<|im_end|>"]
    assert found.decode(only(found, talk).prompt_ids).endswith("assistant\n<think>")


def test_a_call_is_learned_with_the_end_of_its_own() -> None:
    """As in Llama 3, whose calls end with another token than its answers."""
    found = tokenizer("chatml")
    found.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.tool_calls %}"
        "{{ m.tool_calls[0].function | tojson }}<|eot_id|>\n{% else %}{{ m.content }}<|im_end|>\n{% endif %}"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    called = [user("?"), answer("", tool_calls=[CALL])]
    assert learned(found, only(found, {"messages": called}))[0].endswith("}<|eot_id|>")
    assert learned(found, only(found, {"messages": [user("?"), answer("3")]})) == ["3<|im_end|>"]


def test_tools_and_calls_are_shown_or_refused_or_noted() -> None:
    found = tokenizer("qwen3")
    talk = [user("?"), answer("", tool_calls=[CALL]), {"role": "tool", "content": "3 C"}, answer("It is 3.")]
    sample = only(found, {"messages": talk, "tools": TOOLS})
    whole = found.apply_chat_template(talk, tools=TOOLS, return_dict=False)
    assert row(sample) == whole[: len(row(sample))]
    assert '"name": "weather"' in found.decode(sample.prompt_ids)
    (called,), notes = taught(found, {"messages": talk[:2], "tools": TOOLS})
    assert "你好" in learned(found, called)[0]
    assert not notes
    as_text = {**CALL, "function": {"name": "weather", "arguments": '{"city": "你好"}'}}
    other = [user("?"), answer(None, tool_calls=[as_text])]
    assert row(only(found, {"messages": other, "tools": TOOLS})) == row(called)
    plain = tokenizer("chatml")
    with pytest.raises(BadInput, match="does not show the tool_calls"):
        taught(plain, {"messages": talk[:2]})
    _, notes = taught(plain, {"messages": talk, "tools": TOOLS})
    assert {note.split("show ")[1] for note in notes} == {
        "tool_calls of the prompt",
        "tools of the prompt",
    }
    _, notes = taught(tokenizer("phi3"), {"messages": talk})
    assert "the template does not show turns of role tool of the prompt" in notes
    with pytest.raises(BadInput, match="template none does not show the tool_calls"):
        taught(plain, {"messages": talk[:2]}, template="none")


def test_parts_of_a_message_are_text_and_nothing_else() -> None:
    found = tokenizer("chatml")
    parts = [{"type": "text", "text": "3*4"}, {"type": "text", "text": "= ?"}]
    sample = only(found, {"messages": [user(parts), answer("12")]})
    assert row(sample) == row(only(found, {"messages": [user("3*4\n= ?"), answer("12")]}))
    image = [{"type": "image", "url": "x"}]
    with pytest.raises(BadInput, match="f:1: a message has a part of type 'image'; only text"):
        taught(found, {"messages": [user(image), answer("12")]})


def test_system_turns_stay_where_they_stand() -> None:
    found = tokenizer("chatml")
    talk = [system("A"), user("b"), answer("c"), system("D"), user("e")]
    ids, _ = encode(found, templates.load("chat").render({"prompt": talk}))
    assert ids == found.apply_chat_template(talk, add_generation_prompt=True, return_dict=False)
    shots = [Record(prompt="p", completion="q")]
    rendered = templates.load("chat").render({"prompt": talk}, examples=shots)
    assert [turn["content"] for turn in rendered.messages] == ["A", "p", "q", "b", "c", "D", "e"]
    with pytest.raises(BadInput, match="System role not supported"):
        taught(tokenizer("gemma"), {"messages": [system("A"), user("b"), answer("c")]})


def test_a_conversation_is_cut_where_the_template_writes_its_history_anew() -> None:
    found = tokenizer("qwen3")
    talk = [user("a"), answer("1", reasoning_content="one"), user("b"), answer("2", reasoning_content="two")]
    first, second = taught(found, {"messages": talk}, "all")[0]
    assert learned(found, first) == ["<think>\none\n</think>\n\n1<|im_end|>"]
    assert learned(found, second) == ["<think>\ntwo\n</think>\n\n2<|im_end|>"]
    assert "one" not in found.decode(row(second)), "as the model will read it"
    (sample,), _ = taught(
        found,
        {
            "messages": [
                talk[0],
                answer("", reasoning_content="look", tool_calls=[CALL]),
                {"role": "tool", "content": "3"},
                talk[3],
            ]
        },
        "all",
    )
    assert len(learned(found, sample)) == 2, "between calls thinking stays, and so does the row"


# What was sampled is what is learned.


def generated(found: Any, ids: list[int], **more: Any) -> dict[str, Any]:
    """A record as `generate --tokens` makes it of these sampled ids."""
    prompt_ids, prefill = encode(found, templates.load("chat").render({"prompt": "3*4?"}))
    said = ids[:-1] if ids[-1] in backend(found).ends else ids
    return {
        "prompt": "3*4?", "completion": decode(found, prompt_ids, said), "finish": "stop", "prefill": prefill,
        "prompt_ids": prompt_ids, "completion_ids": ids,
        "meta": {"generate": {"tokenizer": fingerprint_of(found)}}, **more,
    }  # fmt: skip


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "bare"])
def test_any_sampled_tokens_are_learned_as_they_are(family: str) -> None:
    found = tokenizer(family)
    end = found.convert_tokens_to_ids(FAMILIES[family][2])
    draw = random.Random(0)
    for _ in range(20):
        ids = [draw.randrange(3, 360) for _ in range(draw.randrange(1, 9))]
        ids = [i for i in ids if i not in backend(found).ends]
        record = generated(found, [*ids, end])
        sample = only(found, record)
        assert sample.completion_ids == [*ids, end]
        assert sample.prompt_ids == record["prompt_ids"]
    cut = generated(found, ids, finish="length")
    assert only(found, cut).completion_ids == ids
    # Another tokenizer's, and a text that was changed by hand: the text is learned.
    foreign = generated(found, [*ids, end], meta={"generate": {"tokenizer": "another"}})
    assert (
        decode(
            found,
            foreign["prompt_ids"],
            list(only(found, {**foreign, "completion": "12"}).completion_ids[:-1]),
        )
        == "12"
    )
    _, notes = taught(found, generated(found, [*ids, end], completion="12"))
    assert notes == {"its completion_ids do not say its completion, whose text is learned": (1, "f:1")}


def test_prompt_tokens_of_the_same_text_are_taken_and_of_another_are_not() -> None:
    found = tokenizer("chatml")
    record = generated(found, [42, 363])
    odd = record["prompt_ids"]
    at = next(i for i, token in enumerate(odd) if found.decode([token]) == "user")
    pieces = [found.encode(c, add_special_tokens=False)[0] for c in found.decode([odd[at]])]
    odd = [*odd[:at], *pieces, *odd[at + 1 :]]
    assert only(found, {**record, "prompt_ids": odd}).prompt_ids == odd
    sample, notes = taught(found, {**record, "prompt": "5*5?"})
    assert "5*5?" in found.decode(sample[0].prompt_ids)
    assert list(notes) == ["its prompt_ids are of another prompt than the template's"]


def test_a_stop_text_that_was_cut_off_is_not_learned() -> None:
    found = tokenizer("chatml")
    ids = found.encode("12\nUser", add_special_tokens=False)
    record = generated(found, ids, completion="12")
    assert found.decode(only(found, record).completion_ids) == "12<|im_end|>"


@pytest.mark.parametrize("family", FAMILIES)
def test_ten_rounds_of_generate_and_sft_change_no_token(family: str) -> None:
    """The text of what was learned is learned again: ids, and spaces at the beginning, stay."""
    found = tokenizer(family)
    draw = random.Random(1)
    for text in (
        "Hello there",
        " Hello",
        "  two",
        "x",
        "\n\n12",
        "你好 🤔",
        "think 12.\n",
        "12 </think>",
    ):
        before: list[int] = []
        for _ in range(10):
            record = generated(found, [draw.randrange(3, 300)], completion=text)
            del record["completion_ids"]
            sample, notes = taught(found, record)
            assert not notes
            ids = list(sample[0].completion_ids)
            assert not before or ids == before
            before = ids
            again = decode(found, list(sample[0].prompt_ids), ids[:-1])
            assert again == text
            text = again


def test_a_text_that_no_tokens_say_is_counted_and_named() -> None:
    found = tokenizer("chatml")
    found.backend_tokenizer.normalizer = __import__("tokenizers").normalizers.Lowercase()
    _, notes = taught(found, {"prompt": "a", "completion": "Hello", "finish": "stop"})
    assert notes == {"the tokenizer does not give its text back; other tokens say it": (1, "f:1")}


def test_several_sampled_turns_are_never_tokenised_again() -> None:
    """Token in, token out: in the prompt of `generate`, and in the row that is learned."""
    for family in ("chatml", "mistral", "gemma", "phi3"):
        found = tokenizer(family)
        end = found.convert_tokens_to_ids(FAMILIES[family][2])
        odd = [found.convert_tokens_to_ids(piece) for piece in ("t", "h", "e")]
        first = generated(found, [*odd, end])
        turn = answer(first["completion"], completion_ids=[*odd, end])
        prompt = [user("3*4?"), turn, user("b")]
        ids, _ = encode(found, templates.load("chat").render({"prompt": prompt}))
        assert ids[: len(first["prompt_ids"]) + 4] == [*first["prompt_ids"], *odd, end]
        sample = only(found, {"prompt": prompt, "completion": [answer("12")]}, learn="all")
        assert row(sample)[: len(ids)] == ids
        assert learned(found, sample)[0].endswith(FAMILIES[family][2])


# Beginnings and ends.


def test_there_is_one_beginning_and_one_end() -> None:
    found = tokenizer("mistral")
    once = encode(found, templates.load("none").render({"prompt": "Hello"}))[0]
    assert once[0] == 1
    assert encode(found, templates.load("none").render({"prompt": "<s>Hello"}))[0].count(1) == 1
    closed = encode(found, templates.load("none").render({"prompt": "Hello</s>"}))[0]
    assert closed[-1] == 2, "an end that the prompt has stays"
    for template in ("none", "chat"):
        for text in ("12", "12</s>"):
            record = {"prompt": "3*4?", "completion": text, "finish": "stop"}
            assert only(found, record, template=template).completion_ids.count(2) == 1
    chatty = tokenizer("chatml")
    sample = only(chatty, {"messages": [user("a"), answer("b<|im_end|>")]})
    assert learned(chatty, sample) == ["b<|im_end|>"]


def test_the_end_of_a_turn_ends_a_completion_too() -> None:
    for family, (_, _, end) in FAMILIES.items():
        found = tokenizer(family)
        assert found.convert_tokens_to_ids(end) in backend(found).ends


def test_of_several_tokens_after_an_answer_the_end_is_the_one_that_ends_the_turn() -> None:
    found = tokenizer("chatml")
    command = "{% for m in messages %}<|User|>{{ m.content }}<|end|><|im_end|>{% endfor %}"
    found.chat_template = command + "{% if add_generation_prompt %}<|User|>{% endif %}"
    found.eos_token = "<|im_end|>"
    talk = {"messages": [user("a"), answer("b")]}
    assert learned(found, only(found, talk)) == ["b<|end|><|im_end|>"]
    # A template that always writes the next head, as Llama 3's first did.
    found = tokenizer("llama3")
    found.chat_template = found.chat_template.replace("{% if add_generation_prompt %}", "{% if true %}")
    assert learned(found, only(found, talk)) == ["b<|eot_id|>"]


def test_keys_that_a_table_filled_up_with_nothing_are_nothing() -> None:
    found = tokenizer("qwen3")
    nothing = {"reasoning_content": None, "tool_calls": None, "name": None}
    filled = [{**user("a"), **nothing}, {**answer("b"), **nothing, "tool_calls": []}]
    picky = (
        found.chat_template + "{% for m in messages %}{% if 'tool_calls' in m %}{{ raise_exception('no') }}"
    )
    found.chat_template = picky + "{% endif %}{% endfor %}"
    assert row(only(found, {"messages": filled})) == row(only(found, {"messages": [user("a"), answer("b")]}))
    (record,) = Reader().records(Record(messages=filled), "a")
    assert (record["prompt"], record["completion"]) == ("a", "b")


def test_a_greeting_is_not_learned_as_it_answers_nothing() -> None:
    found = tokenizer("chatml")
    talk = {"messages": [answer("Hello!"), user("a"), answer("b")]}
    assert learned(found, only(found, talk, learn="all")) == ["b<|im_end|>"]


def test_records_keep_every_key_of_their_turns() -> None:
    talk = [system("s"), {**user("?"), "name": "eve"}, answer("12", reasoning_content="because")]
    (record,) = Reader().records(Record(messages=talk, tools=TOOLS), "a")
    assert record["prompt"] == talk[:2]
    assert record["completion"] == talk[2:]
    assert record["tools"] == TOOLS


# From one stage to the next.


def test_rewards_and_exports_read_completions_of_turns() -> None:
    from stages.formats.export import exported
    from stages.scoring.scorer import Scorer

    said = [answer("12", reasoning_content="three fours")]
    record = Record(id="a", prompt=[user("3*4?")], completion=said, answer="12", tools=TOOLS)
    with Scorer(["accuracy", "format:style=think"], workers=1) as scorer:
        (scored,) = scorer.score([record])
    assert scored["rewards"] == {"accuracy": 1.0, "format": 1.0}
    assert scored["completion"] == said, "the turns stay"
    (row_,) = exported([record], "messages")
    assert row_["messages"] == [user("3*4?"), *said]
    assert row_["tools"] == TOOLS


def test_generate_says_what_the_template_does_not_show_and_sft_takes_its_tokens(
    tiny: Path, tmp_path: Path
) -> None:
    import json
    import shutil

    from stages import generate, sft
    from stages.runtime.report import Silent
    from stages.settings.groups import Engine, Sampling

    class Heard(Silent):
        def __init__(self) -> None:
            self.notes: list[str] = []

        def note(self, message: str) -> None:
            self.notes.append(message)

    model = tmp_path / "model"
    shutil.copytree(tiny, model)
    path = model / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "chat_template": BARE}))
    problems = [Record(id=str(i), prompt=f"{i}+1=", tools=TOOLS) for i in range(3)]
    heard = Heard()
    computed = Engine(device="cpu", threads=1)
    made = list(
        generate.run(
            problems,
            generate.Settings(
                model=str(model), tokens=True, sampling=Sampling(max_tokens=12), engine=computed
            ),
            report=heard,
        )
    )
    assert heard.notes == ["3 records, first record 0: the template does not show tools of the prompt"]
    examples = Examples(templates.load("chat"), backend(tokenizer_of(model)))
    for record in made:
        (sample,) = examples.of(record)
        assert sample.prompt_ids == record["prompt_ids"]
        ids = record["completion_ids"]
        assert sample.completion_ids[: len(ids)] == ids
    sft.run(
        made,
        sft.Settings(model=str(model), out=tmp_path / "out", epochs=1, batch=4, engine=computed),
        report=heard,
    )


def tokenizer_of(model: Path) -> Any:
    from stages.inference.encoding import load_tokenizer

    return load_tokenizer(str(model))
