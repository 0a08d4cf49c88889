"""No checkpoint, GGUF file, state or option, however odd, gets more out of a stage of models than its
documented ends.
"""

from __future__ import annotations

import atexit
import contextlib
import copy
import functools
import io
import json
import logging
import os
import resource
import shutil
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import test_fuzz
import tqdm
from fuzz import Case, Draw, Outcome, fuzzed
from test_fuzz import lines, stage, wanted

from stages.conversion import from_gguf

ROOM = 3 << 30  # bytes that a case may take beside what the process has
# Options that would start processes, ask a network, or make as much as they are told to.
HEAVY = (
    *test_fuzz.HEAVY,
    "out",
    "teacher",
    "dry_run",
    "backend",
    "device",
    "deepspeed",
    "zero",
    "offload",
    "threads",
    "steps",
    "epochs",
    "max_tokens",
    "row_tokens",
    "problems",
    "dynamic_sampling",
    "inner_epochs",
    "patience",
    "reward",
    "benchmark",
    "set",
    "hidden",
    "layers",
)
PROBLEMS = [{"id": k, "prompt": f"{k}+1=", "answer": str(k + 1)} for k in range(2)]
EXAMPLES = [{"id": str(k), "prompt": f"{k}+1=", "completion": str(k + 1)} for k in range(2)]

# What stands in a checkpoint's files where something else should.
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 3, 7, 0.5, -0.5, 1e308, 2**31, 2**63, -(2**63), 10**9, 10**6, 10**30, "",
    "a", "x" * 300,
    "../../x", "\x1b[31m", "\u202e", [], {}, [[]], [None], ["a"], [1], [0, 1, 2], {"a": 1}, {"": {}},
    "float16", "bfloat16",
    "zork", "cpu", "eager", "evil/code", ["zork"] * 3, 4096, 65, 103, 1e-320, -0.0,
]  # fmt: skip
# Keys that mean something to who reads a configuration, with values that mean harm or nothing.
KEYS: dict[str, list[Any]] = {
    "auto_map": [{"AutoConfig": "own.C", "AutoModelForCausalLM": "own.M", "AutoTokenizer": [None, "own.T"]},
    {"AutoConfig": "evil/repo--own.C"}, ["own.T", None], "own", {"x": None}],
    "model_type": ["own", "qwen2", "qwen3", "gpt2", "bert", "t5", "mamba", "mixtral", "gemma2", "gemma3",
    "llama4", "encoder-decoder", "phi3", "", "LLAMA", "timm_wrapper", "rag"],
    "architectures": [["OwnForCausalLM"], ["BertModel"], "LlamaForCausalLM", [], [None]],
    "quantization_config": [{"quant_method": "gptq", "bits": 4}, {"quant_method": "bitsandbytes"},
    {"quant_method": "zork"}, {}, {"quant_method": "torchao"}, {"quant_method": "compressed-tensors"},
    {"quant_method": "fp8"}, {"quant_method": "mxfp4"}],
    "rope_scaling": [{"rope_type": "yarn", "factor": 0}, {"rope_type": "zork"}, {"type": "linear",
    "factor": -1}, {"rope_type": "longrope", "short_factor": [1], "long_factor": [1], "factor": 2},
    {"rope_type": "dynamic", "factor": 10**9}],
    "rope_parameters": [{"rope_type": "yarn", "factor": 4.0}, {"rope_type": "default"}, {"rope_theta": 0},
    {"rope_theta": "a", "rope_type": "default"}],
    "layer_types": [["sliding_attention"], ["full_attention"] * 9, ["zork"], ["linear_attention"]],
    "num_hidden_layers": [0, 2, 10**6, 10**9, -1], "num_attention_heads": [0, 1, 3, 10**6, -2],
    "num_key_value_heads": [0, 3, 10**9, -1],
    "hidden_size": [0, 8, 15, 10**9, 10**5, -16], "intermediate_size": [0, 1, 10**9], "vocab_size": [0, 1, 50,
    10**9, 10**12, -1],
    "head_dim": [0, 1, 7, 10**9, -8], "max_position_embeddings": [0, 1, -5, 10**9, 2**40],
    "sliding_window": [0, -1, 1, 10**9],
    "num_labels": [0, 10**9, -1], "id2label": [{"a": "b"}, {"0": 5}, []], "torch_dtype": ["zork", "int8",
    "float64", "../x"],
    "dtype": ["zork", "float16", "float8_e4m3fn", 5], "hidden_act": ["zork", "gelu", "", 3, {"a": 1}],
    "rms_norm_eps": [0, -1, 1e308, "a"],
    "tie_word_embeddings": [False, True, "no"], "attn_implementation": ["evil/kernels:fn", "zork",
    "flash_attention_2", "eager", {"": "evil/k"}],
    "_attn_implementation": ["evil/kernels", "flex_attention"], "experts_implementation": ["evil/x"],
    "_name_or_path": ["evil/repo", 5], "transformers_weights": ["../x.safetensors", "pytorch_model.bin",
    "zork.safetensors"],
    "eos_token_id": [10**9, -1, [0, "a"], "a", [], [None], 1.5], "pad_token_id": [10**9, -1, "a"],
    "bos_token_id": [10**9, -1],
    "pretraining_tp": [2, 10**9], "use_cache": ["a"], "attention_bias": [True, "a"], "attention_dropout": [5,
    -1, "a"], "mlp_bias": [True],
    "text_config": [{}, {"model_type": "llama"}, 5, {"vocab_size": 10**9}], "is_encoder_decoder": [True],
    "tokenizer_class": ["OwnTokenizer", "GPT2Tokenizer", "LlamaTokenizer", "BertTokenizer", "T5Tokenizer",
    "MistralCommonBackend", "", 5, "PreTrainedTokenizerFast", "../x"],
    "chat_template": ["{{ messages[0].content }}", "{% for m in messages %}{{ m.content }}{% endfor %}",
    "{{ raise_exception('no') }}", "{{ x.y.z }}", "{% if %}", "{{ ''.__class__.__mro__ }}", 5, [],
    [{"name": "default", "template": "{{ messages }}"}], {"default": "a"}],
    "eos_token": [None, "", "zork", 5, {"content": "a"}, [], "\x1b"], "pad_token": [None, "", "zork", 5],
    "unk_token": [None, 5], "added_tokens_decoder": [{"0": 5}, {"a": {"content": "b"}},
    {"999999999": {"content": "b"}}, {"-1": {"content": "c"}}, []],
    "model_max_length": [0, -1, "a", 10**30], "extra_special_tokens": [{"a": "b"}, ["a"], 5],
    "additional_special_tokens": [["a"], 5, [5]], "tokenizer_file": ["/etc/passwd", "../x"],
    "vocab_file": ["/etc/passwd"], "auto_mapping": [{"parent_library": "os"}], "backend": ["zork",
    "sentencepiece"],
    "temperature": [-1, "a"], "do_sample": [True, "a"], "max_length": [-1, "a"], "transformers_version": [5,
    "zork"], "custom_generate": ["evil/repo"], "cache_implementation": ["zork"], "num_beams": [0, -1],
    "weight_map": [{}, {"lm_head.weight": "pytorch_model.bin"}, {"a": "../model.safetensors"}, 5, {"a": 5}],
    "peft_type": ["IA3", 5, "XLORA", "PROMPT_TUNING"], "r": [0, -1, 10**9, "a", 2], "lora_alpha": [0, "a",
    1e308], "target_modules": ["all-linear", ["zork"], 5, ".*", "(a+)+$", []],
    "megatron_config": [{"a": 1}], "megatron_core": ["os.path"], "base_model_name_or_path": ["evil/repo", 5],
    "rank_pattern": [{"q_proj": 10**9}, {"(": 3}, 5], "modules_to_save": [["lm_head"], 5],
    "init_lora_weights": ["pissa", "corda", "loftq", "zork", 5, "olora"],
    "corda_config": [{"cache_file": "x"}], "use_dora": [True], "bias": ["all", "zork"],
    "layer_replication": [[[0, 1], [0, 1]], [[0, 10**6]]], "runtime_config": [5],
}  # fmt: skip
TEMPLATES = [
    "{{ messages[0].content }}",
    "{{ raise_exception('\\x1b[31mno') }}",
    "{{ x.y }}",
    "{% if %}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{% for i in range(10**9) %}{% endfor %}",
    "",
    "{{ messages.append(1) }}",
    "{% include '/etc/passwd' %}",
    "{{ 1/0 }}",
    "{{ messages[5].content }}",
    "\udcff",
    "{{ cycler.__init__.__globals__.os.system('true') }}",
    "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
    "{{ 'a' * 10**12 }}",
    "{{ 10 ** 10 ** 9 }}",
]


@functools.cache
def base() -> Path:
    """A whole checkpoint of 6,000 weights, with a chat template and what a sharded one has besides."""
    from stages import init

    path = Path(tempfile.mkdtemp(prefix="r1-fuzz-")) / "base"
    atexit.register(shutil.rmtree, path.parent)
    init.run(init.Settings(out=path, hidden=16, layers=1, heads=2, context=128))
    (path / "chat_template.jinja").write_text("{{ messages[0].content }}\n")
    return path


@functools.cache
def adapter() -> Path:
    """A LoRA adapter for it."""
    import peft
    from transformers import AutoModelForCausalLM

    path = base().with_name("adapter")
    model = AutoModelForCausalLM.from_pretrained(base())
    config = peft.LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM")
    peft.get_peft_model(model, config).save_pretrained(path)
    return path


@functools.cache
def unfinished() -> dict[str, bytes]:
    """What an sft of `EXAMPLES` that was killed has left in out.partial."""
    return {}


@functools.cache
def gguf() -> bytes:
    from gguf_file import small_gguf

    path = base().with_name("small.gguf")
    small_gguf(path, letters=20)
    return path.read_bytes()


TOKENIZER = {
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "processor_config.json",
}
MODEL = {
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "adapter_config.json",
    "custom_generate",
}


def remembered(load: Callable[..., Any], names: set[str]) -> Callable[..., Any]:
    """`load`, which does its work once for all checkpoints whose files of these names are those of `base`."""
    held: dict[str, Any] = {}

    def load_once(path: Any, **options: Any) -> Any:
        folder = Path(path)
        there = set(os.listdir(folder)) & names if folder.is_dir() else {""}
        own = set(os.listdir(base())) & names
        if there != own or any(os.path.realpath(folder / name) != str(base() / name) for name in own):
            return load(path, **options)
        key = repr((str(path), sorted(options.items())))
        if key not in held:
            held[key] = load(path, **options)
        return copy.deepcopy(held[key])

    return load_once


def read_once(read: Callable[..., Any]) -> Callable[..., Any]:
    """`read`, which does its work once for all files that are `gguf`, and have nothing beside them."""
    held: dict[str, Any] = {}

    def remember(file: Path, folder: str, *rest: Any) -> Any:
        if os.listdir(folder) != [from_gguf.NAME] or file.read_bytes() != gguf():
            return read(file, folder, *rest)
        key = repr(rest)
        if key not in held:
            held[key] = read(file, folder, *rest)
        return copy.deepcopy(held[key])

    return remember


def parsed_once(kind: Callable[[str], Any]) -> Callable[[Any], Any]:
    """`kind`, a reader of GGUF files, which does not parse one file several times in a row."""
    last: list[Any] = [b"", None]

    def parse(path: Any) -> Any:
        data = Path(path).read_bytes()
        if last[0] != data:
            last[:] = b"", None
            last[:] = data, kind(path)
        return last[1]

    return parse


def proven() -> Callable[[Any], None]:
    """`prove`, which does its work once for models of the same weights and settings."""
    import torch

    from stages.inference.transformers import longrope, proof

    held: dict[Any, Any] = {}

    def prove_once(model: Any) -> None:
        weights = [(name, each.dtype, each.shape) for name, each in model.state_dict().items()]
        values = torch.cat([each.detach().double().flatten() for each in model.parameters()])
        key = (
            repr((model.config.to_json_string(), model.config._attn_implementation, weights)),
            values.numpy().tobytes(),
        )
        if key in held:
            longrope.adopt(model)
            model.set_attn_implementation(held[key][0])
            model.r1_execution = held[key][1]
            return
        proof.prove(model)
        held[key] = model.config._attn_implementation, model.r1_execution

    return prove_once


def tried(check: str, code: str, remedy: str, *arguments: str) -> Any:
    """As doctor's own, in this process."""
    from stages.doctor import Finding

    said = io.StringIO()
    argv, sys.argv = sys.argv, ["-c", *arguments]
    try:
        with contextlib.redirect_stdout(said):
            exec(code, {"__name__": "__main__"})
    except SystemExit as ended:
        return Finding(check, "broken", str(ended.code), remedy)
    finally:
        sys.argv = argv
    return Finding(check, "works", said.getvalue().strip(), remedy)


def inspected(model: str) -> Iterator[Any]:
    """As doctor's own, in this process, where there is a file `real`."""
    from stages.doctor import Finding
    from stages.runtime import probes

    if not os.path.exists("real"):
        return
    found = tried("computed", probes.PORTRAIT, "", model)
    for line in found.found.splitlines():
        yield Finding(*json.loads(line))


def prepare() -> None:
    """What `test_fuzz` makes cheap, files that are whole loaded once, and a limit on memory, so that one that
    lies shows.

    A run of training ends where the first update would begin, and a conversion where it would write, if there
    is no file `real` in its folder.
    """
    test_fuzz.prepare()
    tqdm.tqdm.monitor_interval = 0  # a thread that would seem to be left
    base()
    import gguf as gguf_files
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    from stages import doctor
    from stages.inference import template_limits
    from stages.inference.transformers import model
    from stages.runtime.errors import UsageError
    from stages.training.grpo import train
    from stages.training.loop.run import Run
    from stages.training.reward_model import learner as of_pairs
    from stages.training.sft import learner as of_texts

    def short(*arguments: Any, **options: Any) -> Run:
        if not os.path.exists("real"):
            raise UsageError("--epochs, --steps: enough")
        return Run(*arguments, **options)

    for module in (of_texts, of_pairs, train):
        module.Run = short
    for automatic, names in (
        (AutoConfig, {"config.json"}),
        (AutoModelForCausalLM, MODEL),
        (AutoTokenizer, TOKENIZER),
    ):
        automatic.from_pretrained = remembered(automatic.from_pretrained, names)
    check_size = model._check_size
    checked = remembered(lambda path, kind, trust: check_size(kind, path, trust=trust), MODEL)
    model._check_size = lambda kind, path, trust: checked(path, kind=kind, trust=trust)
    model.prove = proven()
    set_level = logging.Logger.setLevel  # forgets what all loggers know of their levels
    logging.Logger.setLevel = lambda self, level: self.level == level or set_level(self, level)
    template_limits.SECONDS = 2.0
    doctor._tried = tried
    doctor._inspected = inspected
    gguf_files.GGUFReader = parsed_once(gguf_files.GGUFReader)
    for name in ("_check_size", "_tokenizer", "_model"):
        setattr(from_gguf, name, read_once(getattr(from_gguf, name)))
    end = from_gguf._end

    def ends(model: Any, tokenizer: Any) -> None:
        if not os.path.exists("real"):
            raise UsageError("--out: enough")
        end(model, tokenizer)

    from_gguf._end = ends
    torch.set_num_threads(1)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, used + ROOM))


def changed(draw: Draw, config: Any) -> Any:
    """A value of JSON with one to three places in it changed."""
    config = json.loads(json.dumps(config))
    for _ in range(draw.of(1, 1, 1, 2, 3)):
        if draw.one_in(2) and isinstance(config, dict):
            key = draw.choice(list(KEYS))
            config[key] = draw.choice(KEYS[key])
            continue
        spot, at = config, None
        while isinstance(spot, dict | list) and spot and (at is None or draw.random() < 0.7):
            inside = list(spot) if isinstance(spot, dict) else list(range(len(spot)))
            at, holder = draw.choice(inside), spot
            spot = spot[at]
        if at is None:
            return draw.choice(VALUES)
        if draw.one_in(4):
            del holder[at]
        else:
            holder[at] = draw.choice(VALUES)
    return config


def header_changed(draw: Draw, data: bytes) -> bytes:
    """A safetensors file with another header, or other numbers in it."""
    size = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + size]), data[8 + size :]
    way = draw.randrange(8)
    if way == 0:
        text = draw.of(
            b"[" * 5000,
            b'{"a":' * 5000,
            b"{}",
            b"[]",
            b"null",
            b"",
            b'{"a":{}}',
            b"\xff" * 9,
            b'{"__metadata__":5}',
            b'{"__metadata__":{"a":5}}',
        )
        return len(text).to_bytes(8, "little") + text + body
    if way == 1:
        return (
            draw.of(0, 1, 2**63, 2**64 - 1, size - 1, size + 1, len(data), 10**8).to_bytes(8, "little")
            + data[8:]
        )
    if way == 2:  # of another number: not finite, not ordered
        kind = draw.of(float("nan"), float("inf"), 1e38, 0.0)
        at = draw.randrange(len(body) // 4) * 4
        body = body[:at] + struct.pack("<f", kind) + body[at + 4 :]
        if draw.one_in(2):
            body = struct.pack("<f", kind) * (len(body) // 4)
        return data[: 8 + size] + body
    if way == 3:
        name = draw.choice(list(header))
        header[draw.of("zork", "lm_head.weight", "\x1b", "", "model.layers.9.self_attn.q_proj.weight")] = (
            header.pop(name)
        )
    elif way == 4:
        name = draw.choice([each for each in header if each[:2] != "__"])
        key = draw.of("dtype", "shape", "data_offsets")
        wrong: dict[str, list[Any]] = {
            "dtype": ["BF16", "F16", "I64", "zork", "F8_E4M3", "BOOL", 5],
            "shape": [[], [1], [10**9, 10**9], [-1, 4], ["a"], [0], [2**64]],
            "data_offsets": [[0, 0], [0, 10**12], [-1, 4], [4, 0], [0], "a"],
        }
        header[name][key] = draw.choice(wrong[key])
    else:
        header = changed(draw, header)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def mutated(draw: Draw, source: Path, into: str) -> tuple[dict[str, bytes], dict[str, str]]:
    """The files of a checkpoint with one or two changed, as files and links of a case."""
    names = [path.name for path in source.iterdir()]
    common = [
        *["config.json"] * 5,
        *["tokenizer.json"] * 3,
        *["tokenizer_config.json"] * 3,
        *["model.safetensors"] * 3,
        *["r1.json"] * 2,
    ]
    rare = [
        "generation_config.json",
        "chat_template.jinja",
        "special_tokens_map.json",
        "added_tokens.json",
        "model.safetensors.index.json",
        "adapter_config.json",
        "adapter_model.safetensors",
        "pytorch_model.bin",
        "processor_config.json",
        "preprocessor_config.json",
        "tokenizer.model",
        "vocab.json",
        "merges.txt",
        "custom_generate/generate.py",
        "own.py",
    ]
    if source.name == "adapter":
        common, rare = (
            ["adapter_config.json", "adapter_config.json", "adapter_model.safetensors"],
            ["README.md"],
        )
    files: dict[str, bytes] = {}
    gone: set[str] = set()
    changes, counted = draw.of(1, 1, 1, 2), draw.mutations
    for _ in range(changes):
        name = draw.choice(common if draw.random() < 0.8 else rare)
        data = (source / name).read_bytes() if name in names else b"{}"
        way = draw.randrange(10)
        if way == 0:
            gone.add(name)
            continue
        if name.endswith(".safetensors"):
            data = header_changed(draw, data) if way < 7 and len(data) > 9 else draw.damaged(data)
        elif name.endswith(".jinja"):
            data = draw.choice(TEMPLATES).encode("utf-8", "surrogateescape")
        elif name.endswith(".json") and way < 8:
            data = json.dumps(changed(draw, json.loads(data))).encode()
            if draw.one_in(20):
                data = draw.of(
                    b"[" * 3000,
                    b"null",
                    b'"a"',
                    b"[]",
                    b"5",
                    b"",
                    b"{" * 3000,
                    b'{"a":1e999}',
                    b'{"vocab_size": NaN}',
                )
        elif draw.one_in(8):
            data = draw.of(b"", b"\0", b"\x80\x04.", os.urandom(0), b"x" * 1000)
        else:
            data = draw.damaged(data)
        files[f"{into}/{name}"] = data
    draw.mutations = counted + changes
    kept = [name for name in names if f"{into}/{name}" not in files and name not in gone]
    return files, {f"{into}/{name}": str(source / name) for name in kept}


def no_more(outcome: Outcome) -> Iterator[str]:
    """What no run may do, however it ends: take the memory, or leave half a result."""
    if b"out of memory" in outcome.stderr:
        yield "memory"
    if os.path.exists("MARK"):
        yield "code of the checkpoint's ran"
    begun = any(data and name.startswith("out.partial/") for name, data in outcome.files.items())
    for name in outcome.files:
        if name.startswith("out/") and outcome.code != 0:
            yield "a result is left"
        if name.startswith("out.partial/") and (outcome.code == 0 or not begun):
            yield "out.partial is left"


def over(
    draw: Draw,
    command: str,
    words: Sequence[str],
    records: Sequence[dict[str, Any]],
    *,
    flags: Sequence[str] = ("-m",),
) -> Case:
    """A command over a checkpoint: with something wrong in it, in the records, the options or the
    configuration.
    """
    way = draw.of("model", *["options"] * 4, *["config"] * 2, "lines", "lines", "bytes")
    files: dict[str, bytes] = {}
    links: dict[str, str] = {}
    arguments = [command]
    odd = draw.choice(list(flags)) if way == "model" else ""
    for flag in flags:
        name = flag.strip("-")
        if flag == odd:
            more, other = mutated(draw, base(), name)
            files, links = files | more, links | other
            arguments += [flag, draw.of(name, name, f"./{name}", f"{name}/")]
        else:
            arguments += [flag, str(base())]
    data = lines(records)
    some: Sequence[str] = words
    if way == "lines":
        data = b"\n".join(draw.line(record) for record in records)
    elif way == "bytes":
        data = draw.damaged(data)
    elif way == "options":
        some = [*words, *draw.options(stage(command), skip=HEAVY)]
    elif way == "config":
        files["conf.toml"] = draw.toml(stage(command), skip=HEAVY)
        some = [*words, "--config", "conf.toml"]
    if way == "model" and draw.one_in(10):
        arguments[2] = draw.of(
            "",
            ".",
            "/",
            "nowhere/x",
            "./nowhere",
            "in.jsonl",
            "folder",
            "-",
            "a/b/c",
            "x.gguf",
            "\x1b[31m",
            "~",
            "in.jsonl/x",
            "loop",
            "\udcff",
            "folder/x",
            "none",
            "/dev/null",
            "/proc/self/mem",
        )
    files["in.jsonl"] = data
    if draw.one_in(30):
        files["real"] = b""
    arguments += [*some, "in.jsonl"]
    outputs = test_fuzz.written(arguments)
    return Case(
        arguments,
        b"y\ny\ny\n",
        files,
        links={**links, "loop": "loop"},
        folders=("folder", *(flag.strip("-") for flag in flags), "adapter"),
        outputs=outputs,
        about=way,
        keeps=("out/", "out.partial/"),
        also=no_more,
    )


OUT = ("-o", "out", "--json")
PLAIN = ("--template", "none")


def sft(draw: Draw) -> Case:
    return over(draw, "sft", [*OUT, *draw.of(PLAIN, ()), "--epochs", "1"], EXAMPLES)


def grpo(draw: Draw) -> Case:
    words = [
        *OUT,
        *draw.of(PLAIN, PLAIN, ()),
        "--steps",
        "1",
        "--problems",
        "1",
        "-n",
        "2",
        "--max-tokens",
        "2",
        "-r",
        "format",
    ]
    return over(draw, "grpo", words, PROBLEMS)


def distill(draw: Draw) -> Case:
    words = [*OUT, *PLAIN, "-n", "1", "--max-tokens", "2", "--keep", "all", "-r", "format"]
    words += draw.of([], ["--on-policy", "--steps", "1", "--problems", "1"])
    return over(draw, "distill", words, PROBLEMS, flags=("-m", "--teacher"))


def reward_model(draw: Draw) -> Case:
    examples = draw.of(
        [{"id": str(k), "prompt": f"{k}+1=", "chosen": str(k + 1), "rejected": "0"} for k in range(2)],
        [{"id": str(k), "prompt": f"{k}+1=", "completion": str(k + 1), "label": k} for k in range(2)],
    )
    return over(draw, "reward-model", [*OUT, "--epochs", "1"], examples)


def generate(draw: Draw) -> Case:
    words = [*draw.of(PLAIN, ()), "--max-tokens", "2", "--device", "cpu"]
    if draw.one_in(6):
        files, links = mutated(draw, adapter(), "adapter")
        case = over(draw, "generate", [*words, "--adapter", "adapter"], PROBLEMS)
        case.files |= files
        case.links |= links
        return case
    return over(draw, "generate", words, PROBLEMS)


def eval(draw: Draw) -> Case:
    return over(draw, "eval", ["--max-tokens", "2", "-k", "1", "--device", "cpu"], PROBLEMS)


def doctor(draw: Draw) -> Case:
    case = over(draw, "doctor", [], PROBLEMS)
    case.arguments.remove("in.jsonl")
    return case


def init(draw: Draw) -> Case:
    words = [
        "init",
        *OUT,
        "--hidden",
        draw.of("16", "16", "32", draw.word(Small)),
        "--layers",
        draw.of("1", draw.word(Small)),
    ]
    files = {}
    if draw.one_in(3):
        files["conf.toml"] = draw.toml(stage("init"), skip=HEAVY)
        words += ["--config", "conf.toml"]
    else:
        words += draw.options(stage("init"), skip=HEAVY)
    return Case(words, b"y\n", files, keeps=("out/",), also=no_more)


class Small:
    """An option whose value is a small number."""

    base, choices, metavar = int, (), "N"


def convert(draw: Draw) -> Case:
    data = gguf()
    way = draw.of("file", "file", "file", "options", "config", "beside")
    files: dict[str, bytes] = {}
    words = ["convert", "small.gguf", *OUT]
    if way == "file":
        head = data[: draw.of(64, 400, 4000, len(data))]
        data = gguf_changed(draw, data) if draw.one_in(2) else draw.damaged(head) + data[len(head) :]
    elif way == "options":
        words += draw.options(stage("convert"), skip=HEAVY)
    elif way == "config":
        files["conf.toml"] = draw.toml(stage("convert"), skip=HEAVY)
        words += ["--config", "conf.toml"]
    else:  # what lies beside it is not its own
        more, _ = mutated(draw, base(), ".")
        files |= {os.path.normpath(name): each for name, each in more.items()}
    files["small.gguf"] = data
    if draw.one_in(30):
        files["real"] = b""
    return Case(words, b"y\ny\n", files, about=way, keeps=("out/",), also=no_more)


def gguf_changed(draw: Draw, data: bytes) -> bytes:
    """A GGUF file with a number in its head that lies."""
    draw.mutations += 1
    at = draw.randrange(4, min(4000, len(data) // 2))
    size, kind = draw.of((4, "<I"), (8, "<Q"))
    number = draw.of(0, 1, 2, 3, 5, 255, 10**6, 2**31, 2**32 - 1)
    return data[:at] + struct.pack(kind, number) + data[at + size :]


TRAINING = (
    "sft",
    "grpo",
    "distill",
    "reward_model",
)  # in test_fuzz_training.py, so that another process can take them
OTHERS = ("init", "convert", "generate", "eval", "doctor")


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", OTHERS)
def test_ten_thousand_mutations_end_as_documented(name: str) -> None:
    fuzzed("test_fuzz_models", [name], mutations=wanted(name))
