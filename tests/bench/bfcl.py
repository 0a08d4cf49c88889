"""Verdicts of the reward `bfcl` beside those of bfcl-eval, from the same generations, item for item.

    python -m venv peer && peer/bin/pip install bfcl-eval==2026.3.23 soundfile
    pip install -c constraints.txt -e '.[bfcl]'
    R1_DATA=peer/lib/python3.11/site-packages/bfcl_eval/data \\
      python tests/bench/bfcl.py peer/bin/python [FILE...]

The peer stays in its own environment, and judges there by the functions that make its scores. Generations are
calls that the published answers allow, and changed ones: values of another type or spelling, arguments too
many or too few, other functions, more calls, another order, other forms of text. FILE has completions of a
model, as `r1 generate` makes them of `r1 prompts bfcl`. Prompts are compared, too, and of conversations all
that a model is shown at each step: the peer's own loop asks one that gives the same answers. It runs any
Python function that they name, where here there is no `print`. Each item that differs is a line. The peer
evaluates sums as Python; here it has no builtins for it, so that no generation runs code.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import io
import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stages.records.record import Record

SHOWN = 40
CHANGES = 6  # changed generations of each problem and mode
FOREIGN = ("simple_java", "simple_javascript")
WORDS = ("None of these.", "", "[]", "[{}]", "f", "[f]", "[1]", "It is 5.", "f()", "[f(a)]", "[f(a=1)]", "{}")


def theirs() -> None:
    """In the peer's environment: a verdict for each line of standard input."""
    from bfcl_eval.constants.enums import Language, ModelStyle, ReturnFormat
    from bfcl_eval.eval_checker import eval_runner
    from bfcl_eval.model_handler import utils
    from bfcl_eval.model_handler.api_inference.openai_completion import OpenAICompletionsHandler
    from bfcl_eval.model_handler.local_inference.qwen_fc import QwenFCHandler
    from bfcl_eval.utils import load_dataset_entry

    utils.eval = lambda text: eval(text, {"__builtins__": {}})
    said, called, tagged = (
        object.__new__(kind) for kind in (OpenAICompletionsHandler, OpenAICompletionsHandler, QwenFCHandler)
    )
    said.is_fc_model, called.is_fc_model = False, True
    judge = eval_runner._evaluate_single_multi_turn_entry
    entries: dict[str, Any] = {}
    kinds = {"simple_java": ("JAVA", "JAVA"), "simple_javascript": ("JAVASCRIPT", "JAVASCRIPT")}
    for line in sys.stdin:
        item = json.loads(line)
        category, given = item["category"], item["given"]
        if category not in entries:
            entries[category] = {each["id"]: each for each in load_dataset_entry(category)}
        if isinstance(given, dict) and "replies" in given:
            entry = copy.deepcopy(entries[category][item["id"]])
            called.model_style = said.model_style = ModelStyle.OPENAI_COMPLETIONS
            print(json.dumps(conversed(called if item["mode"] == "tools" else said, judge, entry, item)))
            continue
        if given is None:
            entry = copy.deepcopy(entries[category][item["id"]])
            functions, mode = entry["function"], item["mode"]
            later = entry["question"][1:]
            for turn, more in entry.get("missed_function", {}).items():
                later[int(turn) - 1] = [{"role": "user", "content": eval_more(utils, mode, more)}]
            if mode == "tools":
                made = utils.convert_to_tool(
                    functions, utils.GORILLA_TO_OPENAPI, utils.ModelStyle.OPENAI_COMPLETIONS
                )
                print(json.dumps([entry["question"][0], made, later]))
            else:
                made = utils.system_prompt_pre_processing_chat_model(
                    entry["question"][0], functions, item["id"]
                )
                print(json.dumps([made, None, later]))
            continue
        handler = said if item["mode"] == "words" else tagged if isinstance(given, str) else called
        given = given["steps"] if isinstance(given, dict) else given
        model = "gpt-4.1-2025-04-14-FC" if item["mode"] == "tools" else "gpt-4.1-2025-04-14"
        entry = {"id": item["id"], "function": item["function"]}
        language, form = (
            getattr(kind, name)
            for kind, name in zip(
                (Language, ReturnFormat), kinds.get(category, ("PYTHON", "PYTHON")), strict=True
            )
        )
        try:
            if category.startswith("multi_turn"):
                model = f"m{item['number']}"  # the state of a conversation is kept by it
                verdict = judge(
                    handler, item["id"], given, item["ground_truth"], {**entry, **item}, model, category
                )
            elif "relevance" in category:
                verdict = eval_runner._evaluate_single_relevance_entry(
                    handler, item["id"], given, entry, model, category
                )
            else:
                verdict = eval_runner._evaluate_single_ast_entry(
                    handler, item["id"], given, item["ground_truth"], entry, model, category, language, form
                )
            print(json.dumps([bool(verdict["valid"]), str(verdict.get("error", ""))[:300]]))
        except Exception as error:  # its program would end here
            print(json.dumps([None, f"{type(error).__name__}: {error}"]))


def conversed(handler: Any, judge: Any, entry: dict[str, Any], item: dict[str, Any]) -> list[Any]:
    """Where the program asks a model turn by turn: what it was shown at each step, how many of its answers
    were kept of each turn, and the verdict on them.
    """
    replies, shown = iter(item["given"]["replies"]), []
    tools = item["mode"] == "tools"

    def query(data: dict[str, Any]) -> tuple[Any, float]:
        shown.append([[plainly(each) for each in data["message"]], data.get("tools", [])])
        said = next(replies, "It is done.")
        calls = [
            SimpleNamespace(id=f"call_{len(shown)}_{k}", function=SimpleNamespace(name=name, arguments=given))
            for k, each in enumerate([] if isinstance(said, str) else said)
            for name, given in each.items()
        ]
        words = said if isinstance(said, str) else ""
        message = SimpleNamespace(role="assistant", content=words, tool_calls=calls or None)
        usage = SimpleNamespace(prompt_tokens=1, completion_tokens=1)
        return SimpleNamespace(choices=[SimpleNamespace(message=message)], usage=usage), 0.0

    handler.registry_name = handler.model_name_underline_replaced = f"m{item['number']}"
    handler._query_FC = handler._query_prompting = query
    ask_all = handler.inference_multi_turn_FC if tools else handler.inference_multi_turn_prompting
    with contextlib.redirect_stdout(io.StringIO()):
        kept, _ = ask_all(entry, False, True)
    found = judge(handler, entry["id"], kept, item["ground_truth"], entry, "m", item["category"])
    return [shown, [len(steps) for steps in kept], bool(found["valid"])]


def plainly(message: Any) -> list[Any]:
    """A message's role, words and calls."""
    said = message if isinstance(message, dict) else vars(message)
    calls = said.get("tool_calls") or []
    functions = [each["function"] if isinstance(each, dict) else vars(each.function) for each in calls]
    given = [
        [each["name"], json.loads(a) if isinstance(a := each["arguments"], str) else a] for each in functions
    ]
    return [said["role"], said["content"], given]


def eval_more(utils: Any, mode: str, functions: list[Any]) -> str:
    """What the peer says where functions come new."""
    if mode == "tools":
        return str(utils.DEFAULT_USER_PROMPT_FOR_ADDITIONAL_FUNCTION_FC)
    return str(utils.DEFAULT_USER_PROMPT_FOR_ADDITIONAL_FUNCTION_PROMPTING.format(functions=functions))


def ask(python: str, items: list[dict[str, Any]]) -> list[Any]:
    """What the peer says of each."""
    lines = "".join(json.dumps(each) + "\n" for each in items)
    done = subprocess.run(
        [python, __file__, "--peer"], input=lines, stdout=subprocess.PIPE, text=True, check=True
    )
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    assert len(found) == len(items), f"{len(found)} verdicts of {len(items)}"
    return found


def allowed_calls(record: dict[str, Any], source: random.Random) -> list[tuple[str, dict[str, Any]]]:
    """Calls that the answer allows, each argument by chance one of its values, some left out."""
    made = []
    for each in record["ground_truth"]:
        ((name, arguments),) = each.items()
        said = {}
        for key, values in arguments.items():
            real = [value for value in values if value != ""]
            if real and not ("" in values and source.random() < 0.5):
                said[key] = chosen(source.choice(real), source)
        made.append((name, said))
    return made


def chosen(value: Any, source: random.Random) -> Any:
    """An object of lists of allowed values becomes one of values."""
    if isinstance(value, dict):
        return {
            key: chosen(source.choice(several), source) if isinstance(several, list) and several else several
            for key, several in value.items()
            if not (isinstance(several, list) and "" in several and source.random() < 0.5)
        }
    if isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        return [chosen(each, source) for each in value]
    return value


def other(value: Any, source: random.Random) -> Any:
    """A value near another: of another type, or spelt otherwise."""
    if isinstance(value, str):
        near = [value.upper(), f" {value}.", value.replace(" ", "_"), value + "x", [value], value[:-1], 5, ""]
        near += [value.replace("'", '"'), f'"{value}"', value.replace(",", ""), {"value": value}]
    elif isinstance(value, bool):
        near = [not value, int(value), str(value), str(value).lower(), None]
    elif isinstance(value, int | float):
        near = [
            str(value),
            float(value),
            int(value),
            value + 1,
            -value,
            [value],
            None,
            value + 0.5,
            bool(value),
        ]
    elif isinstance(value, list):
        near = [value[::-1], value[1:], [*value, *value[:1]], tuple(value), str(value), [], [value]]
        if value:
            near += [
                [other(value[0], source), *value[1:]],
                value[0],
                [float(v) if type(v) is int else v for v in value],
            ]
    elif isinstance(value, dict):
        keys = list(value)
        near = [{**value, "extra": 1}, {}, [value], str(value), dict(reversed(value.items()))]
        if keys:
            key = source.choice(keys)
            near += [{**value, key: other(value[key], source)}, {k: v for k, v in value.items() if k != key}]
    else:
        near = [0, "", []]
    return source.choice(near)


Calls = list[tuple[str, dict[str, Any]]]


def changed(calls: Calls, record: dict[str, Any], source: random.Random) -> Calls:
    """The calls with one change, or several."""
    made = copy.deepcopy(calls)
    if not made or source.random() < 0.05:
        return [*made, ("f", {"a": 1})]
    place = source.randrange(len(made))
    name, said = made[place]
    match source.choice(
        ("value",) * 6 + ("less", "more", "name", "known", "twice", "drop", "order", "alike")
    ):
        case "value" if said:
            key = source.choice(list(said))
            said[key] = other(said[key], source)
        case "less" if said:
            del said[source.choice(list(said))]
        case "more":
            names = list(record["function"][0]["parameters"]["properties"])
            said[source.choice([*names, "extra"])] = source.choice([1, "a", [], True, 1.5, {}])
        case "name":
            made[place] = (source.choice([name + "x", name.replace(".", "_"), name.upper(), "f"]), said)
        case "known":
            made[place] = (source.choice(record["function"])["name"], said)
        case "twice":
            made.append((name, dict(said)))
        case "drop":
            del made[place]
        case "order":
            source.shuffle(made)
        case _:
            made[place] = (name, dict(reversed(said.items())))
    return changed(made, record, source) if source.random() < 0.2 else made


INTEGERS = ("{0} + 0", "+{0}", "{0} * 1", "~{0}", "{0}.0", "x", "a[0]", "2 ** {0}", "{0} // 1", "{0} % 'a'")
TEXTS = (
    "name",
    "f(1)",
    "g(a=1)",
    "...",
    "b'a'",
    "{0!r} + ''",
    "a.b",
    "not 1",
    "lambda: 1",
    "f'{{a}}'",
    "{0!r} * 1",
)
FORMS = (
    "{}", "`[{}]`", "```\n[{}]\n```", "```python\n[{}]\n```", "'[{}]'", "[{}", "{}]", "({})", "[[{}]]",
    "[{}] ", "Calls: [{}]", "[{}]\nDone.", "[{},]", "[{}, 5]", "[{}][0]", "{{{}}}", "[f({})]", "[a.{}]",
    "[{}](b=1)",     "[*{}]", "[{} + 1]", "[f()({})]", "\n[\n{}\n]", "[{}]#",
)  # fmt: skip
TAGGED = ("{}", "Here: {}", "{}\n", "<tool_call>\n{}", "{}<tool_call>\n[]\n</tool_call>", "<tool_call>\n{{")


def framed(inside: str, source: random.Random) -> str:
    return f"[{inside}]" if source.random() < 0.75 else source.choice(FORMS).format(inside)


def python_text(calls: Calls, source: random.Random) -> str:
    """As a model that is asked in words writes them, now and then in another form."""

    def written(value: Any) -> str:
        roll = source.random()
        if type(value) is int and roll < 0.1:
            return source.choice(INTEGERS).format(value)
        if isinstance(value, str) and roll < 0.06:
            return source.choice(TEXTS).format(value)
        return repr(value)

    said = (f"{name}({listed(given, written)})" for name, given in calls)
    return framed(", ".join(said), source)


def listed(given: dict[str, Any], written: Callable[[Any], str]) -> str:
    return ", ".join(f"{key}={written(value)}" for key, value in given.items())


def literal(value: Any, kind: str, language: str, source: random.Random) -> str:
    """An expression of Java or JavaScript for a value, as its type wants, or nearly so."""
    script = language == "javascript"
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        end = {"long": "L", "float": "" if script else "f", "Bigint": "n"}.get(kind, "")
        return f"{value}{end if source.random() < 0.9 else ''}"
    if isinstance(value, list | tuple):
        items = [literal(each, "", language, source) for each in value]
        inside = ", ".join(items)
        forms = [f"new String[]{{{inside}}}", f"new int[] {{{inside}}}", f"{{{inside}}}"]
        if script:
            forms = [f"[{inside}]", f"new Array({inside})"]
        elif kind == "ArrayList":
            added = " ".join(f"add({each});" for each in items)
            forms = [
                f"new ArrayList<>(Arrays.asList({inside}))",
                f"new ArrayList<String>() {{{{ {added} }}}}",
            ]
        return source.choice(forms)
    if isinstance(value, dict):
        members = {key: literal(each, "", language, source) for key, each in value.items()}
        if script:
            return "{" + ", ".join(f"{key}: {each}" for key, each in members.items()) + "}"
        puts = " ".join(f'put("{key}", {each});' for key, each in members.items())
        return f"new HashMap<String, Object>() {{{{ {puts} }}}}"
    return json.dumps(value, ensure_ascii=False) if kind != "any" or source.random() < 0.5 else value


def foreign_text(calls: Calls, record: dict[str, Any], source: random.Random) -> str:
    """Calls of Java or JavaScript."""
    language = record["category"].removeprefix("simple_")
    kinds = record["function"][0]["parameters"]["properties"]
    said = []
    for name, given in calls:
        arguments = {
            key: literal(each, kinds.get(key, {}).get("type", ""), language, source)
            for key, each in given.items()
        }
        said.append(f"{name}({listed(arguments, str)})")
    return framed(", ".join(said), source)


def given_tools(calls: Calls, source: random.Random) -> str | list[dict[str, str]]:
    """Calls as text between tags, or as the peer holds those of a turn."""
    named = [(name.replace(".", "_") if source.random() < 0.97 else name, given) for name, given in calls]
    if source.random() < 0.5:
        made = [{name: json.dumps(given)} for name, given in named]
        return [*made, {"f": source.choice(["[]", "5", "{", ""])}] if source.random() < 0.05 else made
    said = [json.dumps({"name": name, "arguments": given}) for name, given in named]
    if source.random() < 0.1:
        said.append(
            source.choice(["{", "5", "[]", '{"name": "f"}', '{"name": "f", "arguments": []}', "null"])
        )
    text = "\n".join(f"<tool_call>\n{each}\n</tool_call>" for each in said)
    return text if source.random() < 0.85 else source.choice(TAGGED).format(text)


def generations(record: dict[str, Any], mode: str, source: random.Random) -> Iterator[Any]:
    """What models might write for a problem: an allowed answer, then changed ones."""
    for k in range(CHANGES + 1):
        if "ground_truth" in record:
            calls = allowed_calls(record, source)
        else:
            calls = [(source.choice(record["function"])["name"], {"a": 1})] if record["function"] else []
        calls = changed(calls, record, source) if k else calls
        if mode == "tools":
            yield given_tools(calls, source)
        elif record["category"] in FOREIGN:
            yield foreign_text(calls, record, source)
        elif "ground_truth" not in record and k % 2:
            yield source.choice(WORDS)
        else:
            yield python_text(calls, source)


def conversations(record: dict[str, Any], mode: str, source: random.Random) -> Iterator[dict[str, Any]]:
    """The calls of a published answer turn by turn, in steps, as they are and changed."""
    kinds = {each["name"]: list(each["parameters"]["properties"]) for each in record["function"]}
    for k in range(CHANGES):
        turns = [[named(text, kinds) for text in turn] for turn in record["ground_truth"]]
        for _ in range(k and source.randint(1, 2)):
            turn = source.choice(turns)
            match source.choice(("value", "value", "drop", "order", "twice", "other", "turn", "nested")):
                case "value" if turn and (said := source.choice(turn)[1]):
                    key = source.choice(list(said))
                    said[key] = other(said[key], source)
                case "drop" if turn:
                    del turn[source.randrange(len(turn))]
                case "order":
                    source.shuffle(turn)
                case "twice" if turn:
                    turn.append(copy.deepcopy(source.choice(turn)))
                case "other":
                    turn.append((source.choice([*kinds, "unknown", "print", "a.b"]), {}))
                case "nested" if turn:
                    turn.append((source.choice(list(kinds)), {"a": {source.choice(list(kinds)): {}}}))
                case "turn" if source.random() < 0.2:
                    turns.pop()
        steps: list[list[Any]] = []
        for turn in turns:
            size = source.choice((1, 9))
            parts = [turn[n : n + size] for n in range(0, len(turn), size)]
            if mode == "tools":
                steps.append([[{name: json.dumps(said)} for name, said in part] for part in parts])
            else:
                steps.append([f"[{', '.join(f'{n}({listed(s, repr)})' for n, s in part)}]" for part in parts])
            steps[-1].append("It is done.")
        yield {"steps": steps}


def named(text: str, kinds: dict[str, list[str]]) -> tuple[str, dict[str, Any]]:
    """A call of a published answer, its arguments by name."""
    body = ast.parse(text.strip(), mode="eval").body
    assert isinstance(body, ast.Call)
    assert isinstance(body.func, ast.Name)
    names = kinds.get(body.func.id, [])
    said = {name: ast.literal_eval(each) for name, each in zip(names, body.args, strict=False)}
    said |= {str(each.arg): ast.literal_eval(each.value) for each in body.keywords}
    return body.func.id, said


def conversation(steps: list[list[Any]]) -> list[dict[str, Any]]:
    """Steps as the messages of a completion."""
    made: list[dict[str, Any]] = []
    for k, turn in enumerate(steps):
        made += [{"role": "user", "content": "And?"}] if k else []
        for step in turn:
            message: dict[str, Any] = {"role": "assistant", "content": step}
            if not isinstance(step, str):
                calls = [{"function": {"name": n, "arguments": s}} for each in step for n, s in each.items()]
                message = {"role": "assistant", "content": "", "tool_calls": calls}
            made.append(message)
    return made


def ours(record: dict[str, Any], given: Any) -> tuple[float | None, str]:
    """The verdict of the reward."""
    if isinstance(given, dict):
        verdict = bfcl({**record, "completion": conversation(given["steps"])})
        return verdict.value, verdict.reason
    if isinstance(given, list):
        calls = [
            {"type": "function", "function": {"name": name, "arguments": said}}
            for each in given
            for name, said in each.items()
        ]
        given = [{"role": "assistant", "content": "" if calls else "No.", "tool_calls": calls}]
    verdict = bfcl({**record, "completion": given})
    return verdict.value, verdict.reason


def replied(steps: list[list[Any]], source: random.Random) -> list[Any]:
    """The answers of a model in order; now and then it calls the same to no end."""
    made = [step for turn in steps for step in turn]
    if source.random() < 0.03:
        made[1:1] = [made[0]] * 25
    return made


def asked_on(record: Record, replies: list[Any], mode: str) -> list[Any]:
    """As `conversed`, by the reward: a model is asked until there is no more to ask."""
    turns = record["prompt"]
    said = {**record, "steps_before": [[]]}
    shown, rest = [], iter(replies)
    while True:
        shown.append([[plainly(each) for each in turns], said.get("tools") or []])
        reply = next(rest, "It is done.")
        if not isinstance(reply, str):
            calls = [
                {"name": n, "arguments": json.loads(value)} for each in reply for n, value in each.items()
            ]
            reply = "\n".join(f"<tool_call>\n{json.dumps(each)}\n</tool_call>" for each in calls)
        said = {**said, "last_prompt": turns, "completion": reply}
        more = again(Record({**said, "tools": record["tools"]} if mode == "tools" else said))
        if more is None:
            break
        fields, turns = more
        said = {**said, **fields}
    return [shown, [len(each) for each in steps_of(said)], bfcl(said).value == 1]


def conversed_alike(python: str, several: list[Record], mode: str, source: random.Random) -> None:
    """Prints of how many conversations all that the model is shown is equal, and each that is not."""
    items = [
        (record, replied(given["steps"], source))
        for record in several
        for given in list(conversations(record, mode, source))[:2]
    ]
    asked = [
        {"id": record["id"].removeprefix("bfcl-"), "category": record["category"], "mode": mode}
        | {"given": {"replies": replies}, "number": f"{mode}{number}", "ground_truth": record["ground_truth"]}
        for number, (record, replies) in enumerate(items)
    ]
    unlike, steps, right = [], 0, 0
    for (record, replies), theirs in zip(items, ask(python, asked), strict=True):
        mine = json.loads(json.dumps(asked_on(record, replies, mode)))
        steps, right = steps + len(theirs[0]), right + theirs[2]
        if mine != theirs:
            pairs = zip(mine[0], theirs[0], strict=False)
            first = next(
                ((one[0][-1:], other[0][-1:]) for one, other in pairs if one != other), (mine[1:], theirs[1:])
            )
            unlike.append(f"   {record['id']} {mode}: r1 {first[0]}, peer {first[1]}")
    equal = len(items) - len(unlike)
    print(f"asked on, {mode}: {len(items)} conversations of {steps} steps, {right} right, {equal} equal")
    print("\n".join(line[:900] for line in unlike[:SHOWN]), end="\n" if unlike else "", flush=True)


def compared(title: str, python: str, items: list[tuple[dict[str, Any], str, Any]]) -> None:
    """Prints how many verdicts are equal, how many are right of each category, and each that is not equal."""
    keys = ("category", "function", "ground_truth", "involved_classes", "initial_config")
    asked = [
        {"id": record["id"].removeprefix("bfcl-"), "mode": mode, "given": given, "number": number}
        | {key: record[key] for key in keys if key in record}
        for number, (record, mode, given) in enumerate(items)
    ]
    right: Counter[str] = Counter()
    unlike = []
    for (record, mode, given), (theirs, why) in zip(items, ask(python, asked), strict=True):
        value, reason = ours(record, given)
        right[record["category"]] += bool(theirs)
        if value != theirs:
            unlike.append(
                f"   {record['id']} {mode}: r1 {value} ({reason}), peer {theirs} ({why}): {given!r}"
            )
    equal = len(items) - len(unlike)
    print(f"{title}: {len(items)} generations, {equal} equal; right by the peer: {dict(right)}", flush=True)
    print("\n".join(line[:600] for line in unlike[:SHOWN]), end="\n" if unlike else "")


def main(python: str, *files: str) -> None:
    source = random.Random(0)
    for mode in ("words", "tools"):
        records = [*problems(mode=mode), *problems(mode=mode, task="multi_turn")]
        asked = [
            {"id": r["id"].removeprefix("bfcl-"), "category": r["category"], "mode": mode, "given": None}
            for r in records
        ]
        prompts = ask(python, asked)
        told = [
            [each["prompt"], each.get("tools"), [turn["messages"] for turn in each.get("turns", ())]]
            for each in records
        ]
        same = sum(mine == made for mine, made in zip(told, prompts, strict=True))
        print(f"prompts, {mode}: {len(records)}, {same} equal")
        several = [each for each in records if "turns" in each]
        one = [each for each in records if "turns" not in each]
        made = [(record, mode, given) for record in one for given in generations(record, mode, source)]
        compared(f"made, {mode}", python, made)
        made = [(record, mode, given) for record in several for given in conversations(record, mode, source)]
        compared(f"conversations, {mode}", python, made)
        conversed_alike(python, several, mode, source)
    for file in files:
        lines = [json.loads(line) for line in Path(file).read_text("utf-8").splitlines()]
        mode = "tools" if lines[0].get("tools") else "words"
        compared(file, python, [(line, mode, line["completion"]) for line in lines])


if __name__ == "__main__":
    if sys.argv[1:] == ["--peer"]:
        theirs()
    else:
        from stages.benchmarks.bfcl import problems
        from stages.grading.leaderboard.conversation import steps_of
        from stages.records.record import Record
        from stages.rewards.bfcl import again, bfcl

        main(*sys.argv[1:])
