"""Small tokenizers of each kind that models bring, and the chat templates of families, in short."""

from __future__ import annotations

import functools
from types import SimpleNamespace
from typing import Any

from stages.inference.encoding import end_ids

CORPUS = (
    "the answer is 12, so three fours are 12. Hello there! How are you? user assistant system model think "
    "tool",
    "Ünïcödé 你好吗 我很好 1+1=2\n\n    x = 1\n <think> reasoning </think>",
)

# How Llama 3 and Qwen split a text: line ends stay with the space before them.
WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% elif m.role == 'system' %}[SYS] {{ m.content }}{% else %}{{ m.content }}{{ eos_token }}{% endif %}{% "
    "endfor %}"
)
LLAMA2 = (
    "{% for m in messages %}{% if m.role == 'user' %}{{ bos_token }}[INST] {{ m.content }} [/INST]"
    "{% else %} {{ m.content | trim }} {{ eos_token }}{% endif %}{% endfor %}"
)
GEMMA = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('System role not "
    "supported') }}"
    "{% endif %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim "
    "}}<end_of_turn>\n"
    "{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
PHI3 = (
    "{% for m in messages %}{% if m.role in ('system', 'user', 'assistant') %}<|{{ m.role }}|>\n{{ m.content "
    "}}<|end|>\n"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% else %}{{ eos_token }}{% endif %}"
)
# Of Qwen3's: tools, thinking as a key or in the text, dropped before the last question, and its switch.
QWEN3 = (
    "{% if tools %}<|im_start|>system\n{% for t in tools %}{{ t | tojson }}\n{% endfor %}<|im_end|>\n{% "
    "endif %}"
    "{% set ns = namespace(last=-1) %}"
    "{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}"
    "{% for m in messages %}{% if m.role == 'assistant' %}"
    "{% set think = '' %}{% set said = m.content if m.content is string else '' %}"
    "{% if m.reasoning_content is string %}{% set think = m.reasoning_content %}"
    "{% elif '</think>' in said %}{% set think = said.split('</think>')[0].split('<think>')[-1].strip('\n') "
    "%}"
    "{% set said = said.split('</think>')[-1].lstrip('\n') %}{% endif %}"
    "<|im_start|>assistant\n"
    "{% if loop.index0 > ns.last and (loop.last or think) %}<think>\n{{ think.strip('\n') }}\n</think>\n\n{% "
    "endif %}"
    "{{ said }}{% for c in m.tool_calls or [] %}\n<tool_call>\n"
    '{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}\n</tool_call>{% '
    "endfor %}<|im_end|>\n"
    "{% elif m.role == 'tool' %}<|im_start|>user\n<tool_response>\n{{ m.content }}\n"
    "</tool_response><|im_end|>\n"
    "{% else %}<|im_start|>{{ m.role }}\n{{ m.content if m.content is string else '' }}<|im_end|>\n{% endif "
    "%}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% "
    "endif %}"
)
DEEPSEEK = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'system' %}{{ m.content }}{% endif %}"
    "{% if m.role == 'user' %}<|User|>{{ m.content }}{% endif %}"
    "{% if m.role == 'assistant' %}<|Assistant|>{{ m.content.split('</think>')[-1] }}{{ eos_token }}{% endif "
    "%}{% endfor %}"
    "{% if add_generation_prompt %}<|Assistant|><think>\n{% endif %}"
)
BARE = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt "
    "%}assistant: {% endif %}"
)

MARKS = (
    "<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<start_of_turn>",
    "<end_of_turn>", "<|User|>", "<|Assistant|>",
)  # fmt: skip
STRIPPED = ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
TAGS = ("<think>", "</think>", "<tool_call>", "</tool_call>")

# Family, kind of tokenizer, template, the token it ends an answer with.
FAMILIES = {
    "chatml": ("bytes", CHATML, "<|im_end|>"),
    "llama3": ("bytes", LLAMA3, "<|eot_id|>"),
    "qwen3": ("bytes", QWEN3, "<|im_end|>"),
    "deepseek": ("bytes", DEEPSEEK, "</s>"),
    "gemma": ("spaces", GEMMA, "<end_of_turn>"),
    "mistral": ("prefix", MISTRAL, "</s>"),
    "llama2": ("prefix", LLAMA2, "</s>"),
    "phi3": ("prefix", PHI3, "<|end|>"),
    "bare": ("bytes", BARE, "</s>"),
}


@functools.cache
def _backend(kind: str) -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    special = ["<unk>", "<s>", "</s>"]
    if kind == "bytes":
        made = Tokenizer(models.BPE())
        split = pre_tokenizers.Split(Regex(WORDS), "isolated")
        bytes_ = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        made.pre_tokenizer = pre_tokenizers.Sequence([split, bytes_])
        made.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=500, special_tokens=special, show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        )  # fmt: skip
        made.train_from_iterator(CORPUS, trainer)
        return made
    made = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    begin = [normalizers.Prepend("▁")] if kind == "prefix" else []
    made.normalizer = normalizers.Sequence([*begin, normalizers.Replace(" ", "▁")])
    strip = [decoders.Strip(" ", 1, 0)] if kind == "prefix" else []
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
    )
    pieces = [f"<0x{byte:02X}>" for byte in range(256)]
    # Each word by itself, as SentencePiece trains: a piece has a space at its beginning only.
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=[*special, *pieces], show_progress=False)
    made.train_from_iterator([text.split("你")[0] for text in CORPUS], trainer)
    made.pre_tokenizer = None
    return made


def tokenizer(family: str) -> Any:
    """The tokenizer of a family, with its chat template."""
    from tokenizers import AddedToken, Tokenizer, processors
    from transformers import PreTrainedTokenizerFast

    kind, template, _ = FAMILIES[family]
    made = Tokenizer.from_str(_backend(kind).to_str())
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    kind_of: Any = PreTrainedTokenizerFast
    found = kind_of(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        clean_up_tokenization_spaces=False,
    )  # fmt: skip
    found.add_tokens([AddedToken(name, special=True, normalized=False) for name in MARKS])
    found.add_tokens([AddedToken(name, special=True, normalized=False, rstrip=True) for name in STRIPPED])
    found.add_tokens([AddedToken(name, special=False, normalized=False) for name in TAGS])
    found.chat_template = template
    return found


def backend(found: Any) -> Any:
    """What `Examples` reads of a backend."""
    config = SimpleNamespace(get_text_config=lambda: SimpleNamespace(vocab_size=len(found)))
    return SimpleNamespace(tokenizer=found, ends=end_ids(found, None), model=SimpleNamespace(config=config))
