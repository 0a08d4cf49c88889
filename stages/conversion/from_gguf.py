"""A GGUF file as a checkpoint that can be trained.

Weights are dequantised, so the result is what the GGUF file computes, not what was quantised. Three
things that the usual loader leaves behind are put right: the quantisation entry of the configuration,
which no trainer accepts; the rule of how digits are cut, where the file asks for one token per digit; and a
padding token equal to the end token, which would hide the end from training.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.runtime.errors import BadInput, R1Error, Unavailable, naming, said

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NAME = "model.gguf"
REMEDY = "download or make the file again"
# llama.cpp's names of pre-tokenizers that cut each digit off, then split as GPT-2 does.
DIGITS_ALONE = frozenset({"smollm", "starcoder", "refact", "codeshell", "command-r"})


def write(file: Path, directory: Path, *, dtype: str, tie: bool, shard_size: float) -> int:
    """Fills `directory` with the model in `file`, and returns how many weights it has.

    `tie` shares one matrix between input and output; no file has more than `shard_size` GB. Raises BadInput
    for whatever is wrong with the file.
    """
    from stages.checkpoints.loading import hide_unneeded

    with _alone(file, directory) as folder, reading(file):
        hide_unneeded()
        described, tensors = metadata(file)
        _check_size(file, folder, tensors)
        tokenizer = _tokenizer(file, folder, described)
        model = _model(file, folder, dtype, tie)
    _end(model, tokenizer)
    model.save_pretrained(directory, max_shard_size=int(shard_size * 1e9))
    tokenizer.save_pretrained(directory)
    return sum(weight.numel() for weight in model.parameters())


def check(file: Path) -> None:
    """Raises StreamError where `file` cannot be read, BadInput where it is no GGUF file."""
    with naming("read", file), open(file, "rb") as stream:
        magic = stream.read(4)
    if magic != b"GGUF":
        raise BadInput(
            f"begins with {magic!r}, so it is no GGUF file",
            place=str(file),
            remedy="a Hugging Face directory needs no conversion",
        )


@contextlib.contextmanager
def reading(file: Path) -> Iterator[None]:
    """Raises BadInput for whatever the libraries find wrong with the file, by errors of all kinds."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tensors without elements, which are refused
            yield
    except (R1Error, MemoryError):
        raise
    except ImportError as error:
        raise Unavailable(f"cannot read {file}: {error}") from error
    except Exception as error:
        why = said(error)
        if "not enough memory" in why:  # torch's own
            raise MemoryError from error
        raise BadInput(f"cannot be read ({why[:200]})", place=str(file), remedy=REMEDY) from error


@contextlib.contextmanager
def _alone(file: Path, folder: Path) -> Iterator[str]:
    """The empty `folder` with the file in it: transformers would take in what else lies beside it."""
    link = folder / NAME
    link.symlink_to(file.resolve())
    yield str(folder)
    link.unlink()


def metadata(file: Path) -> tuple[dict[str, Any], list[int]]:
    """What the file says of itself (architecture, name, licence, pre-tokenizer), and its tensors' sizes."""
    try:
        from gguf import GGUFReader
    except ImportError:
        raise Unavailable("reading GGUF needs gguf", install="pip install gguf") from None
    reader = GGUFReader(str(file))
    fields = reader.fields
    tensors = [int(tensor.n_elements) for tensor in reader.tensors]
    wanted = {
        "architecture": "general.architecture",
        "name": "general.name",
        "license": "general.license",
        "pre_tokenizer": "tokenizer.ggml.pre",
    }
    described = {name: fields[key].contents() for name, key in wanted.items() if key in fields}
    return described, tensors


def _check_size(file: Path, folder: str, tensors: list[int]) -> None:
    """Raises BadInput where a larger model is described than the file holds, before it is laid out."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    config = AutoConfig.from_pretrained(folder, gguf_file=NAME, trust_remote_code=False)
    layers = config.get_text_config().num_hidden_layers
    if layers > len(tensors):
        raise BadInput(
            f"describes {layers} layers, and holds {len(tensors)} tensors",
            place=str(file),
            remedy=REMEDY,
        )
    automatic: Any = AutoModelForCausalLM
    with torch.device("meta"):
        model = automatic.from_config(config, trust_remote_code=False)
    size = sum(weight.numel() for weight in model.parameters())
    if size > 2 * sum(tensors):  # a matrix that input and output share may be described twice
        raise BadInput(
            f"describes a model of {size:,} weights, and holds {sum(tensors):,}",
            place=str(file),
            remedy=REMEDY,
        )


def _tokenizer(file: Path, folder: str, described: dict[str, Any]) -> PreTrainedTokenizerBase:
    """The tokenizer in the file, with its own way to cut digits and a padding token of its own."""
    from tokenizers import pre_tokenizers
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=NAME, trust_remote_code=False)
    if described.get("pre_tokenizer") in DIGITS_ALONE:
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True),
            ]
        )
    tokenizer.clean_up_tokenization_spaces = False
    if tokenizer.eos_token is None:
        raise BadInput("its tokenizer names no end token, so nothing it writes would end", place=str(file))
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
    raise BadInput("its tokenizer has no special token to pad with besides its end token")


def _model(file: Path, folder: str, dtype: str, tie: bool) -> Any:
    """The dequantised model, in the memory of this machine."""
    import torch
    from transformers import AutoModelForCausalLM, modeling_gguf_pytorch_utils
    from transformers.utils import logging

    from stages.checkpoints.loading import refuse_gaps

    quiet: Any = logging.set_verbosity_error
    quiet()  # what it would warn of is said in one line of ours
    gguf: Any = modeling_gguf_pytorch_utils
    gguf.tqdm = lambda tensors, **_: tensors  # a bar without a line end, where an error may follow
    automatic: Any = AutoModelForCausalLM
    model, info = automatic.from_pretrained(
        folder,
        gguf_file=NAME,
        dtype=getattr(torch, dtype),
        trust_remote_code=False,
        ignore_mismatched_sizes=True,
        output_loading_info=True,
    )
    refuse_gaps(str(file), info, remedy=REMEDY)
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
