"""A checkpoint as others take it: other types and files, adapters, GGUF, a model card, the hub."""

from __future__ import annotations

import base64
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from stages import convert, grpo
from stages.checkpoints.template import choose_template
from stages.conversion import card
from stages.convert import Sharing
from stages.inference.transformers.model import load_model
from stages.records.record import Record
from stages.runtime.errors import R1Error, Unavailable, UsageError
from stages.settings.evaluation import Evaluation
from stages.settings.groups import Engine, Lora, Optimizer, Sampling, Saving

CPU = Engine(device="cpu", threads=1)
TEXT = "He's 12345 years, é漢\n\n  x = 3.14 <think> WE'LL"
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
REGEX = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def tokenizer(cut: str) -> Any:
    """Bytes and a few merges, cut as llama.cpp's `cut`; `<think>` is one token."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "12", "34", "Ġx", "'s", "12Ġ", "ĠĠ"]
    merges = [("1", "2"), ("3", "4"), ("Ġ", "x"), ("'", "s"), ("Ġ", "Ġ")]
    made = Tokenizer(models.BPE({letter: i for i, letter in enumerate([*SPECIAL, *letters])}, merges))
    bytes_of = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=cut in ("gpt-2", "smollm"))
    before: list[Any] = {
        "gpt-2": [],
        "smollm": [pre_tokenizers.Digits(individual_digits=True)],
        "qwen2": [pre_tokenizers.Split(Regex(REGEX % ""), "isolated")],
        "llama-bpe": [pre_tokenizers.Split(Regex(REGEX % "{1,3}"), "isolated")],
    }[cut]
    made.pre_tokenizer = pre_tokenizers.Sequence([*before, bytes_of]) if before else bytes_of
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(text, special=True) for text in SPECIAL])
    made.add_tokens([AddedToken("<think>", normalized=False)])
    whole = PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token=SPECIAL[2], bos_token=SPECIAL[1], pad_token=SPECIAL[0]
    )
    whole.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    return whole


def checkpoint(folder: Path, kind: str, cut: str = "gpt-2", **more: Any) -> Path:
    """A model of this kind with random weights and room for more tokens than it has."""
    import transformers

    name = {"llama": "Llama", "qwen2": "Qwen2", "qwen3": "Qwen3", "mistral": "Mistral"}[kind]
    sizes = {
        "vocab_size": 288, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128,
        "rms_norm_eps": 1e-5, "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2,
        "pad_token_id": 0, "initializer_range": 0.3,
    }  # fmt: skip
    if kind == "qwen3":
        sizes["head_dim"] = 128  # what transformers takes it to be in a file
    torch.manual_seed(3)
    config = getattr(transformers, f"{name}Config")(**{**sizes, **more})
    model = getattr(transformers, f"{name}ForCausalLM")(config)
    for weight in model.parameters():  # norms and biases that matter
        if weight.ndim == 1:
            torch.nn.init.uniform_(weight, 0.5, 1.5)
    model.save_pretrained(folder)
    tokenizer(cut).save_pretrained(folder)
    return folder


def logits(model: Any) -> torch.Tensor:
    ids = torch.arange(3, 259).view(4, 64)
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=ids).logits
    return found


@pytest.mark.parametrize(
    ("kind", "cut", "tied"), [("llama", "smollm", True), ("qwen2", "qwen2", False), ("qwen3", "qwen2", True)]
)
def test_a_gguf_file_has_the_logits_of_the_checkpoint(
    kind: str, cut: str, tied: bool, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    source = checkpoint(tmp_path / "model", kind, cut, tie_word_embeddings=tied)
    convert.run(source, out=tmp_path / "a.gguf")
    wanted = logits(AutoModelForCausalLM.from_pretrained(source))
    found = logits(AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="a.gguf", dtype=torch.float32))
    assert (found - wanted).abs().max() < 1e-5
    convert.run(tmp_path / "a.gguf", out=tmp_path / "back")
    before, after = load_file(source / "model.safetensors"), load_file(tmp_path / "back/model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_gguf_file_rounds_matrices_and_keeps_vectors(dtype: str, tmp_path: Path) -> None:
    from gguf import GGUFReader, dequantize

    source = checkpoint(tmp_path / "model", "qwen2", "qwen2")
    convert.run(source, out=tmp_path / "a.gguf", dtype=dtype)  # type: ignore[arg-type]
    weights = load_file(source / "model.safetensors")
    found = {
        tensor.name: torch.tensor(dequantize(tensor.data, tensor.tensor_type))
        for tensor in GGUFReader(str(tmp_path / "a.gguf")).tensors
    }
    assert len(found) == len(weights)
    down, norm = weights["model.layers.1.mlp.down_proj.weight"], weights["model.norm.weight"]
    assert torch.equal(found["blk.1.ffn_down.weight"], down.to(getattr(torch, dtype)).float())
    assert torch.equal(found["output_norm.weight"], norm)
    assert torch.equal(found["blk.0.attn_q.bias"], weights["model.layers.0.self_attn.q_proj.bias"])


@pytest.mark.parametrize("cut", ["gpt-2", "smollm", "qwen2", "llama-bpe"])
def test_a_gguf_file_says_how_text_is_cut(cut: str, tmp_path: Path) -> None:
    from gguf import GGUFReader, TokenType

    source = checkpoint(tmp_path / "model", "llama", cut, num_hidden_layers=1)
    convert.run(source, out=tmp_path / "a.gguf")
    fields = GGUFReader(str(tmp_path / "a.gguf")).fields
    assert fields["tokenizer.ggml.pre"].contents() == cut
    assert fields["tokenizer.ggml.eos_token_id"].contents() == 2
    assert fields["tokenizer.ggml.add_bos_token"].contents() is False
    assert fields["tokenizer.chat_template"].contents() == tokenizer(cut).chat_template
    tokens, types = fields["tokenizer.ggml.tokens"].contents(), fields["tokenizer.ggml.token_type"].contents()
    whole = tokenizer(cut)
    assert len(tokens) == 288
    assert types[:3] == [TokenType.CONTROL] * 3
    assert types[whole.convert_tokens_to_ids("<think>")] == TokenType.USER_DEFINED
    assert types[len(whole) :] == [TokenType.UNUSED] * (288 - len(whole))
    if cut in ("smollm", "qwen2"):  # of which the reader knows more than the tokens
        convert.run(tmp_path / "a.gguf", out=tmp_path / "back")
        from transformers import AutoTokenizer

        back = AutoTokenizer.from_pretrained(tmp_path / "back")
        if cut == "smollm":
            assert back(TEXT)["input_ids"] == whole(TEXT)["input_ids"]
        assert back.convert_ids_to_tokens(range(len(whole))) == tokens[: len(whole)]


def test_what_gguf_cannot_say_is_refused_by_name(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(source: Path, match: str) -> None:
        with pytest.raises(Unavailable, match=match):
            convert.run(source, out=tmp_path / "out.gguf")
        assert not (tmp_path / "out.gguf").exists()

    refused(tiny, r"a tokenizer that llama.cpp has no name for \(BPE, cut by none\)")
    refused(
        checkpoint(tmp_path / "mistral", "mistral"),
        "is a mistral, and GGUF is written for llama, qwen2, qwen3",
    )
    scaled = {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}
    refused(checkpoint(tmp_path / "far", "llama", rope_parameters=scaled), "positions scaled by linear")
    refused(checkpoint(tmp_path / "biased", "llama", attention_bias=True), "biases in attention")
    monkeypatch.setitem(sys.modules, "gguf", None)
    refused(tiny, "GGUF needs gguf; install it with: pip install gguf")


def test_a_checkpoint_takes_another_type_in_files_of_a_size(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    source = checkpoint(tmp_path / "model", "qwen2", "qwen2")
    (source / "README.md").write_text("# Theirs\n")
    out = tmp_path / "half"
    made = convert.run(source, out=out, dtype="bfloat16", sharing=Sharing(shard_size=3e-5))
    files = sorted(out.glob("*.safetensors"))
    assert len(files) > 1
    assert max(path.stat().st_size for path in files) < 32_000
    assert (out / "README.md").read_text() == "# Theirs\n", "of what r1 did not train it writes no card"
    model, before = AutoModelForCausalLM.from_pretrained(out), load_file(source / "model.safetensors")
    assert model.dtype == torch.bfloat16
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, before[name].bfloat16()), name
    assert made.manifest["metrics"]["parameters"] == sum(weight.numel() for weight in before.values())
    again = convert.run(source, out=out, dtype="bfloat16", sharing=Sharing(shard_size=3e-5), resume=True)
    assert again.manifest == made.manifest
    with pytest.raises(UsageError, match="made with other options"):
        convert.run(source, out=out, dtype="float16", resume=True)
    with pytest.raises(UsageError, match="made with other options"):
        convert.run(source, out=out, dtype="bfloat16", resume=True)


def test_what_has_no_other_type_is_refused(tiny: Path, tmp_path: Path) -> None:
    source = checkpoint(tmp_path / "model", "llama")
    weights = load_file(source / "model.safetensors")
    save_file({**weights, "lm_head.weight": weights["lm_head.weight"] + 1e5}, source / "model.safetensors")
    for out in (tmp_path / "out", tmp_path / "out.gguf"):
        with pytest.raises(R1Error, match="numbers that float16 cannot hold; give --dtype bfloat16"):
            convert.run(source, out=out, dtype="float16")
        assert not out.exists()
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(
        json.dumps({**config, "quantization_config": {"quant_method": "fp8"}})
    )
    with pytest.raises(UsageError, match=r"is quantised \(fp8\)"):
        convert.run(source, out=tmp_path / "out")
    with pytest.raises(UsageError, match="--tie is for a GGUF file"):
        convert.run(tiny, out=tmp_path / "out", tie=True)
    with pytest.raises(UsageError, match="add --push OWNER/NAME"):
        convert.run(tiny, out=tmp_path / "out", sharing=Sharing(public=True))


@pytest.fixture(scope="module")
def trained(tiny: Path, reward: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two steps of grpo with adapters leave."""
    folder = tmp_path_factory.mktemp("trained")
    problems = [Record(id=f"p{i}", prompt=f"{i}+1=", answer=str(i + 1)) for i in range(2)]
    (folder / "held.jsonl").write_text('{"id":"h","prompt":"5+1=","answer":"6"}\n')
    settings = grpo.Settings(
        model=str(tiny), out=folder / "rl", template="none", prefill="Well", reward=(reward,), steps=2,
        problems=2, samples=2, workers=1, sampling=Sampling(max_tokens=4), lora=Lora(lora=2),
        optimizer=Optimizer(lr=1e-2), engine=CPU, saving=Saving(save_every=1, keep_last=1),
        evaluation=Evaluation(eval=(str(folder / "held.jsonl"),), eval_samples=2),
    )  # fmt: skip
    grpo.run(problems, settings)
    assert all((folder / "rl" / name).is_dir() for name in ("rollouts", "eval", "steps"))
    return folder / "rl"


def test_what_r1_trained_goes_out_with_a_card_and_without_rollouts(trained: Path, tmp_path: Path) -> None:
    convert.run(trained, out=tmp_path / "out", dtype="bfloat16")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "README.md", "config.json", "eval.jsonl", "generation_config.json", "metrics.jsonl",
        "model.safetensors", "r1.json", "tokenizer.json", "tokenizer_config.json",
    }  # fmt: skip
    assert choose_template(str(tmp_path / "out"), "chat")[:2] == ("none", "Well")
    text = (tmp_path / "out/README.md").read_text()
    assert text.startswith(
        "---\nlibrary_name: transformers\npipeline_tag: text-generation\ntags: [r1, grpo]\n---\n"
    )
    for line in (
        "# out",
        "| lora.lora | 2 |",
        "| steps | 2 |",
        "| problems | 2 |",
        "## Curves",
        "| 0 | held |",
    ):
        assert line in text.splitlines() or line in text, line
    step = json.loads((trained / "metrics.jsonl").read_text().splitlines()[-1])
    assert f"| 2 | {step['loss']:.4g} | {step['reward']:.4g} |" in text
    assert str(tmp_path.parent) not in text, "no path of this machine"
    convert.run(tmp_path / "out", out=tmp_path / "twice")
    assert "`r1 grpo` trained it" in (tmp_path / "twice/README.md").read_text()


def test_a_card_tells_paths_by_their_last_part_and_names_only_what_is_on_the_hub() -> None:
    reward = ("trl:/home/me/mine.py:fn*0.5", "judge:model=/home/me/big,url=http://localhost:8000/v1")
    options = {"reward": list(reward), "sampling": {"stop": ["</answer>"]}}
    training = {"stage": "grpo", "parent": {"model": "ckpt/base", "revision": "0123abcd"}, "options": options}
    text = card.card("rl", training, (), library="transformers", license="")
    assert "| reward | trl:mine.py:fn*0.5, judge:model=big,url=http://localhost:8000/v1 |" in text
    assert "| sampling.stop | </answer> |" in text
    assert "base_model" not in text, "a directory, wherever it is by now"
    training["parent"] = {"model": "me/base", "revision": "me/base"}
    assert "base_model: me/base\n" in card.card("rl", training, (), library="transformers", license="")


def test_an_adapter_goes_out_alone_or_merged(tiny: Path, trained: Path, tmp_path: Path) -> None:
    adapter = trained / "adapter"
    convert.run(adapter, out=tmp_path / "alone", dtype="bfloat16")
    before, after = (
        load_file(folder / "adapter_model.safetensors") for folder in (adapter, tmp_path / "alone")
    )
    assert all(torch.equal(after[name], before[name].bfloat16()) for name in before)
    text = (tmp_path / "alone/README.md").read_text()
    assert "library_name: peft" in text
    assert choose_template(str(tmp_path / "alone"), "chat")[:2] == ("none", "Well")
    assert "`r1 grpo` trained it" in text
    convert.run(tiny, out=tmp_path / "merged", adapter=adapter)
    whole, merged = load_file(trained / "model.safetensors"), load_file(tmp_path / "merged/model.safetensors")
    assert whole.keys() == merged.keys()
    assert "`r1 grpo` trained it" in (tmp_path / "merged/README.md").read_text(), "and not its model's card"
    assert (tmp_path / "merged/metrics.jsonl").read_bytes() == (trained / "metrics.jsonl").read_bytes()
    assert choose_template(str(tmp_path / "merged"), "chat")[:2] == ("none", "Well")
    assert all(torch.allclose(whole[name], merged[name], atol=1e-6) for name in whole)
    load_model(str(tiny), CPU, tmp_path / "alone")
    with pytest.raises(UsageError, match="is an adapter: give its model"):
        convert.run(adapter, out=tmp_path / "out.gguf")
    with pytest.raises(UsageError, match="is an adapter too"):
        convert.run(adapter, out=tmp_path / "out", adapter=adapter)


class Hub:
    """A hub on this machine, as huggingface_hub speaks to one: what it was sent, and what it refuses."""

    def __init__(self) -> None:
        self.made: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.status = 200
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.answer(hub.taken(self.path, body, self.headers["Authorization"]))

            def do_GET(self) -> None:
                self.answer({"id": "me/model", "sha": "0" * 40, "siblings": []})

            def answer(self, found: dict[str, Any]) -> None:
                text = json.dumps(found).encode()
                self.send_response(hub.status)
                self.send_header("Content-Length", str(len(text)))
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *arguments: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def taken(self, path: str, body: bytes, key: str) -> dict[str, Any]:
        assert key == "Bearer hf_secret"
        if path.endswith("/repos/create"):
            self.made.append(json.loads(body))
            return {"url": f"{self.address}/me/model"}
        if path.endswith("/validate-yaml"):
            assert json.loads(body)["content"].startswith("---\nlibrary_name: transformers")
            return {"errors": [], "warnings": []}
        if "/preupload/" in path:
            asked = json.loads(body)["files"]
            return {
                "files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in asked]
            }
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        return {
            "commitUrl": f"{self.address}/me/model/commit/{'0' * 40}",
            "commitOid": "0" * 40,
            "success": True,
        }


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    from huggingface_hub import constants

    made = Hub()
    monkeypatch.setattr(constants, "ENDPOINT", made.address)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_what_is_pushed_is_the_directory_in_a_private_repository(
    trained: Path, hub: Hub, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    convert.run(trained, out=out, sharing=Sharing(push="me/model"))
    assert [(made["organization"], made["name"], made["visibility"]) for made in hub.made] == [
        ("me", "model", "private")
    ]
    assert hub.files == {path.name: path.read_bytes() for path in out.iterdir()}
    hub.files.clear()
    gguf = checkpoint(tmp_path / "model", "llama")
    convert.run(gguf, out=tmp_path / "a.gguf", sharing=Sharing(push="me/model", public=True))
    assert hub.made[-1]["visibility"] == "public"
    assert hub.files == {"a.gguf": (tmp_path / "a.gguf").read_bytes()}


def test_a_push_that_fails_keeps_what_was_made(tiny: Path, hub: Hub, tmp_path: Path) -> None:
    hub.status = 403
    options: dict[str, Any] = {"out": tmp_path / "out", "sharing": Sharing(push="me/model")}
    with pytest.raises(Unavailable, match=r"--push me/model: .*403.* --resume tries again"):
        convert.run(tiny, **options)
    hub.status = 200
    convert.run(tiny, **options, resume=True)
    assert "model.safetensors" in hub.files


def test_a_push_is_looked_at_before_the_work(
    tiny: Path, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub
    from huggingface_hub import constants

    def refused(repo: str, match: str, kind: type[R1Error]) -> None:
        with pytest.raises(kind, match=match):
            convert.run(tiny, out=tmp_path / "out", sharing=Sharing(push=repo))
        assert not (tmp_path / "out").exists()

    refused("model", "write OWNER/NAME", UsageError)
    refused("me/mo del", "--push me/mo del", UsageError)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    refused("me/model", "no token for the hub; set HF_TOKEN", Unavailable)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    refused("me/model", "HF_HUB_OFFLINE is set", Unavailable)
    assert not hub.made


@pytest.mark.full
def test_smollm2_in_gguf_has_its_logits_and_its_words(smollm2: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    convert.run(smollm2, out=tmp_path / "a.gguf")
    ids = AutoTokenizer.from_pretrained(smollm2)("The capital of France is Paris. 2+2=4", return_tensors="pt")
    with torch.no_grad():
        wanted = AutoModelForCausalLM.from_pretrained(smollm2)(**ids).logits
        read = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="a.gguf", dtype=torch.float32)
        assert (read(**ids).logits - wanted).abs().max() < 1e-4


@pytest.mark.full
@pytest.mark.parametrize(
    ("name", "cut"), [("qwen3", "qwen2"), ("llama3", "llama-bpe"), ("smollm2", "smollm")]
)
def test_real_vocabularies_are_known(name: str, cut: str) -> None:
    from families import vocabulary
    from transformers import AutoTokenizer

    from stages.conversion.to_gguf import cut_of

    whole = AutoTokenizer.from_pretrained(vocabulary(name))
    assert cut_of(json.loads(whole.backend_tokenizer.to_str())) == cut
