"""Monte Carlo tree search over the steps of a chain, a round at a time for all problems: claim 14.

    tree_search.py begin PROBLEMS > TREES     trees of a root each: nothing has been said
    tree_search.py open TREES                 of each tree the beginning that is to be gone on from
    tree_search.py grow TREES DRAWN > NEXT    the trees with the steps that were drawn for it
    tree_search.py answers TREES              the best chain of each problem, as a completion

A node is a beginning of a chain. From the root, of the children that can be gone on from the one is taken
whose mean worth and bonus for few visits are highest (UCT, Kocsis and Szepesvari 2006), down to a node with
no children. Steps drawn for it become its children, and what they are worth is added to all above them.
The best chain is the one that has ended and is worth most; where none has, the longest one worth most.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

EXPLORATION = 0.5  # of worths between 0 and 1
Row = dict[str, Any]


def rows(path: str) -> list[Row]:
    return [json.loads(line) for line in Path(path).read_text("utf-8").splitlines()]


def begin(problem: Row) -> Row:
    """A tree of a root. A node has its beginning, its parent, what it is worth, and what its visits were."""
    root = {"begun": "", "parent": None, "worth": 0.0, "visits": 1, "total": 0.0, "ended": False}
    return {"record": problem, "nodes": [root]}


def chosen(nodes: list[Row]) -> int | None:
    """The node to go on from; None where all chains have ended."""
    children: dict[int, list[int]] = {}
    for place, node in enumerate(nodes):
        if node["parent"] is not None:
            children.setdefault(node["parent"], []).append(place)
    live = [not node["ended"] for node in nodes]
    for place in reversed(range(len(nodes))):  # a child stands after its parent
        if place in children:
            live[place] = any(live[child] for child in children[place])
    if not live[0]:
        return None
    at = 0
    while at in children:
        spread = math.log(nodes[at]["visits"])
        at = max((child for child in children[at] if live[child]), key=lambda c: _bound(nodes[c], spread))
    return at


def _bound(node: Row, spread: float) -> float:
    return float(node["total"] / node["visits"] + EXPLORATION * math.sqrt(spread / node["visits"]))


def grown(tree: Row, drawn: Iterable[Row]) -> Row:
    """The tree with the steps that were drawn for its node; what had been drawn before is visited again."""
    nodes = tree["nodes"]
    said = {node["begun"]: place for place, node in enumerate(nodes)}
    for step in drawn:
        at: int | None = said.get(step["begun"])
        if at is None:
            at = said[step["begun"]] = len(nodes)
            nodes.append(
                {"begun": step["begun"], "parent": step["node"], "worth": step["reward"] or 0.0, "visits": 0,
                 "total": 0.0, "ended": step["ended"]}
            )  # fmt: skip
        worth = nodes[at]["worth"]
        while at is not None:
            nodes[at]["visits"] += 1
            nodes[at]["total"] += worth
            at = nodes[at]["parent"]
    return tree


def opened(tree: Row) -> Row | None:
    node = chosen(tree["nodes"])
    if node is None:
        return None
    record, begun = tree["record"], tree["nodes"][node]["begun"]
    return {**record, "id": f"{record['id']} {node}", "problem": record["id"], "node": node,
            "asked": record["prompt"], "begun": begun, "prompt": record["prompt"] + begun}  # fmt: skip


def answered(tree: Row) -> Row:
    best = max(tree["nodes"], key=lambda node: (node["ended"], node["worth"], len(node["begun"])))
    return {**tree["record"], "completion": best["begun"]}


def main() -> None:
    match sys.argv[1:]:
        case ["begin", problems]:
            made: Iterable[Row | None] = map(begin, rows(problems))
        case ["open", trees]:
            made = map(opened, rows(trees))
        case ["grow", trees, drawn]:
            of: dict[str, list[Row]] = {}
            for step in rows(drawn):
                of.setdefault(step["problem"], []).append(step)
            made = (grown(tree, of.get(tree["record"]["id"], [])) for tree in rows(trees))
        case ["answers", trees]:
            made = map(answered, rows(trees))
        case _:
            sys.exit(__doc__)
    for row in made:
        if row is not None:
            print(json.dumps(row, ensure_ascii=False))


if __name__ == "__main__":
    main()
