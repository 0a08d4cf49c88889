"""A checkpoint is looked at before it is read: no code of its own runs unasked, and what is broken in it is
named.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import R1

from r1cli.main import discover
from r1cli.signature import describe
from stages import convert, init, sft
from stages.checkpoints.contents import check_files
from stages.checkpoints.parse import read_header
from stages.inference.chat import text_of
from stages.inference.encoding import load_tokenizer
from stages.inference.template_limits import limited
from stages.inference.transformers.model import load_model
from stages.records.record import Record
from stages.records.templates import Rendered
from stages.runtime.errors import BadInput, R1Error, StreamError, Unavailable, UsageError
from stages.settings.groups import Engine, refuse_float16
from stages.settings.options import FINITE

CPU = Engine(device="cpu", threads=1)
TRUSTED = Engine(device="cpu", threads=1, trust_remote_code=True)
OWN = {
    "configuration_own.py": "from transformers import LlamaConfig\nclass OwnConfig(LlamaConfig):\n    "
    "model_type = 'own'\n",
    "modeling_own.py": "from transformers import LlamaForCausalLM\nfrom .configuration_own import OwnConfig\n"
    "class OwnForCausalLM(LlamaForCausalLM):\n    config_class = OwnConfig\n",
    "tokenization_own.py": "from transformers import PreTrainedTokenizerFast\n"
    "class OwnTokenizer(PreTrainedTokenizerFast):\n    pass\n",
    "custom_generate/generate.py": "def generate(model, **options):\n    pass\n",
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of 6,000 weights."""
    path: Path = tmp_path_factory.mktemp("whole") / "model"
    init.run(init.Settings(out=path, hidden=16, layers=1, heads=2, context=64))
    return path


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    """A copy of it to change."""
    return Path(shutil.copytree(whole, tmp_path / "model"))


def settled(path: Path, **values: Any) -> None:
    """Sets keys in a file of JSON, which need not be there."""
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**known, **values}))


def armed(model: Path, names: tuple[str, ...]) -> Path:
    """Puts code into a checkpoint that leaves a mark where it runs. Returns where the mark would be."""
    mark = model.parent / "mark"
    for name in names:
        (model / name).parent.mkdir(exist_ok=True)
        (model / name).write_text(f"open({str(mark)!r}, 'w').close()\n" + OWN[name])
    return mark


def own_model(model: Path) -> Path:
    settled(
        model / "config.json",
        model_type="own",
        architectures=["OwnForCausalLM"],
        auto_map={"AutoConfig": "configuration_own.OwnConfig",
        "AutoModelForCausalLM": "modeling_own.OwnForCausalLM"},
    )  # fmt: skip
    return armed(model, ("configuration_own.py", "modeling_own.py"))


def own_tokenizer(model: Path) -> Path:
    settled(
        model / "tokenizer_config.json",
        tokenizer_class="OwnTokenizer",
        auto_map={"AutoTokenizer": [None, "tokenization_own.OwnTokenizer"]},
    )
    return armed(model, ("tokenization_own.py",))


def own_loop(model: Path) -> Path:
    return armed(model, ("custom_generate/generate.py",))


OWNERS = {
    own_model: "config.json",
    own_tokenizer: "tokenizer_config.json",
    own_loop: "custom_generate/generate.py",
}


@pytest.mark.parametrize("owner", OWNERS, ids=lambda each: each.__name__)
def test_code_of_a_checkpoint_runs_where_it_is_trusted_and_nowhere_else(
    copy: Path, owner: Callable[[Path], Path]
) -> None:
    mark = owner(copy)
    why = f"{OWNERS[owner]} wants code of the checkpoint's own to run .*--trust-remote-code"
    for load in (lambda: load_tokenizer(str(copy)), lambda: load_model(str(copy), CPU)):
        with pytest.raises(Unavailable, match=why):
            load()
    for engine in (CPU, Engine(device="cpu", trust_remote_code=False)):
        for trust in (None, False):
            with pytest.raises(Unavailable) if owner is not own_loop or trust is None else _no_error():
                load_tokenizer(str(copy), trust)
                load_model(str(copy), engine)
    assert not mark.exists()
    load_tokenizer(str(copy), trust=True)
    load_model(str(copy), TRUSTED)
    assert mark.exists()


class _no_error:
    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        return isinstance(error, Unavailable)  # of the model, where the tokenizer is loaded


@pytest.mark.full
def test_no_answer_in_the_records_makes_it_run(copy: Path, r1: R1) -> None:
    mark = own_model(copy)
    said = b',"completion":"2"'
    for name, more, also in (("generate", (), b""), ("sft", ("-o", copy.parent / "out"), said)):
        lines = b'{"id":"a","prompt":"1+1="%b}\n' % also + b"y\n" * 9
        done = r1(name, "-m", copy, *more, input=lines)
        assert done.returncode == 69, done.stderr
        assert b"config.json wants code" in done.stderr
    assert not mark.exists()
    assert not (copy.parent / "out").exists()


def test_a_model_that_is_trained_keeps_its_code(copy: Path, tmp_path: Path) -> None:
    own_model(copy)
    examples = [Record(id="a", prompt="1+1=", completion="2")]
    made = sft.run(
        examples,
        sft.Settings(model=str(copy), out=tmp_path / "out", template="none", epochs=1, engine=TRUSTED),
    )
    assert made.manifest["options"]["engine"]["trust_remote_code"] is True
    assert type(load_model(str(made.path), TRUSTED)).__name__ == "OwnForCausalLM"


def test_kernels_of_the_hub_need_trust_too(copy: Path) -> None:
    settled(copy / "config.json", attn_implementation="someone/kernels:attention")
    for trust in (None, False):
        with pytest.raises(Unavailable, match="attn_implementation names someone/kernels"):
            load_model(str(copy), Engine(device="cpu", trust_remote_code=trust))


def test_what_lies_beside_a_gguf_is_not_taken_in(tmp_path: Path) -> None:
    from gguf_file import small_gguf

    small_gguf(tmp_path / "small.gguf")
    mark = own_tokenizer(tmp_path)
    settled(tmp_path / "tokenizer_config.json", eos_token="zork")
    settled(tmp_path / "adapter_config.json", base_model_name_or_path="someone/else")
    made = convert.run(tmp_path / "small.gguf", out=tmp_path / "out")
    assert load_tokenizer(str(made.path)).eos_token == "<|im_end|>"
    assert not mark.exists()


@pytest.mark.parametrize(
    "lie",
    [
        {"hidden_size": 10**9},
        {"num_hidden_layers": 0},
        {"vocab_size": 10**9},
        {"num_hidden_layers": 10**6},
        {"num_labels": 10**9},
        {"intermediate_size": 10**9},
    ],
)
def test_a_configuration_that_lies_of_its_size_takes_no_memory(copy: Path, lie: dict[str, Any]) -> None:
    settled(copy / "config.json", **lie)
    with pytest.raises(BadInput, match=r"config\.json: .*; copy or make the checkpoint again"):
        load_model(str(copy), CPU)


def nested(model: Path) -> str:
    path = model / "model.safetensors"
    path.write_bytes((6000).to_bytes(8, "little") + b"[" * 6000 + path.read_bytes())
    return r"model\.safetensors: broken: its header cannot be read"


def gapped(model: Path) -> str:
    path = model / "model.safetensors"
    path.write_bytes(path.read_bytes() + b"\0" * 4)
    return r"model\.safetensors: broken: 4 bytes are too many"


def elsewhere(model: Path) -> str:
    index = {"weight_map": {"lm_head.weight": "../pytorch_model.bin"}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    return r"index\.json: lm_head\.weight is in '\.\./pytorch_model\.bin'"


def torn(name: str) -> Callable[[Path], str]:
    def change(model: Path) -> str:
        (model / name).write_text('{"a": ')
        return rf"{name}: .*(not JSON|expected `,` or `}}`)"

    return change


def without_words(model: Path) -> str:
    (model / "tokenizer.json").unlink()
    return r"tokenizer\.json: is not there"


def with_adapter(model: Path) -> str:
    settled(model / "adapter_config.json", base_model_name_or_path="someone/else")
    return r"adapter_config\.json: an adapter among a model's files"


def piped(model: Path) -> str:
    import os

    (model / "tokenizer_config.json").unlink()
    os.mkfifo(model / "tokenizer_config.json")
    return r"tokenizer_config\.json: is not a file"


@pytest.mark.parametrize(
    "break_",
    [
        nested,
        gapped,
        elsewhere,
        *map(
            torn,
            ("config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json", "r1.json"),
        ),
        without_words,
        with_adapter,
        piped,
    ],
)
def test_a_broken_file_is_bad_input_with_its_name(copy: Path, break_: Callable[[Path], str]) -> None:
    why = break_(copy)
    with pytest.raises(BadInput, match=why):
        (load_tokenizer(str(copy)), load_model(str(copy), CPU))


def test_a_header_of_any_depth_is_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    for text in (
        b"[" * 10**5,
        b'{"a":' * 10**5,
        b'{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}',
        b"null",
    ):
        path.write_bytes(len(text).to_bytes(8, "little") + text)
        with pytest.raises(BadInput, match="header cannot be read"):
            read_header(path)


@pytest.mark.parametrize(
    "name", ["ckpt/nope", "ckpt", "x.gguf", "X.GGUF", "./x", "a/b/c", "", "~/x", "nope/x.safetensors"]
)
def test_a_name_that_is_no_directory_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "ckpt").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.model_info", _asked)
    with pytest.raises(Unavailable, match=r"there is no such directory|is no checkpoint"):
        check_files(name)


def _asked(*arguments: Any, **options: Any) -> None:
    raise AssertionError("the hub was asked")


def test_the_hub_is_asked_once_and_not_again_where_it_is_out_of_reach(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def model_info(name: str, **options: Any) -> None:
        asked.append(name)
        raise ConnectionError("no route")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.model_info", model_info)
    with pytest.raises(Unavailable, match=r"no such directory, and the hub cannot be asked .no route"):
        check_files("someone/nothing-here")
    assert asked == ["someone/nothing-here"]


def test_every_number_has_a_range() -> None:
    free = []
    for name, path in discover().items():
        if path.parent.name == "stages":
            stage = describe(name, importlib.import_module(f"stages.{path.stem}"))
            every = (*stage.arguments, *stage.options)
            free += [f"{name} {o.flags[-1]}" for o in every if o.base in (int, float) and o.bounds is FINITE]
    # A reward may be any number, and so may what it is compared with.
    may = ("filter", "distill", "eval", "rank", "sort", "stats")
    assert sorted(free) == sorted(f"{name} --threshold" for name in may)


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--layers", 0),
        ("--hidden", 0),
        ("--context", 0),
        ("--heads", 0),
        ("--kv-heads", -1),
        ("--seed", -1),
        ("--hidden", 10**9),
        ("--context", 10**30),
    ],
)
def test_init_refuses_numbers_that_make_no_model(flag: str, value: int) -> None:
    (option,) = (each for each in describe("init", init).options if each.flags[-1] == flag)
    with pytest.raises(UsageError, match=f"{flag} {value}: must be"):
        option.bounds.refuse(flag, value)


def test_init_refuses_a_model_that_no_machine_holds(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--hidden 65536 --layers 1024: a model of"):
        init.run(init.Settings(out=tmp_path / "out", hidden=65536, layers=1024))
    assert not list(tmp_path.iterdir())


def test_words_and_letters_of_records_are_one_token_each(tmp_path: Path) -> None:
    file = tmp_path / "corpus.jsonl"
    line = {
        "prompt": "What is 17+5?",
        "completion": [{"role": "assistant", "content": "17 plus 5 is 22，对"}],
    }
    file.write_text("".join(json.dumps(line) + "\n" for _ in range(init.COMMON)) + '{"prompt":"seldom"}\n')
    settings = init.Settings(out=tmp_path / "out", hidden=16, layers=1, heads=2, words_of=file)
    init.run(settings)
    tokenizer = load_tokenizer(str(tmp_path / "out"))
    for text, count in (("What is 17", 3), ("17 plus 22", 3), ("，对", 2), ("seldom", 6), ("<think>", 1)):
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text
        assert len(ids) == count, text
    assert init.run(settings, resume=True).path == tmp_path / "out"
    file.write_text(json.dumps({"prompt": "other " * 20}))
    with pytest.raises(UsageError, match="made with other options"):
        init.run(settings, resume=True)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ('{"answer":"7"}\n', UsageError, "no record has a prompt"),
        ('{"prompt":"a"}\n{bad\n', BadInput, "corpus.jsonl:2"),
        ('{"prompt":"a \\ud800"}\n', R1Error, "corpus.jsonl:1|not UTF-8"),
        (None, StreamError, "no such file|cannot read"),
    ],
)
def test_records_without_words_make_no_tokenizer(
    tmp_path: Path, text: str | None, error: type[R1Error], message: str
) -> None:
    file = tmp_path / "corpus.jsonl"
    if text is not None:
        file.write_text(text)
    with pytest.raises(error, match=message):
        init.run(init.Settings(out=tmp_path / "out", hidden=16, layers=1, heads=2, words_of=file))
    assert not (tmp_path / "out").exists()


def test_a_manifest_of_an_unfinished_run_or_a_parent_is_not_passed_over(copy: Path, tmp_path: Path) -> None:
    (copy / "r1.json").write_text("[")
    with pytest.raises(BadInput, match=r"r1\.json: not JSON"):
        sft.run([], sft.Settings(model=str(copy), out=tmp_path / "out"))


LESSONS = [Record(id=str(k), prompt=f"{k}+1=", completion=str(k + 1)) for k in range(4)]


@pytest.fixture
def killed(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What an sft leaves that ends after its first saved state."""
    from stages.settings.groups import Saving
    from stages.training.loop.run import Run

    def end(run: Run) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Run, "publish", end)
        with pytest.raises(KeyboardInterrupt):
            sft.run(
                LESSONS,
                sft.Settings(
                    model=str(whole),
                    out=tmp_path / "out",
                    template="none",
                    batch=1,
                    epochs=1,
                    saving=Saving(save_every=2),
                    engine=CPU,
                ),
            )
    return tmp_path / "out.partial"


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"identity":5}', b"[" * 5000])
def test_a_broken_state_is_bad_input_with_its_name(killed: Path, whole: Path, text: bytes) -> None:
    from stages.settings.groups import Saving

    (state,) = (killed / "state").iterdir()
    whole_state = (state / "state.json").read_bytes()

    def resumed() -> Any:
        return sft.run(
            LESSONS,
            sft.Settings(
                model=str(whole),
                out=killed.with_suffix(""),
                template="none",
                batch=1,
                epochs=1,
                saving=Saving(save_every=2),
                engine=CPU,
            ),
            resume=True,
        )

    for path, content in ((state / "state.json", text), (state / "rank_00000.safetensors", text)):
        kept = path.read_bytes()
        path.write_bytes(content)
        with pytest.raises(R1Error, match=r"state\.json|step_000002|made with other options") as caught:
            resumed()
        assert isinstance(caught.value, BadInput | UsageError)
        path.write_bytes(kept)
    assert (state / "state.json").read_bytes() == whole_state
    resumed()


def test_float16_is_refused_for_training() -> None:
    with pytest.raises(UsageError, match="--dtype float16: not for training"):
        refuse_float16(Engine(dtype="float16"))


SUM = Rendered(None, ({"role": "user", "content": "1+1"},), "", ())


@pytest.mark.parametrize(
    "template",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{{ 'a' * 10**11 }}",
        "{{ [0] * 10**10 }}",
        "{{ 10 ** (10 ** 9) }}",
        "{% set n = namespace(s='ab') %}{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
        "{{ ''.__class__.__mro__[1].__subclasses__()[0] }}",
        "{{ cycler.__init__.__globals__.os.system('true') }}",
        "{% include '/etc/passwd' %}",
        "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
    ],
)
def test_a_chat_template_has_neither_endless_time_nor_memory_nor_python(
    copy: Path, monkeypatch: pytest.MonkeyPatch, template: str
) -> None:
    monkeypatch.setattr("stages.inference.template_limits.SECONDS", 0.5)
    monkeypatch.setattr("stages.inference.template_limits.MEMORY", 1 << 28)
    (copy / "chat_template.jinja").write_text(template)
    tokenizer = load_tokenizer(str(copy))
    with pytest.raises(BadInput, match="f:3: the model's chat template refuses the prompt: "):
        text_of(tokenizer, SUM, "f:3")


def test_a_debugger_goes_on_after_a_template() -> None:
    faulthandler.dump_traceback_later(60, exit=True)  # no signal is heard in the loop that it may fall into
    tracing = sys.gettrace()
    try:
        with limited():
            pass
        sys.settrace(lambda *_: None)
        (lambda: None)()
    finally:
        sys.settrace(tracing)
        faulthandler.cancel_dump_traceback_later()


def test_honest_templates_compute(copy: Path) -> None:
    (copy / "chat_template.jinja").write_text(
        "{{ '-' * 9 }}{{ 2 ** 10 }}{{ 3 * 1.5 }}{{ messages[0].content }}"
    )
    said = text_of(load_tokenizer(str(copy)), SUM, "")
    assert said == "---------10244.51+1"
