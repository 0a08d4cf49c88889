"""How completions announce an answer, in the languages a model may answer in.

Each phrase ends where the answer begins: `the answer is`, `Respuesta:`, `答案是`, `정답은`.
"""

from __future__ import annotations

import re

ENGLISH = (
    r"\bfinal answer\b[^\n:=]{0,60}?(?:\bis\b|:|=)"
    r"|(?<!this )(?<!that )\b(?:the |my |our )?(?:correct |right |best )?answer\b(?: "
    r"(?:choice|option))?(?:\s+is\b:?|\s*[:=])"
    r"|\bcorrect (?:choice|option|statement)\b(?:\s+is\b:?|\s*[:=])"
    r"|[\"']answer[\"']\s*:"
    r"|^[ \t]*A:"
    r"|^[ \t]*(?:#+|\*\*)[ \t]*(?:the )?(?:final )?answer[ \t]*(?:[:*][ \t*]*)?$"
)
SO = r"(?:\s*(?:donc|also|pues|por lo tanto|wirklich)\b)?"
# Languages of the Latin script: the noun, its adjectives, and the verb or sign after it.
LATIN = (
    rf"\br[ée]ponse(?:\s+(?:finale|correcte|exacte))*\s*(?:est\b{SO}|[:=])"
    rf"|\b(?:antwort|lösung|ergebnis)\s*(?:lautet\b{SO}|ist\b{SO}|[:=])"
    rf"|\b(?:respuesta|opción|solución)(?:\s+(?:final|correcta))*\s*(?:es\b{SO}|[:=])"
    r"|\b(?:resposta|opção)(?:\s+(?:final|correta|certa))*\s*(?:é\b|és\b|[:=])"
    r"|\brisposta(?:\s+(?:finale|corretta|esatta|giusta))*\s*(?:è\b|[:=])"
    r"|\bantwoord\s*(?:is\b|[:=])|\bodpowied[źz]\s*(?:to\b|[:=])|\bodpověď\s*(?:je\b|[:=])"
    r"|\bsvar(?:et)?\s*(?:är\b|er\b|[:=])|\brăspuns(?:ul)?\s*(?:este\b|e\b|[:=])"
    r"|\b(?:válasz|cevap|vastaus)\s*(?:on\b|[:=])"
    r"|\b(?:đáp án|câu trả lời)(?:\s+(?:đúng|cuối cùng))*\s*(?:là\b|[:=])"
    r"|\bjawaban(?:nya)?(?:\s+(?:akhir|yang benar))*\s*(?:adalah\b|[:=])|\bjibu\s*(?:ni\b|[:=])"
)
OTHER = (
    r"(?:答案|選項|选项|结果|結果)\s*(?:(?:应该|應該|应|應|便|就|也|依次|分别)+\s*)?(?:是|为|為|選|选|[:：=])(?:选项|選項)?"
    r"|故?[应應]?[该該]?[选選](?:择|擇)?(?:选项|選項|答案)?(?:\s*[:：])?(?=\s*[(（]?[A-Z][)）。，,.]?(?:[^A-Za-z]|$))"
    r"|(?:正解|答え|解答|回答|解|選択肢|せいかい|こたえ)\s*(?:は|が|[:：=])、?"
    r"|(?:정답|답변|해답|답)\s*(?:은|는|이|[:：=])"
    r"|(?:ال)?(?:إجابة|اجابة|الإجابه|جواب|حل)(?:\s+(?:الصحيحة|النهائية|النهائي|الصحيح))*\s*(?:هي|هو|[:：=])"
    r"|\bответ(?:ом)?\s*(?:будет\b|является\b|это\b|[-–—:=])|\bвідповідь\s*(?:це\b|[-–—:=])"
    r"|(?:उत्तर|जवाब)\s*(?:है|[:=])|(?:উত্তর)\s*(?:হলো|হল|[:=])|సమాధానం(?:\s*[:=])?"
    r"|คำตอบ(?:ที่ถูกต้อง|สุดท้าย)?\s*(?:คือ|[:=])|\bαπάντηση\s*(?:είναι\b|[:=])"
    r"|(?:התשובה|תשובה)(?:\s+(?:הנכונה|הסופית))*\s*(?:היא|[:=])|(?:پاسخ)\s*(?:[:=]|برابر)"
)
# What every announcement in ASCII has in it.
NOUNS = (
    "answer", "correct", "a:", "reponse", "antwo", "ergebnis", "respuesta", "resposta", "risposta",
    "odpowied",
    "svar", "jawaban", "jibu", "cevap", "vastaus",
)  # fmt: skip
SUBJECT = re.compile(
    r"\b(?:answer|antwort|réponse|respuesta|resposta|risposta|ответ)\b|答案|答え|정답|الجواب|الإجابة",
    re.IGNORECASE,
)
NEAR = 2000
LETTERS = re.compile(r"[\u00e0-\u1fff\u3040-\uffef]")  # of other scripts, and with accents
DRESSING = r"[\s*]*"
SAYS_ASCII = re.compile(rf"(?:{ENGLISH}|{LATIN}){DRESSING}", re.IGNORECASE | re.MULTILINE)
SAYS = re.compile(rf"(?:{ENGLISH}|{LATIN}|{OTHER}){DRESSING}", re.IGNORECASE | re.MULTILINE)

# An announcement after the answer: `B is correct`, `B ist die richtige Antwort`, `B が正解`.
IS_RIGHT = (
    r"\s*(?:is|would be|must be)\s+(?:the\s+)?(?:correct|right|best|true|answer)"
    r"|\s*(?:est|ist|es|è|é)\s+(?:(?:la|die|le|l'|a|una?\s)\s*)?"
    r"(?:bonne|richtige|korrekte|respuesta|opción|réponse|resposta|risposta|correct|richtig|korrekt)"
    r"|\s*(?:(?:是|为|為)\s*)?(?:正确|正確|对的|對的)|\s*(?:が|は)\s*(?:正解|正しい|答え)"
    r"|\s*(?:가|이|번이|번)\s*(?:정답|맞|옳|답)|\s*(?:هي|هو)\s+(?:الإجابة|الجواب|الصحيح)"
    r"|\s*(?:верно|правильн)|\s*सही"
)


def names_answer(text: str) -> bool:
    """Whether a sentence speaks of the answer."""
    return SUBJECT.search(text) is not None


def announced(text: str) -> tuple[int, int] | None:
    """Where the last announcement in `text` begins, and where it ends and the answer begins."""
    # Most stand near the end, and a text may be long.
    for start in (max(0, len(text) - NEAR), 0) if len(text) > NEAR else (0,):
        part = text[start:]
        for near in _lines(part):
            last = None
            for last in _pattern(part).finditer(part, near):  # noqa: B007
                pass
            if last is not None:
                return start + last.start(), start + last.end()
    return None


def _lines(text: str) -> list[int]:
    """Where to look for the last announcement: the line of the last word that opens one, then the whole
    text."""
    if not text.isascii():
        return [0]
    lower = text.lower()
    last = max(map(lower.rfind, NOUNS))
    return [] if last < 0 else list(dict.fromkeys((lower.rfind("\n", 0, last) + 1, 0)))


def announcements(text: str) -> list[tuple[int, int]]:
    """Where the announcements near the end of `text` begin and end, in order."""
    start = max(0, len(text) - NEAR)
    part = text[start:]
    return [(start + match.start(), start + match.end()) for match in _pattern(part).finditer(part)]


def last_end(text: str) -> int:
    """Where the last announcement in a short text ends; -1 where there is none."""
    lower = text.lower()
    if True not in map(lower.__contains__, NOUNS) and (lower.isascii() or not LETTERS.search(lower)):
        return -1
    last = announced(text)
    return -1 if last is None else last[1]


def _pattern(text: str) -> re.Pattern[str]:
    return SAYS_ASCII if text.isascii() else SAYS
