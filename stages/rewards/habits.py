"""The phrases by which reasoning shows its habits, and the reflection words of many languages.

English for the four habits of arXiv 2503.01307; reflection, the "aha moment" of the R1 paper, in each
language below. A phrase stands for its habit only roughly: these are figures to watch, not to pay.
"""

from __future__ import annotations

import re
from functools import lru_cache

PHRASES: dict[str, tuple[str, ...]] = {
    "verification": (
        r"(?:let(?:'s| us| me)|i(?:'ll| will| should| need to| want to| can)|to) (?:double[- ]?|re-?)?(?:check|verify|confirm|validate)\b(?! (?:if|whether) you)",
        r"\b(?:double|cross)[- ]check(?:ing|ed)?\b", r"\bsanity check\b", r"\bplug(?:ging)? (?:it|this|that|these|them|the \w+) back\b",
        r"\bsubstitut(?:e|ing) (?:it |this |that |them |the values? )?back\b", r"\bverif(?:y|ying|ication)\b(?=[:,]| (?:the|that|this|our|by))",
        r"\b(?:check|verify)ing (?:the|my|our|this|that)\b", r"\bthis (?:checks out|is consistent|matches)\b",
        r"(?:检查|验证|驗證|核对|验算|檢查)", r"確認(?:する|して|しよう)|検算", r"확인해|검산",
        r"\b(?:überprüfen|nachprüfen|vérifi(?:er|ons)|verifi(?:car|quemos)|comprob(?:ar|emos))\b", r"\bпровер(?:им|ить|ю|ка)\b",
    ),
    "subgoals": (
        r"\b(?:first|next|then|now|finally),? (?:i|we|let's|let us|let me)(?:'ll| will)? (?:need to|have to|must|want to|should|find|compute|calculate|determine|figure out|solve)\b",
        r"\bstep \d+\b", r"\b(?:break|split|divide) (?:this|it|the problem|that) (?:down|up|into)\b",
        r"\bthe (?:first|next|last|final) (?:step|part|thing) (?:is|will be)\b", r"\b(?:sub-?goals?|sub-?problems?)\b",
        r"\bmy (?:plan|strategy|approach) is\b", r"(?:第[一二三四五六]步|首先(?:需要|要|计算|求))", r"まず.{0,12}(?:求め|計算)", r"먼저.{0,12}(?:구하|계산)",
    ),
    "backtracking": (
        r"\b(?:that|this|it)(?:'s| is| was)? (?:not right|wrong|incorrect|a mistake|not correct|impossible)\b", r"\b(?:that|this|it) (?:does not|doesn't|won't|will not|didn't|can't) (?:work|help|fit|seem right|match)\b",
        r"\blet(?:'s| me| us) (?:try|use|consider|go with) (?:another|a different|something else|a new|the other)\b", r"\b(?:another|a different|an alternative) (?:approach|way|method)\b",
        r"\blet(?:'s| me| us) (?:go back|start over|start again|backtrack|redo|reconsider|rethink)\b", r"\bi made (?:a|an) (?:mistake|error)\b", r"\bscratch that\b", r"\b(?:go|going) back to\b",
        r"(?:换一种|换个|另一种)(?:方法|思路)|重新(?:考虑|计算|来)|(?:这|这样)不对", r"別の(?:方法|やり方)|やり直", r"다른 방법|다시 (?:해|계산|생각)",
    ),
    "backward_chaining": (
        r"\bwork(?:ing)? backwards?\b", r"\b(?:start|starting|begin|beginning) (?:from|with) the (?:target|goal|end|answer|result|desired)\b", r"\bto (?:get|reach|obtain|have) [^.,\n]{1,40}, (?:i|we) (?:need|would need|must have|should have)\b",
        r"\bin order to (?:get|reach|obtain)\b", r"\bwhat (?:would|do) (?:i|we) need (?:to|for)\b", r"\bin reverse\b", r"\bif the (?:answer|result|total) (?:is|were|was) [^.\n]{1,40} then\b",
        r"倒推|逆推|反推|从结果(?:出发|开始)", r"逆算", r"거꾸로|역으로",
    ),
}  # fmt: skip

# Words at which thinking halts and looks again. In English what the R1 paper's figure counts, and a few more.
REFLECTION: dict[str, tuple[str, ...]] = {
    "en": ("wait", "hold on", "hmm", "let me check", "let me verify", "check again", "let me re-?check", "let me re-?evaluate", "let me think again", "mistake", "however", "alternatively", "actually", "on second thought", "aha"),
    "zh": ("等等", "等一下", "不对", "不過", "不过", "再检查", "再想想", "重新考虑", "让我检查", "仔细想想", "其实", "或者说"),
    "ja": ("待って", "待てよ", "ちょっと待", "もう一度", "間違え", "間違い", "しかし", "実は", "考え直"),
    "ko": ("잠깐", "잠시만", "다시 확인", "다시 생각", "실수", "하지만", "사실은", "아니, "),
    "fr": ("attends", "attendez", "vérifions", "en fait", "cependant", "erreur", "voyons", "reprenons"),
    "de": ("moment mal", "warte", "warten sie", "noch einmal prüfen", "allerdings", "fehler", "tatsächlich", "eigentlich", "überprüfen wir"),
    "es": ("espera", "un momento", "verifiquemos", "revisemos", "sin embargo", "en realidad", "me equivoqué", "comprobemos"),
    "pt": ("espera", "espere", "vamos verificar", "no entanto", "na verdade", "errei"),
    "it": ("aspetta", "verifichiamo", "tuttavia", "in realtà", "ricontrolliamo"),
    "ru": ("подожди", "подождите", "погоди", "стоп", "проверим", "однако", "на самом деле", "ошиб(?:ка|ся|лась)"),
    "ar": ("انتظر", "لحظة", "دعني أتحقق", "لنتحقق", "ومع ذلك", "في الواقع", "خطأ"),
    "hi": ("रुको", "रुकिए", "ठहरो", "जाँच करें", "लेकिन", "वास्तव में", "गलती"),
    "vi": ("khoan đã", "chờ đã", "đợi đã", "kiểm tra lại", "tuy nhiên", "thực ra", "nhầm"),
    "th": ("เดี๋ยวก่อน", "รอก่อน", "ตรวจสอบอีกครั้ง", "อย่างไรก็ตาม", "จริงๆ แล้ว", "ผิดพลาด"),
    "tr": ("bekle", "dur bir", "kontrol edelim", "ancak", "aslında"),
    "id": ("tunggu", "mari kita periksa", "namun", "sebenarnya"),
}  # fmt: skip
KINDS = (*PHRASES, "reflection")


@lru_cache(maxsize=1)
def _patterns() -> dict[str, re.Pattern[str]]:
    """One pattern for each kind; compiled when the first text comes, as that takes some milliseconds."""
    spaced: list[str] = []
    scripted: list[str] = []
    for words in REFLECTION.values():
        for word in words:
            (
                spaced
                if word[0].isascii() or word[0].lower() in "éàü" or _letters(word)
                else scripted
            ).append(word)
    reflection = rf"(?<!\w)(?:{'|'.join(spaced)})(?!\w)|{'|'.join(scripted)}"
    sources = {kind: "|".join(phrases) for kind, phrases in PHRASES.items()} | {
        "reflection": reflection
    }
    return {kind: re.compile(source, re.IGNORECASE) for kind, source in sources.items()}


def _letters(word: str) -> bool:
    """Whether the word is of a script that puts spaces between words, and no marks inside them."""
    return word[0] <= "\u06ff" and not "\u0590" <= word[0] <= "\u06ff"


def counted(text: str) -> dict[str, float]:
    """How often each habit shows in `text`, by its name in KINDS."""
    plain = text.replace("’", "'")
    return {
        kind: float(sum(1 for _ in pattern.finditer(plain)))
        for kind, pattern in _patterns().items()
    }


def reflects(text: str) -> bool:
    """Whether a reflection word of any language stands in `text`."""
    return _patterns()["reflection"].search(text.replace("’", "'")) is not None
