"""Turn a GGUF file into a plain Hugging Face directory that can be trained.

Weights are dequantised, so the result is what the GGUF file computes, not what was quantised. Three
things that the usual loader leaves behind are put right: the quantisation entry of the configuration,
which no trainer accepts; the rule of how digits are cut, where the file asks for one token per digit; and a
padding token equal to the end token, which would hide the end from training.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from stages.data.checkpoint import Checkpoint, appearing, refuse_existing, write_manifest
from stages.data.errors import BadInput, StreamError, Unavailable, UsageError
from stages.data.options import Doc, Flag
from stages.data.report import SILENT, Report

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

EXAMPLES = (
    "r1 convert SmolLM2-135M-Instruct.Q4_1.gguf -o ckpt/smollm2",
    "r1 convert qwen2.5-1.5b-instruct-q4_k_m.gguf -o ckpt/qwen --dtype bfloat16 --tie",
)

# llama.cpp's names of pre-tokenizers that cut each digit off, then split as GPT-2 does.
DIGITS_ALONE = frozenset({"smollm", "starcoder", "refact", "codeshell", "command-r"})


def run(
    file: Annotated[Path, Doc("The .gguf file.")],
    *,
    out: Annotated[Path, Doc("Directory to make."), Flag("-o", "--out")],
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"],
        Doc("What the weights are kept in; float32 keeps all that the file holds."),
    ] = "float32",
    tie: Annotated[
        bool,
        Doc(
            "Share one matrix between input and output, for a model that did before it was quantised."
        ),
    ] = False,
    report: Report = SILENT,
) -> Checkpoint:
    """Reads `file`, writes `out`. Raises UsageError where `out` exists, BadInput for no GGUF."""
    refuse_existing(out)
    _check(file)
    described = _metadata(file)
    tokenizer = _tokenizer(file, described)
    model = _model(file, dtype, tie)
    _end(model, tokenizer)
    parameters = sum(weight.numel() for weight in model.parameters())
    with appearing(out) as directory:
        model.save_pretrained(directory)
        tokenizer.save_pretrained(directory)
        manifest = write_manifest(
            directory,
            stage="convert",
            options={"dtype": dtype, "tie": tie},
            parent=None,
            inputs={"file": file.name, "bytes": file.stat().st_size, **described},
            metrics={"parameters": parameters},
        )
    report.summary(f"{file.name} → {out}: {parameters / 1e6:.1f}M parameters in {dtype}")
    return Checkpoint(out, manifest)


def _check(file: Path) -> None:
    try:
        with open(file, "rb") as stream:
            magic = stream.read(4)
    except OSError as error:
        raise StreamError(f"cannot read {file}: {error.strerror or error}") from error
    if magic != b"GGUF":
        raise BadInput(
            f"begins with {magic!r}, so it is no GGUF file",
            place=str(file),
            remedy="a Hugging Face directory needs no conversion",
        )


def _metadata(file: Path) -> dict[str, Any]:
    """What the file says of itself: architecture, name, licence, pre-tokenizer."""
    try:
        from gguf import GGUFReader
    except ImportError:
        raise Unavailable("reading GGUF needs gguf", install="pip install gguf") from None
    fields = GGUFReader(str(file)).fields
    wanted = {
        "architecture": "general.architecture",
        "name": "general.name",
        "license": "general.license",
        "pre_tokenizer": "tokenizer.ggml.pre",
    }
    return {name: fields[key].contents() for name, key in wanted.items() if key in fields}


def _tokenizer(file: Path, described: dict[str, Any]) -> PreTrainedTokenizerBase:
    """The tokenizer in the file, with its own way to cut digits and a padding token of its own."""
    from tokenizers import pre_tokenizers

    from stages.inference.loading import hide_broken_media

    hide_broken_media()
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(file.parent), gguf_file=file.name)
    if described.get("pre_tokenizer") in DIGITS_ALONE:
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True),
            ]
        )
    tokenizer.clean_up_tokenization_spaces = False
    if tokenizer.eos_token is None:
        raise UsageError(
            f"{file}: its tokenizer names no end token, so nothing it writes would end"
        )
    if tokenizer.pad_token in (None, tokenizer.eos_token):
        tokenizer.pad_token = _padding(tokenizer)
    return tokenizer


def _padding(tokenizer: PreTrainedTokenizerBase) -> str:
    """A special token, other than the end, that no text or chat template makes."""
    template = str(tokenizer.chat_template or "")
    vocabulary = tokenizer.get_vocab()
    spare = [tokenizer.unk_token, "<|endoftext|>", "<pad>", "<unk>"]
    specials = [str(token) for token in tokenizer.added_tokens_decoder.values() if token.special]
    for token in [*spare, *sorted(specials, key=lambda name: vocabulary[name])]:
        if token in vocabulary and token != tokenizer.eos_token and str(token) not in template:
            return str(token)
    raise UsageError("the tokenizer has no special token to pad with besides its end token")


def _model(file: Path, dtype: str, tie: bool) -> Any:
    """The dequantised model, in the memory of this machine."""
    import torch

    from stages.inference.loading import hide_broken_media

    hide_broken_media()
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(
        str(file.parent), gguf_file=file.name, dtype=getattr(torch, dtype)
    )
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    # Else save_pretrained refuses: it takes the plain weights for packed ones.
    model.hf_quantizer = None
    if tie:
        model.config.tie_word_embeddings = True
        model.get_output_embeddings().weight = model.get_input_embeddings().weight
    return model


def _end(model: Any, tokenizer: PreTrainedTokenizerBase) -> None:
    """Makes configuration and generation agree with the tokenizer on start, end and padding."""
    model.config.__dict__.pop("_model_name_or_path", None)
    model.generation_config._from_model_config = False
    for config in (model.config, model.generation_config):
        config.bos_token_id = tokenizer.bos_token_id
        config.eos_token_id = tokenizer.eos_token_id
        config.pad_token_id = tokenizer.pad_token_id
