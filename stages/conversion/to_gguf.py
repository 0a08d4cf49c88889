"""A checkpoint as a GGUF file, for llama.cpp and what is built on it.

Only what can be written right and read back is: Llama, Qwen2 and Qwen3, with a tokenizer of bytes and merges
whose way of cutting text llama.cpp has a name for.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from stages.checkpoints import weights
from stages.checkpoints.checkpoint import versions, writing
from stages.checkpoints.loading import hide_unneeded, loading
from stages.checkpoints.parse import weights_of
from stages.conversion.card import license_of
from stages.conversion.directory import fill
from stages.conversion.plan import Plan
from stages.runtime import atomic
from stages.runtime.errors import Unavailable, UsageError

# transformers' names of architectures, and GGUF's: these are the same.
KINDS = ("llama", "qwen2", "qwen3")
INSTALL = "pip install gguf"
OTHERS = "llama.cpp's convert_hf_to_gguf.py knows more models"
MANIFEST = "r1.manifest"
CONTRACTIONS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# How a tokenizer cuts text before it merges bytes, and llama.cpp's name for it.
CUTS: dict[tuple[Any, ...], str] = {
    (("ByteLevel", True),): "gpt-2",
    (("Digits", True), ("ByteLevel", True)): "smollm",
    (("Split", CONTRACTIONS % ""), ("ByteLevel", False)): "qwen2",
    (("Split", CONTRACTIONS % "{1,3}"), ("ByteLevel", False)): "llama-bpe",
}


def library() -> Any:
    """The package gguf. Raises Unavailable where it is missing."""
    try:
        import gguf
    except ImportError:
        raise Unavailable("GGUF needs gguf", install=INSTALL) from None
    return gguf


def check(source: Path) -> tuple[Any, Any]:
    """The configuration and the tokenizer of `source`. Raises Unavailable for what cannot be written."""
    library()
    hide_unneeded()
    from transformers import AutoConfig, AutoTokenizer

    with loading(str(source)):
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    if config.model_type not in KINDS:
        raise Unavailable(
            f"{source} is a {config.model_type}, and GGUF is written for {', '.join(KINDS)}; {OTHERS}"
        )
    odd = _odd(config)
    if odd:
        raise Unavailable(f"{source} has {odd}, which GGUF is not written with; {OTHERS}")
    with loading(str(source), "the tokenizer of ", "tokenizer.json"):
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    parts = json.loads(tokenizer.backend_tokenizer.to_str())
    if cut_of(parts) is None or len(tokenizer) > config.vocab_size:
        raise Unavailable(
            f"{source} has a tokenizer that llama.cpp has no name for ({_described(parts)}), so its file "
            f"would be read wrongly; GGUF is written for those of {', '.join(CUTS.values())}"
        )
    return config, tokenizer


def _odd(config: Any) -> str:
    """What of a configuration has no place in the file; "" where all has one."""
    rope = getattr(config, "rope_parameters", None) or {}
    found = {
        f"positions scaled by {rope.get('rope_type')}": rope.get("rope_type", "default") != "default",
        f"the activation {config.hidden_act}": config.hidden_act != "silu",
        "biases in attention": config.model_type != "qwen2" and getattr(config, "attention_bias", False),
        "biases in its feed-forward layers": getattr(config, "mlp_bias", False),
        "layers with a sliding window": "sliding_attention" in (getattr(config, "layer_types", None) or ()),
    }
    return next((what for what, there in found.items() if there), "")


def cut_of(parts: dict[str, Any]) -> str | None:
    """llama.cpp's name for how a tokenizer, as its JSON, cuts text; None where it has none."""
    model = parts["model"]
    plain = model["type"] == "BPE" and not (
        model.get("byte_fallback")
        or model.get("continuing_subword_prefix")
        or model.get("end_of_word_suffix")
        or model.get("dropout")
    )
    normal = parts["normalizer"] is None or parts["normalizer"]["type"] == "NFC"
    return CUTS.get(_steps(parts)) if plain and normal else None


def _steps(parts: dict[str, Any]) -> tuple[Any, ...]:
    """The steps of the pre-tokenizer, each with what decides."""
    first = parts["pre_tokenizer"] or {"type": "none"}
    steps = first["pretokenizers"] if first["type"] == "Sequence" else [first]
    return tuple(map(_step, steps))


def _step(step: dict[str, Any]) -> tuple[Any, ...]:
    kind = step["type"]
    if kind == "ByteLevel" and not step["add_prefix_space"]:
        return kind, step["use_regex"]
    if kind == "Digits":
        return kind, step["individual_digits"]
    if kind == "Split" and step["behavior"] == "Isolated" and not step["invert"]:
        return kind, step["pattern"].get("Regex")
    return kind, "in another way"


def _described(parts: dict[str, Any]) -> str:
    return f"{parts['model']['type']}, cut by {' and '.join(str(step[0]) for step in _steps(parts))}"


def make(plan: Plan, out: Path) -> dict[str, Any]:
    """Makes the file `out`: matrices in the plan's type, vectors in float32; returns the manifest in it.

    No more than one tensor is held, but to merge an adapter. Raises as `check` does.
    """
    if plan.alone:
        raise UsageError(f"{plan.source} is an adapter: give its model, and it as --adapter")
    config, tokenizer = check(plan.source)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as work:
        source = plan.source
        if plan.adapter is not None:
            source = Path(work)
            fill(plan, source)
        manifest = {
            "stage": "convert",
            "options": plan.options,
            "parent": {"model": plan.parent[0], "revision": plan.parent[1]},
            "inputs": plan.inputs,
            "versions": versions(),
            "metrics": {"parameters": weights_of(source).elements},
        }
        with writing(out), atomic.file(out):
            writer = library().GGUFWriter(str(atomic.draft_of(out)), config.model_type)
            try:
                _describe(writer, config, plan.dtype)
                writer.add_name(out.stem)
                license = license_of(plan.source)
                if license:
                    writer.add_license(license)
                writer.add_string(MANIFEST, json.dumps(manifest, default=str))
                _vocabulary(writer, tokenizer, config.vocab_size)
                _tensors(writer, source, config, plan.dtype)
            finally:
                writer.close()
    return manifest


def manifest_of(file: Path) -> dict[str, Any]:
    """What r1 wrote into a GGUF file of where it is from; {} where there is nothing of it."""
    field = library().GGUFReader(str(file)).fields.get(MANIFEST)
    return {} if field is None else dict(json.loads(field.contents()))


def _describe(writer: Any, config: Any, dtype: str) -> None:
    """The sizes of the model."""
    gguf = library()
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    kind = {"float32": "ALL_F32", "float16": "MOSTLY_F16", "bfloat16": "MOSTLY_BF16"}[dtype]
    writer.add_file_type(gguf.LlamaFileType[kind])
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.num_key_value_heads or heads)
    writer.add_key_length(width)
    writer.add_value_length(width)
    writer.add_rope_dimension_count(width)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)


def _vocabulary(writer: Any, tokenizer: Any, size: int) -> None:
    """The tokens, their merges, and which of them mean something to a program."""
    kinds = library().TokenType
    parts = json.loads(tokenizer.backend_tokenizer.to_str())
    tokens = [f"[PAD{index}]" for index in range(size)]  # rows of the matrix that no text leads to
    types = [kinds.UNUSED] * size
    for text, index in parts["model"]["vocab"].items():
        tokens[index], types[index] = text, kinds.NORMAL
    for added in parts["added_tokens"]:
        tokens[added["id"]] = added["content"]
        types[added["id"]] = kinds.CONTROL if added["special"] else kinds.USER_DEFINED
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in parts["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(cut_of(parts))
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    for name in ("bos", "eos", "unk", "pad"):
        index = getattr(tokenizer, f"{name}_token_id")
        if index is not None:
            getattr(writer, f"add_{name}_token_id")(index)
    begins = tokenizer.bos_token_id is not None and tokenizer("a")["input_ids"][0] == tokenizer.bos_token_id
    writer.add_add_bos_token(begins)
    if isinstance(tokenizer.chat_template, str):
        writer.add_chat_template(tokenizer.chat_template)


def _tensors(writer: Any, source: Path, config: Any, dtype: str) -> None:
    """The weights: first what each is, then, in the same order, their numbers."""
    gguf = library()
    types = gguf.GGMLQuantizationType
    matrix = types[{"float32": "F32", "float16": "F16", "bfloat16": "BF16"}[dtype]]
    kind = next(kind for kind, name in gguf.MODEL_ARCH_NAMES.items() if name == config.model_type)
    names = gguf.get_tensor_name_map(kind, config.num_hidden_layers)
    places: dict[str, tuple[str, Any]] = {}
    for name, tensor in weights.tensors_of(source):
        if (config.tie_word_embeddings and name == "lm_head.weight") or name.endswith("rotary_emb.inv_freq"):
            continue
        given = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if given is None:
            raise Unavailable(f"{source}: {name} has no place in a GGUF file; {OTHERS}")
        places[name] = given, matrix if tensor.ndim > 1 else types.F32
        size = tensor.numel() * (4 if places[name][1] == types.F32 else 2)
        writer.add_tensor_info(given, tuple(tensor.shape), None, size, raw_dtype=places[name][1])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    stored = ((name, tensor) for name, tensor in weights.tensors_of(source) if name in places)
    vectors = {name for name, (_, kind) in places.items() if kind == types.F32}
    for name, tensor in weights.cast(stored, "float16" if dtype == "float16" else "float32", vectors):
        if config.model_type == "llama" and name.endswith(("q_proj.weight", "k_proj.weight")):
            query = name.endswith("q_proj.weight")
            tensor = _interleaved(tensor, config.num_attention_heads if query else config.num_key_value_heads)
        writer.write_tensor_data(gguf.quants.quantize(tensor.contiguous().float().numpy(), places[name][1]))


def _interleaved(weight: Any, heads: int) -> Any:
    """The rows of each head with the halves that rotate together beside each other, as llama.cpp has them."""
    rows, columns = weight.shape
    halves = weight.reshape(heads, 2, rows // heads // 2, columns)
    return halves.transpose(1, 2).reshape(rows, columns)
