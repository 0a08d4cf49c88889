"""No line, file, option or configuration, however odd, gets more out of a record stage than its documented
ends.
"""

from __future__ import annotations

import functools
import io
import json
import os
import signal
from collections.abc import Sequence
from typing import Any

import pytest
from fuzz import Case, Draw, Outcome, fuzzed, layout

MUTATIONS = 10_000  # of each command
PROBLEMS: list[dict[str, Any]] = [
    {"id": "a", "prompt": "1+1=?", "answer": "2", "lang": "en", "kind": "math"},
    {"id": "b", "prompt": [{"role": "user", "content": "1+2=?"}], "answer": "3", "n": 1.5},
    {"id": 7, "prompt": "Which?\nA. one\nB. two", "answer": "B", "choices": ["one", "two"],
    "meta": {"prompts": {"source": "x", "split": None}}},
]  # fmt: skip
SCORED: list[dict[str, Any]] = [
    {**problem, "id": f"{problem['id']}#{k}", "group": str(problem["id"]), "sample": k, "finish": "stop",
    "prefill": "<think>\n",
     "completion": f"We add.</think> \\boxed{{{k}}}", "rewards": {"accuracy": float(k), "format": None},
     "reasons": {"accuracy": "2"}, "reward": float(k),
     "meta": {"generate": {"model": "m", "revision": "r", "tokens": 5, "temperature": 1.0},
     "score": {"rewards": ["accuracy"]}}}
    for problem in PROBLEMS for k in (0, 1)
]  # fmt: skip
METRICS = [
    {
        "step": k,
        "loss": 1.0 / k,
        "reward": 0.1 * k,
        "completions/mean_length": 10.0,
        "total_flos": 1e9,
        "step_time": 0.5,
        "rewards/accuracy/mean": 0.1,
    }
    for k in (1, 2, 3)
]
# What `r1 eval` writes, and rollouts with their tokens: what the page of `r1 report --html` takes besides.
FIGURES: list[dict[str, Any]] = [
    {"benchmark": "b", "model": "m", "pass@1": 0.5, "pass@1_low": 0.4, "pass@1_high": 0.6, "k": 2},
    {"benchmark": "b", "model": "m", "against": "n", "difference": 0.1, "difference_low": 0.0,
     "difference_high": 0.2, "p": 0.04, "p_holm": 0.04, "problems": 9, "settings_unlike": ["top_p"]},
    *({"curve": "samples", "benchmark": "b", "model": "m", "k": k, "pass@k": 0.5, "cons@k": None}
      for k in (1, 2)),
    {"curve": "thinking", "model": "m", "thinking_tokens": 9.5, "think_budget": 10, "pass@1": 0.5},
    *({"curve": "length", "benchmark": "b", "model": "m", "bin": k, "length_unit": "tokens", "length_low": k,
       "length_high": k, "mean_length": float(k), "completions": 3, "correct": 0.5} for k in (1, 2)),
]  # fmt: skip
WARM = [
    {**record, "completion_ids": [1, 2], "logprobs": [-0.5, None], "policy_logprobs": [-0.4, 0.0]}
    for record in SCORED
]
# Options that would start something heavy, ask a network, or make as much as they are told to.
HEAVY = (
    "model",
    "backend",
    "samples",
    "workers",
    "nproc",
    "png",
    "html",
    "parquet",
    "smoke",
    "adapter",
    "track",
    "benchmark",
)
WRITES = ("-o", "--output", "--rejects", "--save", "--curves", "--png", "--html", "--parquet", "--share")


def prepare() -> None:
    """What a worker process would judge is judged here, a second at most: a case costs milliseconds, not half
    a second.
    """
    from stages.scoring import pool, scorer, worker
    from stages.scoring.spec import parts

    class Late(BaseException):
        pass

    def late(number: int, frame: Any) -> None:
        raise Late

    class Here(pool.Pool):
        def add(self, job: pool.Job) -> None:
            message = worker.decode(job.message)
            signal.setitimer(signal.ITIMER_VIRTUAL, 1.0)
            try:
                job.answer = worker.judge(parts(self.specs)[message["part"]], message)
            except Late:
                job.answer = {"late": "no verdict within 1 s"}
            finally:
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            json.dumps(job.answer)

    signal.signal(signal.SIGVTALRM, late)
    scorer.Pool = Here

    # Four look-ups among the installed packages, ten milliseconds that are the same each time.
    from stages.evaluation import table

    table.versions = functools.cache(table.versions)

    from stages import doctor
    from stages.doctor import Finding

    for name in ("_torch", "_gpus", "_vision", "_transformers", "_sandbox", "_packages", "_half_built"):
        setattr(doctor, name, lambda: iter([Finding("x", "works", "y")]))
    doctor._engines = lambda smoke: iter(())


@functools.cache
def stage(name: str) -> Any:
    from r1cli import main

    return main.load(name, main.discover()[name])


def lines(records: Sequence[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def written(arguments: Sequence[str]) -> tuple[str, ...]:
    """The files that the command line may make."""
    found = []
    for k, word in enumerate(arguments):
        flag, mark, value = word.partition("=")
        if flag in WRITES:
            short = mark and not flag.startswith("--")
            value = (f"={value}" if short else value) if mark else "".join(arguments[k + 1 : k + 2])
            value = value.rpartition("=")[0] or value if flag == "--share" else value
            found.append(os.path.normpath(value))
    links = {"dangling": "nowhere", "link.jsonl": "in.jsonl"}
    return (*found, *(links[name] for name in found if name in links))


def fed(
    draw: Draw,
    command: str,
    records: Sequence[dict[str, Any]],
    *words: str,
    tail: Sequence[str] = (),
    per_line: int | None = None,
    ways: Sequence[str] = ("lines", "lines", "lines", "bytes", "packed", "options", "options", "config"),
    odd: Any = None,
) -> Case:  # fmt: skip
    """A command that reads records, with something wrong in the lines, the bytes, the options or the
    configuration.
    """
    some = draw.sample(list(records), draw.of(1, 2, len(records)))
    data, name, arguments = lines(some), "in.jsonl", [*words]
    bad: bool | None = None
    way = draw.choice([*ways, *(["odd"] * 2 if odd else [])])
    files: dict[str, bytes] = {}
    if way == "lines":
        data = b"\n".join(draw.line(record) for record in some) + draw.of(b"\n", b"")
    elif way == "bytes":
        data = draw.damaged(data)
    elif way == "packed":
        name, data, bad = draw.packed(name, data)
    elif way == "options":
        arguments += draw.options(stage(command), skip=HEAVY)
    elif way == "config":
        files["conf.toml"] = draw.toml(stage(command), skip=HEAVY)
        arguments += ["--config", "conf.toml"]
    else:
        arguments += odd(draw, files)
    arguments = [command, *arguments, *tail]
    piped = name == "in.jsonl" and draw.one_in(4)
    if not piped:
        files[name] = data
        arguments.append(name)

    def check(outcome: Outcome) -> str | None:
        if bad:
            return "a damaged file was read as whole"
        if per_line is None or way not in ("lines", "bytes", "packed"):
            return None
        if way == "packed" and bad is None:
            return None
        wanted = len(some) if way == "packed" else sum(bool(line.strip()) for line in data.split(b"\n"))
        made = outcome.stdout.count(b"\n")
        return None if made == wanted * per_line else f"{made} records of {wanted} lines"

    case = Case(arguments, data if piped else b"", files, outputs=written(arguments), about=way, check=check)
    layout(case)
    return case


SPECS = [
    "accuracy",
    "format",
    "language",
    "length",
    "cosine",
    "repetition",
    "tag_count",
    "reasoning_steps",
    "soft_overlong:limit=10,buffer=5",
    "format:style=think*0.5",
    "language:lang=en",
    "accuracy:places=boxed*0",
    "reasoning_gym",
    'accuracy if lang == "en"',
    "format*0.5 as form if id != null and not answer == 7",
    "repetition as r if meta.prompts.kind in ['a', 'b'] or len(prompt) > 3",
]


def spec(draw: Draw, files: dict[str, bytes]) -> list[str]:
    """Rewards, with their text damaged."""
    files["mine.py"] = draw.of(
        b"def fn(record):\n    return 1\n",
        b"def fn(record):\n    raise ValueError('\\x1b[2J')\n",
        b"def fn(",
        b"\xff\xfe",
        b"import zork\n",
        b"raise SystemExit\n",
        b"fn = 3\n",
        b"def fn(record): return float('nan')\n",
        b"def fn(record): return ('a', '\\x1b')\n",
        b"def fn(): return 1\n",
        b"def fn(record, *, x: int = 1): return x\n",
        b"fn = int\n",
        b"def fn(record): return {}\n",
        b"\0",
    )
    words = []
    for _ in range(draw.of(1, 1, 2)):
        text = draw.of(
            *SPECS,
            "./mine.py:fn",
            "mine.py:fn",
            "mine.py:no",
            "none.py:fn",
            "trl:trl.rewards.think_format_reward",
            "trl:zork",
            "folder.py:x",
            "code",
            "accuracy if step >= 3",
        )
        if draw.one_in(2):
            text = draw.damaged(text.encode()).decode("utf-8", "surrogateescape").replace("\0", "")
        elif draw.one_in(2):
            text += (
                ":"
                + draw.of("lang", "style", "x", "places", "limit", "", "weight", "max_length")
                + draw.of("=", "", "==", ",")
                + draw.of("nan", "-1", "", "inf", "\x1b", "1e400", "9" * 30, "²", "zork", "true")
            )
        elif draw.one_in(2):
            text += "*" + draw.of("nan", "", "-1", "inf", "1e400", "x", "1*2", "²", "\x1b", "0")
        elif draw.one_in(2):
            text += draw.of(" as ", " if ", " as x if ", "\tif\n") + draw.of(
                "", "x", "²", "\x1b", "lang", "step", "id.x[0] < 1", "9" * 400, "(" * 300, "x == 'a", "if"
            )
        words += ["--reward", text]
    return words


def score(draw: Draw) -> Case:
    words = ["--reward", draw.choice(SPECS)] if draw.one_in(2) else []
    if draw.one_in(4):
        words += ["--reward", draw.choice(SPECS), "--on-error", draw.of("stop", "null")]
    return fed(draw, "score", SCORED, *words, odd=spec, per_line=1)


def condition(draw: Draw, files: dict[str, bytes]) -> list[str]:
    """A condition made of pieces that may fit each other."""
    atom = (
        "reward",
        "finish",
        "rewards.accuracy",
        'meta["generate"].tokens',
        "id",
        "1",
        "-1",
        "0",
        "'a'",
        '"\\x1b"',
        "null",
        "true",
        "1e999",
        "9**9",
        "n",
        "len(completion)",
        "abs(n)",
        "min(1, n)",
        "max()",
        "lower(id)",
        "prompt[0]",
        "choices[5]",
        "[1, 2]",
        "()",
        "{}",
        "x.y.z",
        "zork",
        "len(1)",
        "startswith(id, 'a')",
        "-id",
        "not n",
        "f'{id}'",
        "lambda: 1",
        "id()",
        "__import__('os')",
        "b'a'",
        "1j",
        "...",
        "x if y else z",
        "(" * 200,
        "'" + "a" * 3000 + "'",
        "9" * 5000,
        "\u202e",
        "min([1], 2)",
        "max('a', 1)",
        "len(rewards)",
        "prompt[True]",
        "id['a']",
        "(n := 1)",
    )
    link = (
        "==",
        "!=",
        "<",
        "<=",
        ">",
        ">=",
        "in",
        "not in",
        "is",
        "is not",
        "and",
        "or",
        "+",
        "-",
        "*",
        "/",
        "//",
        "%",
        "**",
        "",
        "if",
        ",",
        "<<",
        "@",
    )
    text = draw.choice(atom)
    for _ in range(draw.randrange(4)):
        text = f"{text} {draw.choice(link)} {draw.choice(atom)}"
    if draw.one_in(5):
        text = draw.damaged(text.encode()).decode("utf-8", "surrogateescape").replace("\0", "")
    if draw.one_in(50):
        text = draw.of(
            "not " * 3000 + "n",
            "(" * 99 + "n" + ")" * 99,
            "n" + "+n" * 5000,
            "n" + ".a" * 3000,
            "-" * 2000 + "n",
        )
    return ["--where", text]


def filter(draw: Draw) -> Case:
    words = draw.of(
        [],
        [],
        ["--keep", "correct"],
        ["--keep", "best"],
        ["--dedup", "normalised"],
        ["--max-mixing", "0.5"],
        ["--min-pass", "0.1", "--max-pass", "0.9"],
        ["--max-code", "0.5", "--max-paragraph", "9"],
        ["--min-length", "1"],
        ["--where", "reward > 0 and finish == 'stop'"],
        ["--keep", "shortest", "--max-per-group", "1"],
        ["--rejects", "r.jsonl"],
        ["--near-duplicates", "0.5"],
    )
    per_line = None if words else 1
    return fed(draw, "filter", SCORED, *words, odd=condition, per_line=per_line)


def sort(draw: Draw) -> Case:
    by = draw.of(
        "group", "difficulty", "id", "n", "meta.generate.tokens", "prompt", "choices", "zork", ".", ""
    )
    words = [f"--by={by}", *draw.of((), ("--reverse",), ("--memory", "1"))]
    return fed(draw, "sort", SCORED, *words, per_line=1)


def show(draw: Draw) -> Case:
    words = draw.of(
        (), ("--group", "a"), ("--group", draw.of("zork", "", "\x1b")), ("--id", draw.of("b#1", "\x1b")),
        ("--sample", "2"), ("-n", "1"), ("--fold", draw.of("0", "1", "5")), ("--diff", "scored.jsonl"),
        ("--diff", "scored.jsonl", "--where", "reward > 0"), ("--diff", draw.of("folder", "in.jsonl")),
    )  # fmt: skip
    case = fed(draw, "show", SCORED, *words, odd=condition)
    case.files["scored.jsonl"] = draw.damaged(lines(SCORED)) if draw.one_in(8) else lines(SCORED)
    case.text = True
    return case


def stats(draw: Draw) -> Case:
    names = ("reward", "rewards", "tokens", "language", "pass_rate", "meta", "prompt", "choices", "zork", ".")
    words = [word for _ in range(draw.of(0, 0, 1, 2)) for word in ("--field", draw.choice(names))]
    words += ["--by", draw.choice(names)] if draw.one_in(3) else []
    case = fed(draw, "stats", SCORED, *words, *draw.of((), (), ("--reward-name", "format"), ("b.jsonl",)))
    case.files["b.jsonl"] = lines(SCORED)
    return case


VERDICTS = [
    {"id": f"{k}", "index": k, "model": model, "baseline": "base", "preference": share,
     "length_model": 90 + 20 * k, "length_baseline": 100}
    for model in ("a", "b") for k, share in enumerate((1.0, 2.0, 1.5, 1.2, None))
]  # fmt: skip
STYLED = [
    {"id": f"{k}#0", "completion": "**A** " * k, "baseline": "base", "model": "a",
     "baseline_answer": "# B\n- c",
     "rewards": {"arena_hard": 0.5, "arena_hard/second": score, "arena_hard/first": 1 - score}}
    for k, score in enumerate((0.0, 0.25, 0.5, 0.75, 1.0))
]  # fmt: skip
TABLE = b"preference,index,std_delta_len,instruction_difficulty\n" + b"".join(
    b"0.%d,%d,-0.%d,1.5\n" % (k + 1, k, k) for k in range(5)
)


def rank(draw: Draw) -> Case:
    words = draw.of(
        (), ("--by", "bradley-terry", "--rounds", draw.of("0", "3", "-1")), ("--calibration", "table.csv"),
        ("--by", "elo", "--decide", draw.of("format", "zork")), ("--baseline", draw.of("base", "a", "\x1b")),
        ("--by", "bradley-terry", "--control-length", "--rounds", "2"), ("--calibration", "folder"),
        ("--by", "bradley-terry", "--control-style", "--rounds", "2"), ("--control-style",),
    )  # fmt: skip
    records = [{**each, "rating": 1200} for each in SCORED] if "elo" in words else VERDICTS
    records = STYLED if "--control-style" in words else records
    case = fed(draw, "rank", records, *words)
    case.files["table.csv"] = draw.damaged(TABLE) if draw.one_in(3) else TABLE
    return case


CONFIG = {
    "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 3,
    "intermediate_size": 96, "vocab_size": 200, "tie_word_embeddings": True,
}  # fmt: skip
SPARSE = {"num_experts": 8, "num_experts_per_tok": 2, "kv_lora_rank": 16, "qk_rope_head_dim": 8}


def plan(draw: Draw) -> Case:
    sizes: dict[str, Any] = {**CONFIG, **(SPARSE if draw.one_in(3) else {})}
    for name in [name for name in sizes if draw.one_in(9)]:
        sizes[name] = draw.of(0, 1, -1, 2**62, 10**30, 0.5, None, "a", [], True, 5_000_000)
    text = json.dumps(sizes).encode()
    files = {"config.json": draw.damaged(text) if draw.one_in(5) else text}
    words = ["plan", "-m", draw.of("config.json", "config.json", "config.json", ".", "zork", "")]
    if draw.one_in(3):
        files["conf.toml"] = draw.toml(stage("plan"), skip=("model",))
        words += ["--config", "conf.toml"]
    else:
        words += draw.options(stage("plan"), skip=("model",))
    return Case(words, b"", files, outputs=written(words))


def split(draw: Draw) -> Case:
    size = draw.of("0.5", "0.5", "1", "0", "nan", "1e400", "-1", "", "²", "9" * 30)
    shares = ["--share", f"val.jsonl={size}"] if draw.one_in(2) else []
    return fed(draw, "split", SCORED, "--share", draw.of("a.jsonl=0.5", "b.gz=0.3", "=1", "zork"), *shares)


def mix(draw: Draw) -> Case:
    weight = draw.of(*"111111", "3", "0.5", "0", "nan", "1e400", "-1", "", "²", "9" * 30, "1e999999999")
    other = draw.of((), (), (), ("in.jsonl=1",), ("zork=1",), ("folder=1",))
    words = [*other, *draw.of((), ("-n", "3"), ("-n", "99", "--repeat"), ("--memory", "1"))]
    case = fed(draw, "mix", SCORED, *words)
    if not case.stdin:  # the file is the last word
        case.arguments[-1] += f"={weight}"
    return case


def export(draw: Draw) -> Case:
    to = draw.of("messages", "prompt-completion", "sharegpt", "verl")
    words = ["--to", to, *(["--parquet", "p.parquet"] if draw.one_in(30) else [])]
    return fed(draw, "export", SCORED, *words, per_line=None if to == "verl" else 1)


def asked(draw: Draw, files: dict[str, bytes]) -> list[str]:
    """A template, or examples, that may be none."""
    files["t.txt"] = (
        draw.damaged(b"Say {prompt} now.\n{prefill}<think>")
        if draw.one_in(2)
        else draw.of(
            b"",
            b"{prompt}{prompt}",
            b"{prompt",
            b"\xff\xfe{\0p\0",
            b"no",
            b"{prefill}{prompt}",
            b"{prompt}\0",
            b"{prompt}\x1b[2J<answer>",
            b"{chat}{prompt}",
            b"{chat}\n{completion}{prompt}{prefill}\x1b",
            b"{prompt}{completion}{completion}",
        )
    )
    shots = lines([{"prompt": "2+2", "completion": "4"}])
    files["shots.jsonl"] = draw.of(
        shots, draw.damaged(shots), draw.line({"prompt": "2+2", "completion": "4"})
    )
    words = [
        "--template",
        draw.of("t.txt", "t.txt", "t.txt", "none", "folder", "zork", "\x1b[31m", "r1-zero", "r1", ""),
    ]
    return words + (
        ["--few-shot", draw.of("shots.jsonl", "shots.jsonl", "folder", "no\x1b")] if draw.one_in(2) else []
    )


def generate(draw: Draw) -> Case:
    samples = draw.of(1, 1, 2)
    words = [
        "-m",
        "echo",
        "-n",
        str(samples),
        *draw.of([], ["--tokens"], ["-t", "r1"], ["-t", "none"], ["--unordered"]),
    ]
    return fed(draw, "generate", PROBLEMS, *words, tail=["--backend", "echo"], odd=asked, per_line=samples)


def declaration(draw: Draw) -> bytes:
    """A benchmark of a user's own, with a key or a value that may be wrong."""
    keys = [
        "source", "split", "columns", "map.prompt", "map.answer", "template", "rewards", "metric", "samples",
        "sampling.temperature", "sampling.stop", "sampling.think_budget", "sampling", "zork", "map",
    ]  # fmt: skip
    values = [
        "'in.jsonl'", "'in.csv'", "'zork'", "'none'", "'accuracy'", "['accuracy', 'format']", "'question'",
        "3", "0", "-1", "1e400", "nan", "true", "[]", "{}", "''", "'\u001b'", "1979-05-27", "'..'", "'-'",
        "'format'", "9" * 30, "'{prompt}'", "'sums'", "[['a']]", '"\u0000"',
    ]  # fmt: skip
    lines = ["source = 'in.jsonl'"] if draw.randrange(4) else []
    lines += [f"{draw.of(*keys)} = {draw.of(*values)}" for _ in range(draw.randrange(3))]
    text = "\n".join(lines).encode()
    return draw.damaged(text) if draw.one_in(8) else text


def eval(draw: Draw) -> Case:
    if draw.one_in(3):
        words = [
            "-m",
            "echo",
            "-k",
            draw.of("1", "2"),
            *draw.of(
                [],
                [],
                ["--pass-k", "1"],
                ["--save", "s.jsonl"],
                ["-b", draw.of("in.jsonl", "folder", "zork", "..", "sums:x", "./a")],
                ["-b", "own.toml"],
                ["-b", "in.jsonl", "--judge", draw.of("model=echo", "model=", "jobs=0", "\x1b")],
            ),
        ]
        case = fed(draw, "eval", PROBLEMS, *words, tail=["--backend", "echo"], odd=asked)
        case.files.setdefault("own.toml", declaration(draw))
        return case
    words = draw.of(
        [],
        [],
        ["--decide", "accuracy"],
        ["--reward", "accuracy"],
        ["--reward", "format", "--save", "s.jsonl"],
        ["--judge", draw.of("model=echo", "retries=-1", "zork")],
        ["--pass-k", "2"],
    )
    return fed(draw, "eval", SCORED, *words, odd=spec if draw.one_in(4) else None)


ROWS: list[dict[str, Any]] = [
    {"id": "a", "prompt": "1+1", "answer": 2},
    {"messages": [{"role": "user", "content": "1+1"}, {"role": "assistant", "content": "2"}]},
    {"conversations": [{"from": "human", "value": "1+1"}, {"from": "gpt", "value": "2"}], "system": "s"},
    {"problem": "1+1", "answer": "2", "generations": ["a", "b"], "finish_reasons": ["stop", "length"],
    "uuid": "u"},
    {"prompt": [{"role": "user", "content": "1+1"}], "reward_model": {"style": "rule", "ground_truth": "2"}},
    {"question": "1+1", "answer": "we add #### 2"},
    {"problem": "1+1", "solution": "so \\boxed{2}"},
    {"instruction": "add", "input": "1 1", "output": "2"},
    {"prompt": "1+1", "completion": [{"role": "assistant", "content": "2"}]},
]  # fmt: skip


@functools.cache
def parquet(number: int) -> bytes:
    import pyarrow
    import pyarrow.parquet

    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([ROWS[number]]), sink)
    return sink.getvalue()


def prompts(draw: Draw) -> Case:
    words: list[str] = []
    files: dict[str, bytes] = {}
    number = draw.randrange(len(ROWS))
    row = ROWS[number]
    way = draw.of(
        "jsonl",
        "jsonl",
        "json",
        "csv",
        "csv",
        "tsv",
        "parquet",
        "packed",
        "options",
        "config",
        "map",
        "source",
        "declared",
    )
    name, data, bad, wanted = "in.jsonl", draw.line(row) + b"\n", None, None
    table = b'id,prompt,answer\n1,1+1,2\n2,"a ""b""\nc",3\n'
    if way == "json":
        name, data = (
            "in.json",
            b"[" + draw.line(row) + draw.of(b",", b"", b" \n") + draw.line(row) + b"]",
        )
    elif way in ("csv", "tsv"):
        table = table if way == "csv" else b"id\tprompt\tanswer\n1\t1+1\t2\n"
        change = draw.of(
            draw.damaged,
            lambda d: d.replace(b"answer", draw.of(b"id", b"prompt", b"", b"\x1b", b"\xff")),
            lambda d: d,
        )
        name, data = f"in.{way}", change(table)
        words = draw.of(
            [],
            [],
            [
                "--columns",
                draw.of("a,b,c", "id,id,prompt", "", ",,,", "id,prompt", "\x1b,prompt,c"),
            ],
        )
    elif way == "parquet":
        name, data = "in.parquet", draw.of(parquet(number), draw.damaged(parquet(number)))
    elif way == "packed":
        name, data, bad = draw.packed("in.jsonl", lines([{"id": k, "prompt": "1+1"} for k in range(3)]))
        wanted = 3 if bad is False else None
    elif way == "map":
        for _ in range(draw.of(1, 2)):
            source = draw.of(
                "question",
                "a.b",
                "{id} {prompt}",
                "{",
                "",
                "id",
                "{zork}",
                "\x1b",
                "{\x1b}",
                "meta.x",
                "{}",
                "answer",
            )
            words += [
                "--map",
                draw.of("prompt", "answer", "id", "", "x", "\x1b") + draw.of("=", "", "==") + source,
            ]
    elif way == "options":
        words = draw.options(stage("prompts"), skip=HEAVY)
    elif way == "config":
        files["conf.toml"] = draw.toml(stage("prompts"), skip=HEAVY)
        words = ["--config", "conf.toml"]
    files[name] = data
    source = name
    if way == "declared":
        source, files["own.toml"] = "own.toml", declaration(draw)
    if way == "source":
        source = draw.of(
            "sums",
            "sums",
            "sums:x",
            "zork",
            "\x1b[31m",
            "",
            " ",
            "-",
            "folder",
            "a/b/c",
            "no.jsonl",
            "reasoning_gym",
            "reasoning_gym:zork",
            "reasoning_gym:basic_arithmetic",
            "gsm8k:x",
            "\udcff",
            ":",
            "sums:",
        )
        words = [
            "-n",
            draw.of("1", "2"),
            *draw.of(
                [],
                ["--split", draw.of("test", "train", "zork", "\x1b", "")],
                [
                    "--set",
                    draw.of(
                        "digits=3",
                        "digits=x",
                        "digits=",
                        "x=1",
                        "digits",
                        "digits=-1",
                        "digits=0",
                        "digits=1e400",
                        "seed=x",
                        "\x1b=1",
                        "limit=0",
                        "digits=\x1b",
                    ),
                ],
                ["--skip", draw.of("0", "1", "-1")],
            ),
        ]
    if draw.one_in(6):
        words += draw.options(stage("prompts"), skip=HEAVY)
    arguments = ["prompts", *words, "--", source] if source.startswith("-") else ["prompts", source, *words]

    def check(outcome: Outcome) -> str | None:
        if bad:
            return "a damaged file was read as whole"
        made = outcome.stdout.count(b"\n")
        if wanted is not None and way == "packed" and words == [] and made != wanted:
            return f"{made} records of {wanted} lines"
        return None

    case = Case(
        arguments,
        data if source == "-" else b"",
        files,
        outputs=written(arguments),
        about=way,
        check=check,
    )
    layout(case)
    return case


def report(draw: Draw) -> Case:
    data = draw.of(
        lines(METRICS),
        b"\n".join(draw.line(each) for each in METRICS) + b"\n",
        draw.damaged(lines(METRICS)),
        b"",
        b"\n",
        lines(METRICS)[:-9],
    )
    files = {"run/metrics.jsonl": data, "b/run/metrics.jsonl": lines(METRICS), "in.jsonl": b"{}\n"}
    runs = draw.sample(
        [
            *["run"] * 9,
            "run/",
            "b/run",
            "./run",
            "folder",
            "in.jsonl",
            "missing",
            "\x1b[31m",
            "",
            "run/metrics.jsonl",
            "/dev/null",
        ],
        draw.of(1, 1, 2),
    )
    words = draw.options(stage("report"), skip=HEAVY) if draw.one_in(2) else []
    if draw.one_in(400):
        words += ["--png", draw.of("c.png", "in.jsonl", "folder", "run/metrics.jsonl")]
    if draw.one_in(6):
        words += ["--html", draw.of("page.html", "in.jsonl", "folder", "run/metrics.jsonl")]
        files["scored.jsonl"] = draw.damaged(lines(draw.of(SCORED, FIGURES, WARM)))
        runs += draw.sample(["scored.jsonl", "run/metrics.jsonl"], 1)
    if draw.one_in(5):
        files["conf.toml"] = draw.toml(stage("report"), skip=HEAVY)
        words += ["--config", "conf.toml"]
    arguments = ["report", *words, "--", *runs] if draw.one_in(2) else ["report", *runs, *words]
    case = Case(arguments, b"", files, outputs=written(arguments))
    layout(case)
    return case


def doctor(draw: Draw) -> Case:
    words = draw.options(stage("doctor"), skip=HEAVY)
    files = {"in.jsonl": b"{}\n"}
    if draw.one_in(3):
        files["conf.toml"] = draw.toml(stage("doctor"), skip=HEAVY)
        words += ["--config", "conf.toml"]
    if draw.one_in(8):
        words.append(draw.of("in.jsonl", "", "\x1b", "-"))
    case = Case(["doctor", *words], b"", files, outputs=written(words))
    layout(case)
    return case


def broken(draw: Draw) -> Case:
    """A command that ends as no command may."""
    return Case(["fails", "--how", "bug"], b"{}\n")


TARGETS = (
    "generate", "score", "filter", "sort", "show", "stats", "rank", "split", "mix", "prompts", "export",
    "report", "eval", "doctor", "plan",
)  # fmt: skip


# Commands with hostile checkpoints besides, in test_fuzz_models.py; each has half of its mutations there.
TWICE = ("generate", "eval", "doctor")


def wanted(name: str) -> int:
    return MUTATIONS // 2 if name in TWICE else MUTATIONS


def test_hostile_runs_of_each_command_end_as_documented() -> None:
    fuzzed("test_fuzz", TARGETS, 80, seed=1)


@pytest.mark.full
@pytest.mark.parametrize("name", TARGETS)
def test_ten_thousand_mutations_end_as_documented(name: str) -> None:
    fuzzed("test_fuzz", [name], mutations=wanted(name))


@pytest.mark.full
def test_a_process_of_its_own_ends_as_in_the_fuzzer() -> None:
    light = [name for name in TARGETS if name != "doctor"]  # which looks over the whole machine
    fuzzed("test_fuzz", light, 5, seed=3, real=True)


def test_the_fuzzer_sees_a_bug() -> None:
    with pytest.raises(AssertionError, match="bug: on stderr"):
        fuzzed("test_fuzz", ["broken"], 1)
