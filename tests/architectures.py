"""Every causal language model that transformers registers, made small with random weights, for tests and the
sweep.

`python tests/architectures.py [KIND ...]` holds each against transformers alone and writes the table in
docs/models.md.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import math
import re
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

from stages.checkpoints.loading import hide_unneeded
from stages.inference.interface import Completion, Request
from stages.inference.transformers.backend import TransformersBackend
from stages.inference.transformers.execution import execution_of, packing
from stages.inference.transformers.native import call
from stages.records.templates import Rendered
from stages.runtime.errors import R1Error, Unavailable
from stages.settings.groups import Engine, Lora, Sampling
from stages.training.policy import Policy
from stages.training.rows import Sample, rows

VOCABULARY = 99
WINDOW, ORIGINAL = 24, 40  # as short as windows and the first range of a long rope are made here
DECODED, DRAWN = 100, 40  # tokens
CLOSE = 1e-4
LARGEST = 2e7  # weights
SIZES: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "embed_dim", "embedding_size"), 32),
    **dict.fromkeys(("embedding_dim", "emb_dim", "dim_model", "attention_hidden_size"), 32),
    "hidden_size_global": 32,
    **dict.fromkeys(
        ("intermediate_size", "ffn_dim", "ffn_hidden_size", "d_ff", "n_inner", "dff", "dim_ff",
         "decoder_ffn_dim", "encoder_ffn_dim", "shared_intermediate_size"), 48),
    **dict.fromkeys(
        ("moe_intermediate_size", "shared_expert_intermediate_size",
         "moe_shared_expert_intermediate_size", "router_hidden_size"), 24),
    **dict.fromkeys(
        ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_blocks"), 4),
    **dict.fromkeys(("decoder_layers", "encoder_layers", "num_decoder_layers"), 2), "depth": 1,
    **dict.fromkeys(
        ("num_attention_heads", "n_head", "n_heads", "num_heads", "decoder_attention_heads",
         "encoder_attention_heads", "num_decoder_attention_heads"), 4),
    **dict.fromkeys(("head_dim", "kv_channels", "v_head_dim", "qk_nope_head_dim"), 8),
    **dict.fromkeys(
        ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "model_max_length",
         "max_sequence_length"), 256),
    "kv_lora_rank": 16, "q_lora_rank": 16, "qk_rope_head_dim": 4,
    "index_head_dim": 8, "index_n_heads": 2,
    **dict.fromkeys(
        ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"), 4),
    **dict.fromkeys(
        ("num_experts_per_tok", "moe_k", "moe_topk", "num_experts_per_token"), 2),
    "n_group": 1, "topk_group": 1,
    **dict.fromkeys(("state_size", "mamba_d_state", "ssm_state_size"), 8),
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8,
    "linear_value_head_dim": 8, "linear_head_dim": 8, "linear_num_heads": 4,
    **dict.fromkeys(("mamba_n_heads", "mamba_d_head", "mamba_num_heads", "mamba_head_dim"), 8),
    "mamba_n_groups": 1, "n_groups": 1, "mamba_chunk_size": 16, "chunk_size": 16,
    "mamba_d_ssm": 64, "time_step_rank": 4, "mamba_dt_rank": 4,
    "vocab_size": VOCABULARY, "vocab_size_per_layer_input": VOCABULARY,
    "hidden_size_per_layer_input": 8,
    "layer_norm_eps": 1e-5, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 0,
    "is_decoder": True,
    "use_sliding_window": True, "max_window_layers": 2,
    "window_size": WINDOW, "attention_window_size": WINDOW, "attention_chunk_size": WINDOW,
}  # fmt: skip
CONV = ["conv", "full_attention"] * 2
LINEAR = ["linear_attention", "full_attention"] * 2
SLIDING = ["sliding_attention", "full_attention"] * 2
TEXT = {
    "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4,
    "vocab_size": VOCABULARY,
}  # fmt: skip
ASSISTANT = {
    "text_config": {**TEXT, "num_key_value_heads": 2, "head_dim": 8, "hidden_size_per_layer_input": 0,
                    "vocab_size_per_layer_input": 0, "layer_types": SLIDING, "per_layer_config": {}},
    "backbone_hidden_size": 32,
}  # fmt: skip
MUSIC = {
    "text_encoder": {"model_type": "t5", "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2,
                     "num_heads": 4, "vocab_size": VOCABULARY},
    "audio_encoder": {"model_type": "encodec", "hidden_size": 16, "num_filters": 2,
                      "codebook_size": 16, "codebook_dim": 16},
    "decoder": {**TEXT, "ffn_dim": 48, "pad_token_id": 1, "bos_token_id": 0},
}  # fmt: skip
# What a kind needs besides.
MORE: dict[str, dict[str, Any]] = {
    "bamba": {"attn_layer_indices": [1, 3]},
    "blt": {"encoder_hash_byte_group_vocab": 50},
    "codegen": {"rotary_dim": 4},
    "cohere_compass_text": {"layer_types": SLIDING, "rope_parameters": {
        name: {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]}
        for name in set(SLIDING)}},
    "dbrx": {"attn_config": {"kv_n_heads": 2, "rope_theta": 1e4, "clip_qkv": 8},
             "ffn_config": {"hidden_size": 32, "ffn_hidden_size": 48, "moe_top_k": 2}},
    "dots1": {"n_shared_experts": 1},
    "gemma3n_text": {"num_kv_shared_layers": 2, "layer_types": SLIDING, "intermediate_size": 48,
                     "activation_sparsity_pattern": [0.0] * 4, "laurel_rank": 4},
    "gemma4_text": {"layer_types": SLIDING, "per_layer_config": {}, "num_experts": None},
    "gemma4_assistant": ASSISTANT,
    "gemma4_unified_assistant": ASSISTANT,
    "gemma4_unified_vision": {"patch_size": 2, "mm_embed_dim": 32, "mm_posemb_size": 4,
                              "output_proj_dims": 32},
    "emu3": {"vocabulary_map": {"<image>": 5}},
    "emu3_vqgan": {"base_channels": 32, "channel_multiplier": [1, 1], "attn_resolutions": [],
                   "num_res_blocks": 1, "codebook_size": 32, "hidden_size": 32},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]]},
    "gptj": {"rotary_dim": 4},
    "granitemoehybrid": {"layer_types": LINEAR},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
    "kimi_linear": {"layer_types": LINEAR, "mlp_layer_types": ["dense", "sparse"] * 2,
                    "num_key_value_heads": 4, "q_lora_rank": None},
    "lfm2": {"layer_types": CONV, "block_auto_adjust_ff_dim": False},
    "lfm2_moe": {"layer_types": CONV},
    "mamba2": {"num_heads": 8},
    "mistral": {"sliding_window": WINDOW},
    "minicpm3": {"num_key_value_heads": 4},
    "musicgen": MUSIC,
    "musicgen_melody": MUSIC,
    "qwen4_exp_text": {"indexer_n_heads": 2, "indexer_kv_heads": 1, "indexer_head_dim": 8,
                       "indexer_budget": 256, "indexer_compress_ratio": 4, "hc_lowrank": 8},
    "roc_bert": {"pronunciation_vocab_size": 99, "shape_vocab_size": 99,
                 "pronunciation_embed_dim": 8, "shape_embed_dim": 8},
    "reformer": {"axial_pos_shape": [16, 16], "axial_pos_embds_dim": [16, 16],
                 "attention_head_size": 8, "feed_forward_size": 48, "lsh_attn_chunk_length": 16,
                 "local_attn_chunk_length": 16},
    "xlm": {"causal": True},
    "xlstm": {"qk_dim_factor": 1.0, "chunk_size": 64},
    "zamba": {"attention_head_dim": 16, "layers_block_type": ["linear_attention", "hybrid"] * 2,
              "attention_hidden_size": 64, "mamba_dt_rank": 4},
    "zamba2": {"layers_block_type": ["linear_attention", "hybrid"] * 2, "mamba_headdim": 8,
               "n_mamba_heads": 8, "attention_hidden_size": 64, "attention_head_dim": 16,
               "num_query_groups": 4, "num_key_value_heads": 4},
    "zaya": {"num_experts_per_tok": 1},
}  # fmt: skip
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 1e4,
    "original_max_position_embeddings": ORIGINAL,
    "short_factor": [1.0] * 4,
    "long_factor": [2.0, 3.0, 4.0, 6.0],
}
# Kinds of one family whose settings make another way through the code, beside those that transformers names.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "phi3:longrope": ("phi3", {
        "rope_parameters": LONGROPE, "original_max_position_embeddings": ORIGINAL}),
    "phimoe:longrope": ("phimoe", {
        "rope_parameters": {**LONGROPE, "short_mscale": 1.0, "long_mscale": 1.2},
        "original_max_position_embeddings": ORIGINAL}),
    "llama:longrope": ("llama", {"rope_parameters": LONGROPE}),
    "llama:dynamic": ("llama", {
        "rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}}),
    "llama:yarn": ("llama", {
        "rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0,
                            "original_max_position_embeddings": 64}}),
    "falcon:alibi": ("falcon", {"alibi": True}),
    "phi3:window": ("phi3", {"sliding_window": WINDOW}),
    "phimoe:window": ("phimoe", {"sliding_window": WINDOW}),
    "doge:ranked": ("doge", {"keep_window_size": 64}),
    "qwen4_exp_text:ranked": ("qwen4_exp_text", {"indexer_budget": 64}),
    "qwen4_exp_text:ngrams": ("qwen4_exp_text", {
        "ple_layer_ids": [1, 3], "heads_per_ngram": 2, "ngram_vocab_size_base": 50,
        "split_ngram_parts": 1, "eos_token_id": VOCABULARY - 1}),
    "minimax_m3_vl_text:ranked": ("minimax_m3_vl_text", {
        "layer_types": ["full_attention", "minimax_m3_sparse"] * 2, "index_n_heads": 2,
        "index_block_size": 16, "index_topk_blocks": 4}),
}  # fmt: skip


def kinds() -> list[str]:
    """Names of all causal language models in transformers, and of the variants above."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return [*MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, *VARIANTS]


def small(kind: str, seed: int = 3) -> Any:
    """A model of this kind with a few thousand weights, so large that attention matters.

    Raises what transformers raises where it cannot be made from a configuration alone.
    """
    hide_unneeded()
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM, AutoModelForImageTextToText
    from transformers import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING as WHOLE

    base, extra = VARIANTS.get(kind, (kind, {}))
    config = _config(CONFIG_MAPPING[base], {**MORE.get(base, {}), **extra})
    with torch.device("meta"):
        planned = AutoModelForCausalLM.from_config(config)
        # Of these kinds people have checkpoints of the whole model, of which this is the part for text.
        whole = planned.config.model_type != base and type(config) in WHOLE
        automatic = AutoModelForImageTextToText if whole else AutoModelForCausalLM
        planned = automatic.from_config(config)
    size = sum(p.numel() for p in planned.parameters())
    if size > LARGEST:
        large = max(planned.named_parameters(), key=lambda each: each[1].numel())
        raise ValueError(f"it stays large: {size:,} weights, {large[0]} {tuple(large[1].shape)}")
    torch.manual_seed(seed)
    model = automatic.from_config(config).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if weight.ndim > 1 and "conv" not in name:
                weight.copy_(noise / math.sqrt(weight.shape[-1]))
            elif not weight.any():  # a bias that would hide what it changes
                weight.copy_(noise / 8)
    return model


def _config(kind: Any, more: dict[str, Any]) -> Any:
    more = copy.deepcopy(more)  # kinds take what they are given apart
    if getattr(kind, "has_no_defaults_at_init", False):
        return kind(**more)
    usual = kind()
    known = {*usual.to_dict(), *inspect.signature(kind.__init__).parameters}
    known |= set(getattr(kind, "attribute_map", {}))
    given = {name: value for name, value in SIZES.items() if name in known}
    for name in ("is_decoder", "use_sliding_window", "window_size", "attention_window_size"):
        if not hasattr(usual, name):
            given.pop(name, None)
    if isinstance(getattr(usual, "window_size", 0), (list, tuple)):
        given.pop("window_size", None)
    if "num_key_value_heads" in known:
        alike = getattr(usual, "num_key_value_heads", 0) == getattr(usual, "num_attention_heads", 1)
        given["num_key_value_heads"] = 4 if alike else 2
    windowed = getattr(usual, "sliding_window", None) or hasattr(usual, "use_sliding_window")
    if "sliding_window" in known and windowed:
        given["sliding_window"] = WINDOW
    if getattr(usual, "kv_lora_rank", None):
        given["head_dim"] = 4
    for name, part in getattr(kind, "sub_configs", {}).items():
        with contextlib.suppress(Exception):  # some have parts of any kind, which text needs not
            one = part if "Auto" not in part.__name__ else type(getattr(usual, name))
            given[name] = _config(one, MORE.get(one.model_type, {}))
    return kind(**{**given, **more})


class Letters:
    """A tokenizer of numbers: what a backend asks one for, and no more."""

    eos_token_id = VOCABULARY - 1
    chat_template = None
    added_tokens_decoder: ClassVar[dict[int, str]] = {}

    def __call__(self, text: str, **_: Any) -> dict[str, list[int]]:
        return {"input_ids": [int(word) if word.isdigit() else 2 for word in text.split()]}

    def decode(self, ids: list[int]) -> str:
        return "".join(f" {token}" for token in ids)


@dataclass
class Verdict:
    """What was found of a kind: `right`, `refused`, `WRONG` or `not made`; the largest gaps.

    `gap` is that between what the sampler said of tokens it drew and what the trainer says.
    """

    kind: str
    state: str
    path: str = ""
    logits: float = 0.0
    gradient: float = 0.0
    decoding: str = ""
    gap: float = 0.0
    said: str = ""
    seconds: float = 0.0


def hold(kind: str) -> Verdict:
    """One kind, through the program's own sampler and trainer, against transformers alone."""
    started = time.perf_counter()
    try:
        model = small(kind)
    except Exception as error:
        model, why = None, f"{type(error).__name__}: {' '.join(str(error).split())[:110]}"
    folder = Path(tempfile.mkdtemp())
    try:
        verdict = _refusal(kind, folder, why) if model is None else _held(kind, model, folder)
    finally:
        shutil.rmtree(folder)
    verdict.seconds = time.perf_counter() - started
    return verdict


def _refusal(kind: str, folder: Path, why: str) -> Verdict:
    """What the program says of a kind that transformers does not build from its configuration."""
    from safetensors.torch import save_file
    from transformers import CONFIG_MAPPING

    try:
        base, extra = VARIANTS.get(kind, (kind, {}))
        _config(CONFIG_MAPPING[base], {**MORE.get(base, {}), **extra}).save_pretrained(folder)
        weights = {f"weight.{i}": torch.zeros(1 << 14) for i in range(100)}
        save_file(weights, folder / "model.safetensors", {"format": "pt"})
        Policy(str(folder), Engine(device="cpu", threads=1), Lora())
    except Unavailable as error:
        return Verdict(kind, "refused", said=str(error).replace(str(folder), "it"))
    except Exception as error:
        why += f"; {type(error).__name__}: {' '.join(str(error).split())[:110]}"
    return Verdict(kind, "not made", said=why)


def _held(kind: str, model: Any, folder: Path) -> Verdict:
    model.generation_config = type(model.generation_config)(eos_token_id=VOCABULARY - 1)
    try:
        model.save_pretrained(folder)
    except Exception as error:  # as above
        said = f"not saved: {type(error).__name__}: {' '.join(str(error).split())[:100]}"
        return Verdict(kind, "not made", said=said)
    try:
        policy = Policy(str(folder), Engine(device="cpu", threads=1), Lora())
    except R1Error as error:
        said = str(error).replace(str(folder), "it")
        return Verdict(kind, "refused" if isinstance(error, Unavailable) else "WRONG", said=said)
    execution = execution_of(policy.unwrapped)
    path = "flat rows" if execution.flat else f"own code, {'cached' if execution.cached else 'no cache'}"
    verdict = Verdict(kind, "right", path)
    if not execution.flat:
        verdict.said = execution.why
    from transformers import AutoModelForCausalLM

    reference = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(2, VOCABULARY - 1, (230,), generator=generator).tolist()
    samples = [
        Sample(ids[:20], ids[20:50], [1.0] * 30, group="a"),  # past the window and the rope's border
        Sample(ids[:20], ids[50:58], [0.5] * 8, group="a"),
        Sample(ids[60:64], ids[64:70], [2.0] * 6, group="b"),
        Sample(ids[70:120], ids[120:135], [1.0] * 15, group="c"),
    ]
    verdict.logits, verdict.gradient = _learned(policy, reference, samples)
    if type(model) is not type(reference):
        verdict.logits = max(verdict.logits, _apart(model, reference, ids[:60]))
    verdict.decoding = _decoded(policy, reference, ids)
    verdict.gap = _gap(policy, ids)
    right = max(verdict.logits, verdict.gradient, verdict.gap) <= CLOSE and verdict.decoding.startswith(
        "equal"
    )
    verdict.state = "right" if right else "WRONG"
    return verdict


def _learned(policy: Policy, reference: Any, samples: list[Sample]) -> tuple[float, float]:
    """The largest gaps of log-probabilities, and of gradients as a share of the whole gradient's norm."""
    wanted_loss, wanted = torch.zeros(()), []
    for sample in samples:
        row = torch.tensor([[*sample.prompt_ids, *sample.completion_ids]])
        logits = call(reference, row, use_cache=False).logits[0, len(sample.prompt_ids) - 1 : -1]
        targets = torch.tensor(sample.completion_ids)
        logp = logits.log_softmax(-1).gather(-1, targets[:, None])[:, 0]
        wanted.append(logp.detach())
        wanted_loss = wanted_loss - (torch.tensor(sample.weight) * logp).sum() / 60
    wanted_loss.backward()
    gap, place = 0.0, 0
    for row in rows(samples, 200, packing=packing([policy.unwrapped])):
        logp, _ = policy.logprobs(row)
        many = len(row.samples)
        gap = max(gap, float((logp.detach() - torch.cat(wanted[place : place + many])).abs().max()))
        place += many
        (-(row.weight * logp).sum() / 60).backward()
    own = dict(policy.unwrapped.named_parameters())
    difference = total = 0.0
    for name, weight in reference.named_parameters():
        one = torch.zeros_like(weight) if weight.grad is None else weight.grad
        other = own[name].grad
        other = torch.zeros_like(one) if other is None else other
        difference = max(difference, float((one - other).norm()))
        total += float(one.norm()) ** 2
    return gap, difference / math.sqrt(total)


@torch.no_grad()
def _apart(model: Any, reference: Any, ids: list[int]) -> float:
    """How far a whole model's text is from that of its part, which is read from the same checkpoint."""
    model.set_attn_implementation("eager")
    one, two = (
        call(each, torch.tensor([ids]), use_cache=False).logits[0].log_softmax(-1)
        for each in (model, reference)
    )
    return float((one - two).abs().max())


def _generated(policy: Policy, ids: list[int], sampling: Sampling) -> tuple[list[Completion], int]:
    """Two completions each of three prompts, made together; the longest sequence there can be."""
    backend = TransformersBackend(policy.unwrapped, Letters(), Engine(device="cpu", threads=1))
    prompts = [ids[:20], ids[60:64], ids[70:120]]
    requests = [
        Request(i, Rendered(" ".join(map(str, prompt)), (), "", ()), (0, 1), (2 * i + 1, 2 * i + 2))
        for i, prompt in enumerate(prompts)
    ]
    return [c for c in backend.generate(requests, sampling) if c], backend.limit


@torch.no_grad()
def _gap(policy: Policy, ids: list[int]) -> float:
    """The largest difference of a drawn token's log-probability, the sampler's from the trainer's."""
    made, _ = _generated(policy, ids, Sampling(max_tokens=DRAWN, temperature=1))
    samples = [
        Sample(c.prompt_ids, c.completion_ids, [1.0] * len(c.completion_ids), 0.0,
               [math.nan if p is None else p for p in c.logprobs], group=str(c.key))
        for c in made
    ]  # fmt: skip
    worst = 0.0
    for row in rows(samples, 200, packing=packing([policy.unwrapped], drawn=True)):
        logp, _ = policy.logprobs(row)
        assert row.old_logp is not None
        worst = max(worst, float((logp - row.old_logp).abs().max()))
    return worst


@torch.no_grad()
def _decoded(policy: Policy, reference: Any, ids: list[int]) -> str:
    """Greedy text of two samples each of three prompts together, against each alone without a cache."""
    made, limit = _generated(policy, ids, Sampling(max_tokens=DECODED, temperature=0))
    if limit < len(ids):
        return _off(reference, made[0]) or f"equal up to {limit}"
    if len(made) != 6:
        return f"{len(made)} completions of 6"
    texts = {c.key: [*c.prompt_ids, *c.completion_ids] for c in made}
    if any(texts[c.key] != [*c.prompt_ids, *c.completion_ids] for c in made):
        return "two samples differ"
    for completion in made:
        if completion.sample == 0 and (why := _off(reference, completion)):
            return why
    return "equal"


def _off(reference: Any, completion: Completion) -> str:
    """How a completion differs from what is likeliest after each of its tokens; empty where it does not."""
    start, text = len(completion.prompt_ids), completion.prompt_ids + completion.completion_ids
    whole = call(reference, torch.tensor([text]), use_cache=False).logits[0].log_softmax(-1)
    for step, (token, logp) in enumerate(zip(completion.completion_ids, completion.logprobs, strict=True)):
        wanted = whole[start + step - 1]
        if not _same(wanted, token, logp):  # it may depend on what follows, as with a long rope
            alone = torch.tensor([text[: start + step]])
            wanted = call(reference, alone, use_cache=False).logits[0, -1].log_softmax(-1)
        if not _same(wanted, token, logp):
            gap = max(abs(float(wanted[token]) - float(logp or 0)), float(wanted.max() - wanted[token]))
            return f"{gap:.1g} off at {step}"
    return ""


def _same(wanted: torch.Tensor, token: int, logp: float | None) -> bool:
    gap = abs(float(wanted[token]) - float(logp or 0.0))
    return gap <= CLOSE and float(wanted.max() - wanted[token]) <= CLOSE


def table(verdicts: list[Verdict]) -> str:
    """The verdicts as Markdown."""
    lines = [
        "| model type | | path | log-prob. | gradient | decoding | gap | why |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for v in verdicts:
        figures = (f"{v.logits:.0e}", f"{v.gradient:.0e}", v.decoding, f"{v.gap:.0e}")
        figures = figures if v.path else ("",) * len(figures)
        lines.append("| " + " | ".join([v.kind, v.state, v.path, *figures, v.said.replace("|", "/")]) + " |")
    return "\n".join(lines)


def main(wanted: list[str]) -> None:
    torch.set_num_threads(1)
    verdicts = []
    for kind in wanted or kinds():
        verdict = hold(kind)
        verdicts.append(verdict)
        print(verdict, flush=True)
    counts = {
        state: sum(v.state == state for v in verdicts) for state in ("right", "refused", "not made", "WRONG")
    }
    print(counts)
    if not wanted:
        page = Path(__file__).parents[1] / "docs" / "models.md"
        text = page.read_text("utf-8")
        whole = re.sub(
            r"(?s)(<!-- sweep -->\n).*(\n<!-- end of sweep -->)",
            lambda found: found[1] + table(verdicts) + found[2],
            text,
        )
        page.write_text(whole, "utf-8")
    sys.exit(bool(counts["WRONG"]))


if __name__ == "__main__":
    main(sys.argv[1:])
