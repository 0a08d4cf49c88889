"""What libraries do better than our own languages, units, dates and HTTP, and what they cost.

    for each in lingua-language-detector py3langid pint python-dateutil dateparser httpx openai; do
      pip install --target DIR/$each $each
    done
    python tests/bench/libraries.py DIR [PART]

Each candidate runs in a process of its own, with DIR/<its package> on its path. One that is not in DIR is
skipped and named. PART is one of languages, units, dates, http. R1_DATA names the folder with MGSM.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import resource
import subprocess
import sys
import threading
import time
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from stages.language import identification, latin
from stages.language.letters import plain
from stages.language.prose import prose
from stages.language.tables import known, word

DATA = Path(os.environ.get("R1_DATA", Path(__file__).parents[3] / "shared" / "data"))
CASES = tomllib.loads(Path(__file__).with_name("libraries_cases.toml").read_text("utf-8"))
PACKAGES = {
    "lingua": "lingua-language-detector", "py3langid": "py3langid", "pint": "pint", "httpx": "httpx",
    "dateutil": "python-dateutil", "dateparser": "dateparser", "openai": "openai",
}  # fmt: skip
PARTS = {
    "languages": (
        "ours", "lingua many", "lingua sentence", "lingua window", "py3langid sentence", "py3langid window",
        "ours + lingua sentence", "ours + lingua window", "ours + py3langid window",
    ),
    "units": ("ours", "pint"),
    "dates": ("ours", "dateutil", "dateparser"),
    "http": ("ours", "httpx", "openai"),
}  # fmt: skip
PAIRS = tuple(
    "en-zh en-de en-fr en-es en-ru en-ja en-sw en-th de-fr fr-es es-en de-en zh-ja".split()  # noqa: SIM905
)
SHARES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
WINDOW = 6  # words
BETWEEN = ("", " $x^2+3=12$ ", " `total = price * count` ")  # what stands between two sentences
Case = tuple[str, str, str, float]  # kind, pair, text, share


def words(text: str) -> list[re.Match[str]]:
    """The words that count for every candidate: those of identification.py, but single Latin letters."""
    return [each for each in word().finditer(text) if len(each[0]) > 1 or not each[0].isascii()]


def mixed() -> list[Case]:
    """Texts of two languages with the share of the first one's words."""
    draw, made = random.Random(0), []
    for pair in PAIRS:
        mine, theirs = pair.split("-")
        for kind, source in (("problems", problems), ("thinking", CASES["thinking"].__getitem__)):
            if kind == "thinking" and not {mine, theirs} <= CASES["thinking"].keys():
                continue
            pools = [source(mine), source(theirs)]
            for share in SHARES:
                for level in ("sentences", "inserts"):
                    made += [
                        (f"{kind}, {level}", pair, *mixture(draw, pools, share, level)) for _ in range(4)
                    ]
    return made


@cache
def problems(lang: str) -> list[str]:
    """Sentences of the rows of MGSM that the costs in latin.py were not chosen on."""
    rows = (DATA / "language" / f"mgsm_{lang}.tsv").read_text("utf-8").splitlines()[::2]
    return [s for row in rows for s in re.split(r"(?<=[.?!])\s+|(?<=[。？！])", row.split("\t")[0]) if s]


def mixture(
    draw: random.Random, pools: Sequence[Sequence[str]], share: float, level: str
) -> tuple[str, float]:
    """A text of some 80 words, of which about `share` come from the first of `pools`."""
    counts, pieces = [0, 0], []
    between = draw.choice(BETWEEN)
    while sum(counts) < 80:
        which = int(counts[0] >= share * (sum(counts) + 1) or share == 0)
        piece = draw.choice(pools[which])
        spans = words(piece)
        if level == "inserts" and len(spans) > 3:
            start = draw.randrange(max(1, len(spans) - 6))
            end = min(len(spans), start + draw.randint(3, 6)) - 1
            piece = piece[spans[start].start() : spans[end].end()]
        counts[which] += len(words(piece))
        pieces.append(piece + (between if level == "sentences" else ""))
    return " ".join(pieces), counts[0] / sum(counts)


def shares(name: str) -> Callable[[str, str], float | None]:
    """The candidate's share of the words of a text that are in a language."""
    if name == "ours":
        return identification.language_share
    how = name.rpartition(" ")[2]
    mixed_in = name.startswith("ours + ")
    codes = [code for code, each in known().items() if each.script == "Latin" or not mixed_in]
    if "lingua" in name:
        detector, code = lingua(codes)
        one = lambda said: code(detector.detect_language_of(said))  # noqa: E731
    else:
        from py3langid import langid

        identifier = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE)
        identifier.set_languages({*codes} & {*identifier.nb_classes})
        one = lambda said: identifier.classify(said)[0]  # noqa: E731
    if mixed_in:

        def counted(sentences: Sequence[Sequence[str]], prefer: str) -> Counter[str]:
            found: Counter[str] = Counter()
            for each in sentences:
                step = WINDOW if "window" in name else len(each)
                for k in range(0, len(each), step):
                    found[one(" ".join(each[k : k + step])) or "latin"] += len(each[k : k + step])
            return found

        latin.counted = counted
        return identification.language_share

    def share(text: str, lang: str) -> float | None:
        text, found = prose(plain(text)), Counter()
        if how == "many":
            for span in detector.detect_multiple_languages_of(text):
                found[code(span.language)] += len(words(text[span.start_index : span.end_index]))
            found[None] += len(words(text)) - found.total()
        elif how == "sentence":
            for sentence in identification.SENTENCE.split(text):
                if count := len(words(sentence)):
                    found[one(sentence)] += count
        else:
            spans = words(text)
            for k in range(0, len(spans), WINDOW):
                each = spans[k : k + WINDOW]
                found[one(text[each[0].start() : each[-1].end()])] += len(each)
        return (found[lang] + found[None]) / found.total() if found.total() else None

    return share


def lingua(codes: Any) -> tuple[Any, Callable[[Any], str | None]]:
    """Its detector for those of `codes` that it knows, in its exact mode, and what reads its answers."""
    from lingua import IsoCode639_1, LanguageDetectorBuilder

    ours = {"NB": "no", **{code.upper(): code for code in codes}}
    isos = [getattr(IsoCode639_1, iso) for iso in ours if hasattr(IsoCode639_1, iso)]
    detector = LanguageDetectorBuilder.from_iso_codes_639_1(*isos).build()
    return detector, lambda each: each and ours[each.iso_code_639_1.name]


def same_quantity(name: str) -> Callable[[str, str], Any]:
    if name == "ours":
        from stages.grading import units

        return lambda gold, other: bool(units.same(gold, other))
    import pint

    registry = pint.UnitRegistry()

    def read(text: str) -> Any:
        text = re.sub(r"\\(?:text|mathrm)\{([^}]*)\}|\\[,;! ]", r" \1", text).strip(" .$")
        return registry.parse_expression(text.replace("^{", "^").replace("}", ""))

    def same(gold: str, other: str) -> bool:
        try:
            a, b = read(gold), read(other)
            return bool(a.check(b.dimensionality) and abs((b.to(a.units) - a).magnitude) <= 1e-9 * abs(a.m))
        except Exception:  # whatever it raises, it has not read it
            return False

    return same


def same_date(name: str) -> Callable[[str, str], Any]:
    if name == "ours":
        from stages.grading import dates as own

        read: Callable[[str], Any] = own.read
    elif name == "dateutil":
        from dateutil import parser

        read = lambda text: parser.parse(text).date()  # noqa: E731
    else:
        import dateparser

        read = lambda text: (found := dateparser.parse(text)) and found.date()  # noqa: E731

    def same(gold: str, other: str) -> bool:
        try:
            return read(gold) is not None and read(gold) == read(other)
        except Exception:  # whatever it raises, it has not read it
            return False

    return same


class Page(BaseHTTPRequestHandler):
    """`/fast` answers at once, `/slow` after eight seconds."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"id": "a", "object": "chat.completion", "created": 1, "model": "m", "choices": []}'
        if "slow" in self.path:
            time.sleep(8)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        with contextlib.suppress(ConnectionError):  # the client broke it off
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def client(name: str, url: str, timeout: float) -> tuple[Callable[[str], Any], Callable[[], None]]:
    """What asks for a page of the server, and what closes the client."""
    if name == "ours":
        from stages.inference.server.connection import Connections

        pool = Connections(url, timeout=timeout)
        head = {"Content-Type": "application/json"}
        return lambda page: pool.ask("POST", f"/{page}/chat/completions", b"{}", head), pool.close
    if name == "httpx":
        import httpx

        made = httpx.Client(timeout=timeout)
        return lambda page: made.post(f"{url}/{page}/chat/completions", content=b"{}"), made.close
    import openai

    pools = {
        page: openai.OpenAI(base_url=f"{url}/{page}", api_key="x", timeout=timeout, max_retries=0)
        for page in ("fast", "slow")
    }
    return (
        lambda page: pools[page].chat.completions.create(model="m", messages=[]),
        lambda: [each.close() for each in pools.values()] and None,
    )


def http(name: str, url: str) -> dict[str, Any]:
    ask, close = client(name, url, 30.0)
    ask("fast")
    began = time.process_time()
    for _ in range(500):
        ask("fast")
    rate = 500 / (time.process_time() - began)
    ended: list[float] = []

    def waits() -> None:
        try:
            ask("slow")
        except Exception:  # however it says so
            ended.append(time.perf_counter())

    thread = threading.Thread(target=waits, daemon=True)
    thread.start()
    time.sleep(0.5)
    closed = time.perf_counter()
    close()
    thread.join(3)
    broken = f"{(ended[0] - closed) * 1e3:.0f} ms" if ended else "not within 3 s"
    return {"requests per CPU second": f"{rate:,.0f}", "broken off by another thread": broken}


def worker(part: str, name: str, url: str) -> dict[str, Any]:
    """All figures of one candidate."""
    before, clock = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    makers = {"languages": shares, "units": same_quantity, "dates": same_date}
    if part == "http":
        ask, close = client(name, url, 30.0)
        ask("fast")
        close()
    else:
        first = {"languages": ("We add und teilen", "en"), "units": ("5 m", "5 cm")}
        judge = makers[part](name)
        judge(*first.get(part, ("2021-05-01", "1 May 2021")))
    start = time.perf_counter() - clock
    found: dict[str, Any] = {}
    if part == "languages":
        texts, clock = mixed(), time.process_time()
        errors = [abs((judge(t, pair[:2]) or 0.0) - true) for _, pair, t, true in texts]
        speed = len(texts) / (time.process_time() - clock)
        found["errors"] = errors
        found["texts per CPU second"] = f"{speed:,.0f}"
    elif part == "http":
        found |= http(name, url)
    else:
        pairs = CASES[part]
        clock = time.process_time()
        verdicts = [judge(gold, other) for gold, other, _ in pairs]
        found["right"] = sum(v == label for v, (*_, label) in zip(verdicts, pairs, strict=True))
        found["wrongly equal"] = [p[:2] for v, p in zip(verdicts, pairs, strict=True) if v and not p[2]]
        found["wrongly unequal"] = [p[:2] for v, p in zip(verdicts, pairs, strict=True) if not v and p[2]]
        found["pairs per CPU second, first time"] = f"{len(pairs) / (time.process_time() - clock):,.0f}"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found | {"start-up": f"{start * 1e3:,.0f} ms", "memory": f"{(peak - before) / 1024:,.0f} MB"}


def candidate(part: str, name: str, folder: Path, url: str) -> dict[str, Any] | None:
    """Its figures, or None where it is not installed."""
    path = next((folder / package for key, package in PACKAGES.items() if key in name.split()), None)
    if path is not None and not path.is_dir():
        return None
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, filter(None, (path, *sys.path))))}
    command = [sys.executable, __file__, "--worker", part, name, url]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    size = sum(f.stat().st_size for f in path.rglob("*") if f.is_file() and f.suffix != ".pyc") if path else 0
    found["on disk"] = f"{size / 1e6:.0f} MB" if path else "–"
    found["brings"] = str(len(list(path.glob("*.dist-info"))) - 1 if path else 0)
    return found


def print_errors(found: dict[str, dict[str, Any]]) -> None:
    """Mean absolute error of the share, by kind of text and by pair."""
    texts, names = mixed(), list(found)
    for at, title in ((0, "texts"), (1, "pair")):
        print(f"\n| {title} | {' | '.join(names)} |\n|---{'|---:' * len(names)}|")
        rows: dict[str, list[int]] = defaultdict(list)
        for k, case in enumerate(texts):
            rows[str(case[at])].append(k)
        if at == 0:
            rows["all"] = list(range(len(texts)))
        for row, ks in rows.items():
            means = [sum(found[n]["errors"][k] for k in ks) / len(ks) for n in names]
            print(f"| {row} | {' | '.join(f'{mean:.3f}' for mean in means)} |")
    for each in found.values():
        wrong = sum(error > 0.1 for error in each.pop("errors"))
        each["wrong by more than 0.1"] = f"{wrong / len(texts):.1%}"
    print(f"\n{len(texts)} texts")


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        print(json.dumps(worker(*sys.argv[2:5])))
        return
    if len(sys.argv) < 2:
        print("libraries.py DIR [PART]: nothing to compare with", file=sys.stderr)
        return
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    os.environ["no_proxy"] = "127.0.0.1"
    for part in sys.argv[2:] or PARTS:
        print(f"\n## {part}", flush=True)
        found = {}
        for name in PARTS[part]:
            figures = candidate(part, name, Path(sys.argv[1]), f"http://127.0.0.1:{server.server_port}")
            if figures is None:
                print(f"skipped, not installed: {name}")
            else:
                found[name] = figures
        if part == "languages":
            print_errors(found)
        keys = list(dict.fromkeys(key for each in found.values() for key in each))
        print(f"\n| | {' | '.join(found)} |\n|---{'|---:' * len(found)}|")
        for key in keys:
            cells = [each[key] for each in found.values()]
            print(f"| {key} | {' | '.join(str(len(c)) if isinstance(c, list) else str(c) for c in cells)} |")
        for name, each in found.items():
            for key, value in each.items():
                if isinstance(value, list):
                    print(f"\n{name}, {key}: {'; '.join(' = '.join(pair) for pair in value)}")


if __name__ == "__main__":
    main()
