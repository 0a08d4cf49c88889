"""The part of docs/gpu.md that the kit writes from its results."""

from __future__ import annotations

from typing import Any

TITLES = {
    "equality": "Equality with the CPU in float32",
    "runs": "Kills and guards",
    "zero": "ZeRO with one rank against none",
    "lengths": "Long sequences, forwards and backwards",
}
TITLE = "## What was found"
SPEEDS = (
    "Tokens per second of r1 and, on the same input, of TRL (`generate`: of transformers), and GiB at most "
    "beside what `--dry-run` says."
)


def page(rows: list[dict[str, Any]], size: str) -> str:
    """All from the title on."""
    failed = [row for row in rows if not row.get("ok", True)]
    seconds = sum(row.get("seconds", 0.0) for row in rows)
    counted = sum("ok" in row for row in rows)
    lines = [
        TITLE,
        "",
        f"Size {size}: {counted} rows, {len(failed)} of them failed, in {seconds / 60:.1f} minutes.",
        "",
        "| | |",
        "|---|---|",
    ]
    facts = [row for row in rows if row["part"] == "machine/facts" and "ok" in row]
    lines += [f"| {row['name']} | {row['figure']} |" for row in facts]
    for section, title in TITLES.items():
        found = [row for row in rows if row["part"].startswith(f"{section}/") and "ok" in row]
        if found:
            lines += ["", f"### {title}", "", "| part | what | measured | bound | |", "|---|---|---|---|---|"]
            lines += [_line(row) for row in found]
    speeds = [row for row in rows if row["part"].startswith("speed/") and "ok" in row]
    if speeds:
        lines += ["", "### Speed and memory", "", SPEEDS, "", *_speeds(speeds)]
    return "\n".join(lines) + "\n"


def _line(row: dict[str, Any]) -> str:
    state = "holds" if row["ok"] else "**FAILED**"
    measured = _cell(row["figure"]) + (f" ({_cell(row['note'])})" if row["note"] else "")
    part = row["part"].partition("/")[2]
    return f"| {part} | {_cell(row['name'])} | {measured} | {_cell(row.get('bound', ''))} | {state} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _speeds(rows: list[dict[str, Any]]) -> list[str]:
    """One line for each workload, r1 and its peer side by side; then what failed or was left out."""
    ours, theirs = (
        {row["name"]: row["figures"] for row in rows if row["part"].endswith(end) and row.get("figures")}
        for end in ("-r1", "-trl")
    )
    lines = ["| what | r1 | TRL | ratio | r1 GiB | planned | TRL GiB |", "|---|---|---|---|---|---|---|"]
    for name in dict.fromkeys([*ours, *theirs]):
        one, other = ours.get(name, {}), theirs.get(name, {})
        ratio = f"{one['rate'] / other['rate']:.2f}" if one and other else "–"
        rates = [f"{each['rate']:,.0f}" if each else "–" for each in (one, other)]
        planned = f"{one['plan']:.2f}" if one.get("plan") else "–"
        sizes = [f"{each['peak']:.2f}" if each else "–" for each in (one, other)]
        lines.append(f"| {name} | {' | '.join(rates)} | {ratio} | {sizes[0]} | {planned} | {sizes[1]} |")
    rest = [row for row in rows if not row.get("figures")]
    if rest:
        lines += ["", "| part | what | measured | bound | |", "|---|---|---|---|---|", *map(_line, rest)]
    return lines
