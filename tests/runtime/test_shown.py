"""stderr shows what came from outside as text: no control character of it reaches the terminal, and no
secret.
"""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import R1, environment
from fuzz import Case, Draw, fuzzed
from served import Served

from r1cli.console import Console, clipped
from stages.inference.server.client import Servers
from stages.inference.server.fleet import Fleet
from stages.runtime import shown
from stages.runtime.errors import UsageError
from stages.scoring import spec
from stages.settings.groups import Endpoint

ALL = "".join(
    map(
        chr,
        (
            *range(0x20),
            *range(0x7F, 0xA0),
            0x61C,
            0x200E,
            0x200F,
            *range(0x2028, 0x202F),
            *range(0x2066, 0x206A),
            0xFEFF,
            0xD800,
            0xDFFF,
        ),
    )
)
KEY = "geheim-1234567\ngeheim-7654321"


def test_a_line_is_one_line_without_any_control_character() -> None:
    made = shown.line(f"a{ALL}b")
    assert made.isprintable()
    assert made.startswith("a\\x00")
    assert made.endswith("\\ud800\\udfffb")
    assert shown.line("\x1b[2J\u202e") == "\\x1b[2J\\u202e"
    assert shown.line("forged\r\nr1 filter: all is well\n") == "forged r1 filter: all is well"
    for fair in ("kept 412 of 2048 (20.1 %), 96 groups → 71", "三加四 ½ — é", ""):
        assert shown.line(fair) == shown.block(fair) == fair


def test_what_others_print_keeps_its_lines_and_nothing_else() -> None:
    below = io.StringIO()
    stream = shown.Shown(below)
    assert stream.write(f"a\tb\nc\r\n{ALL}") == len(f"a\tb\nc\r\n{ALL}")
    assert below.getvalue().startswith("a\tb\nc\n\\x00")
    stream.writelines(["\x1b[2J", "d\n"])
    assert below.getvalue().endswith("\\x1b[2Jd\n")
    assert all(c.isprintable() or c in "\n\t" for c in below.getvalue())


def test_all_that_the_console_says_is_clean(capsys: pytest.CaptureFixture[str]) -> None:
    with Console(f"st{ALL}age", quiet=False, color=False) as console:
        console.start(2, ALL)
        console.advance(1, **{ALL: ALL, "n": 1.0})
        console.note(ALL)
        console.table(ALL, [ALL, "b"], [[ALL, "1"], ["x", ALL]])
        console.summary(ALL)
        console.error(ALL)
        console.note(console.progress())
    said = capsys.readouterr().err
    assert all(c.isprintable() or c == "\n" for c in said)
    assert said.count("\n") == 8, "two notes, a table of four lines, an error and a summary"


@pytest.mark.parametrize("live", [True, False])
def test_a_terminal_gets_the_programs_own_escape_sequences_alone(live: bool) -> None:
    script = (
        "import sys, os; sys.path.insert(0, '.'); from r1cli.main import show_as_text; show_as_text()\n"
        "from r1cli.console import Console\n"
        f"text = {ALL!r} + 'MARK'\n"
        "with Console('x', quiet=False, color=False) as c:\n"
        f"    c.live = {live}; c.start(9, text); c._next = 0; c.advance(1, field=text)\n"
        "    c.note(text); c.table(text, [text], [[text]]); c.summary(text)\n"
        "print(text.replace(chr(9), '')); print(text.replace(chr(9), ''), file=sys.stderr)\n"
    )
    leader, follower = pty.openpty()
    root = str(Path(__file__).parents[2])
    line = [sys.executable, "-c", script]
    with subprocess.Popen(line, stdout=follower, stderr=follower, cwd=root, env=environment(COLUMNS="900")):
        os.close(follower)
        said = b""
        while piece := _read(leader):
            said += piece
    os.close(leader)
    text = said.decode()
    assert text.count("MARK") > 5
    for forbidden in set(ALL) - set("\x1b\r\n"):
        assert forbidden not in text, repr(forbidden)
    # Those of rich: cursor and line codes alone, none that a text here began.
    assert "\x1bMARK" not in text
    assert "\\x1b\\x1c" in text


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux says so when the last writer is gone
        return b""


EVIL = "\x1b]0;own\x07\x1b[31m\u202e\x9b2J"
NAMED = {"id": "a", "group": "a", "prompt": "x", "completion": "x", "rewards": {"accuracy": 1}}
FROM = {"generate": {"model": EVIL}, "prompts": {"source": EVIL}}
LOUD = f"def f(record):\n  print({EVIL!r}); raise ValueError({EVIL!r})\n"
ENDS: list[tuple[list[str], dict[str, str], int]] = [
    (["filter", f"no{EVIL}"], {}, 74),
    (["filter", "--where", f"id < '{EVIL}'", "in"], {"in": '{"id":1}'}, 65),
    (["filter", "--config", "c"], {"c": f"{json.dumps(EVIL)} = 1"}, 2),
    (["filter", f"--{EVIL}"], {}, 2),
    ([f"fil{EVIL}"], {}, 2),
    (["score", "-r", "./m.py:f", "-v", "in"], {"in": '{"id":"a"}', "m.py": f"raise ValueError({EVIL!r})\n"},
    2),
    (["score", "-r", "./m.py:f", "-v", "in"], {"in": '{"id":"a","completion":"x"}', "m.py": LOUD}, 1),
    (["eval", "in"], {"in": json.dumps({**NAMED, "meta": FROM})}, 0),
    (["generate", "-m", "m", "--backend", "echo", "in"],
    {"in": f'{json.dumps({"id": EVIL, "prompt": "x"})}\n' * 2}, 65),
    (["prompts", "in.csv"], {"in.csv": f"{EVIL},{EVIL}\n1,2\n"}, 65),
    (["report", EVIL], {}, 65),
]  # fmt: skip


def evil(draw: Draw) -> Case:
    """One of the ends above."""
    arguments, files, code = ENDS[draw.number]
    return Case(arguments, files={k: v.encode() for k, v in files.items()}, code=code)


def test_no_failure_of_any_kind_lets_a_control_character_through() -> None:
    fuzzed("test_shown", ["evil"], len(ENDS))


def test_what_a_reward_in_a_worker_prints_is_shown_as_text(r1: R1, tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text(LOUD)
    line = b'{"id":"a","completion":"x"}\n'
    done = r1("score", "-r", f"{tmp_path}/m.py:f", "-v", input=line)
    said = done.stderr.decode()
    assert done.returncode == 1
    assert all(c.isprintable() or c in "\n\t" for c in said), said
    assert said.count("\\x1b]0;own") >= 2


def test_an_error_of_megabytes_is_told_by_its_ends() -> None:
    assert clipped("short") == "short"
    long = clipped("a" * 10**6 + "b" * 10**6)
    assert len(long) < 1010
    assert long.startswith("aaa")
    assert long.endswith("bbb")


def test_secrets_are_masked_in_every_form_a_message_may_give_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("HF_TOKEN", "hf_ABCDEFGH")
    for said in (
        KEY,
        repr(KEY),
        json.dumps(KEY),
        KEY.split()[0],
        f"b'Bearer {KEY!r}'",
        "hf_ABCDEFGH",
    ):
        assert "geheim" not in shown.line(f"why: {said}!")
        assert "ABCDEFGH" not in shown.block(f"why: {said}!")
    for address in ("http://u:geheim@h/v1", "https://geheim@h", "http://u:ge/he@im@h:1/v1"):
        made = shown.line(f"cannot reach {address}: refused")
        assert made.startswith(("cannot reach http://…@h", "cannot reach https://…@h"))
    assert shown.line("cannot read http:/u:geheim@h: no such file") == "cannot read http:/…@h: no such file"
    assert shown.value("http://u:ge heim'\"@h") == "'http://…@h'"
    assert shown.value(["judge:url=http://u:geheim@h", 1]) == "['judge:url=http://…@h', 1]"
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    assert shown.line("none of them") == "none of them"


PASSWORD = "http://user:kennwort-1234567@127.0.0.1:1/v1"


def test_an_address_with_a_password_is_refused_and_not_repeated() -> None:
    for make in (
        lambda: Endpoint(PASSWORD),
        lambda: Servers(Fleet([PASSWORD]), patience=0),
        lambda: spec.part(f"judge:model=m,url={PASSWORD}"),
        lambda: spec.part(f"judgee:url={PASSWORD}"),
    ):
        with pytest.raises(UsageError, match="no user or password may stand in an address") as told:
            make()
        assert "kennwort" not in str(told.value)


OPENAI = ("-m", "m", "--backend", "openai")
TOLD = [
    ["generate", *OPENAI, "--base-url", PASSWORD],
    ["generate", *OPENAI, "--config", "c.toml"],
    ["eval", *OPENAI, "--base-url", PASSWORD, "-b", "in"],
    ["distill", "--teacher", "m", "-m", "m", "-o", "new", "--backend", "openai", "--base-url", PASSWORD],
    ["grpo", "-m", "m", "-o", "new", "--backend", "openai", "--base-url", PASSWORD],
    ["score", "-r", f"judge:model=m,url={PASSWORD}"],
    ["score", "-r", f"jud:model=m,url={PASSWORD}*x"],
    ["filter", PASSWORD],
    ["generate", "-m", "m", "--patience", PASSWORD],
    ["zork", PASSWORD],
    [PASSWORD],
    ["generate", *OPENAI, "--base-url", "http://127.0.0.1:1/v1", "--patience", "0"],
]  # fmt: skip


def secretive(draw: Draw) -> Case:
    """One of the runs above, with -v or without, and what it writes in a file."""
    arguments = TOLD[draw.number // 2]
    verbose = ["-v"] if draw.number % 2 and len(arguments) > 2 else []
    files = {
        "in": b'{"id":"a","prompt":"x","completion":"y"}\n',
        "c.toml": f'base_url = "{PASSWORD}"\n'.encode(),
    }
    return Case([*arguments, *verbose], b'{"id":"a","prompt":"x"}\n', files)  # fmt: skip


def test_no_failure_of_any_kind_prints_or_keeps_a_secret() -> None:
    said = fuzzed("test_shown", ["secretive"], 2 * len(TOLD), key=KEY)
    assert " × 0" not in said, "each is one that fails"


def test_a_key_that_no_header_holds_is_refused_before_it_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served = Served()
    try:
        for key in (KEY, "ge heim-1234567", "geheim-\u00fc1234", "geheim-\x1b12345"):
            monkeypatch.setenv("OPENAI_API_KEY", key)
            with Servers(Fleet([served.url]), patience=0) as server:
                with pytest.raises(UsageError, match="OPENAI_API_KEY holds a line end") as told:
                    server.ask("/models", None, lambda page: page)
                assert "heim" not in str(told.value)
        assert served.paths == []
    finally:
        served.stop()


def test_a_proxy_with_a_password_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://user:kennwort/x@127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(Exception, match="http_proxy: no address") as told:
        Servers(Fleet(["http://127.0.0.2:1/v1"]), patience=0)
    assert "kennwort" not in str(told.value)
