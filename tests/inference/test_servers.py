"""Several servers as one backend: work is spread, one that fails costs nothing, one that is dead is named."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import R1
from served import Served
from test_client import SERVER, SHORT, Notes, problems, repeats

from stages import generate
from stages.inference.server import client, health
from stages.inference.server.client import Fetch, Servers
from stages.inference.server.fleet import Fleet, Site
from stages.records.jsonl import Journal
from stages.records.record import Record
from stages.runtime.errors import Unavailable, UsageError
from stages.settings.groups import Endpoint

VERSION = (200, {"version": "0.32.0"})
DEAD = (500, {"error": {"message": "EngineCore encountered an issue. See stack trace (above)"}})


def replies(servers: Servers, *texts: str) -> list[str]:
    """The replies to what a user says, in order, asked one after the other."""
    asked = [[("user", text)] for text in texts]
    found = dict(servers.chat(asked, model="m", max_tokens=5, jobs=1))
    return [found[number].text for number in range(len(texts))]  # type: ignore[union-attr]


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Served, Served]]:
    monkeypatch.setattr(client, "FIRST", 0.02)
    monkeypatch.setattr(client, "LONGEST", 0.2)
    monkeypatch.setattr(client, "PROBE", 0.1)
    monkeypatch.setattr(health, "ANSWER", 0.5)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    made = Served(), Served()
    for each in made:
        each.reply = repeats
    yield made
    for each in made:
        each.stop()


def stream(
    servers: tuple[Served, ...], count: int, *, patience: float = 20.0, **beside: Any
) -> Iterator[Record]:
    end = Endpoint(tuple(each.url for each in servers), patience=patience)
    settings = generate.Settings(
        model="m", template="none", samples=2, sampling=SHORT, engine=SERVER, endpoint=end
    )
    return generate.run(problems(count), settings, **beside)


def made(servers: tuple[Served, ...], count: int = 20, **options: Any) -> list[Record]:
    return list(stream(servers, count, **options))


def slowly(seconds: float) -> Callable[[dict[str, Any]], tuple[int, Any]]:
    return lambda body: time.sleep(seconds) or repeats(body)


def completions(served: Served) -> int:
    return served.paths.count("/v1/completions")


def test_requests_are_spread_by_load_and_who_answers_makes_no_difference(two: tuple[Served, Served]) -> None:
    quick, slow = two
    quick.reply, slow.reply = slowly(0.02), slowly(0.1)
    records = made(two, 40)
    assert completions(quick) + completions(slow) == 80, "each is asked for once"
    assert completions(slow) >= 8
    assert completions(quick) > 1.5 * completions(slow), "who has less to do gets more"
    assert records == made((quick,), 40)


def test_one_that_is_away_from_the_start_is_named_once_and_used_when_it_comes(
    two: tuple[Served, Served],
) -> None:
    here, away = two
    away.stop()
    here.reply = slowly(0.02)
    threading.Timer(0.5, away.start).start()
    notes = Notes()
    records = made(two, 100, report=notes)
    assert [r["id"] for r in records] == [f"p{i}#{k}" for i in range(100) for k in range(2)]
    about = [said for said in notes.said if said.startswith(away.url)]
    assert len(about) == 2, about
    assert "Connection refused; the other servers are asked" in about[0]
    assert about[1] == f"{away.url} answers again"
    assert completions(away)


@pytest.mark.parametrize("how", ["killed", "hangs up", "dead engine", "dead by its health", "no sense"])
def test_one_that_fails_in_the_middle_loses_and_doubles_nothing(
    two: tuple[Served, Served], how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = two
    broken = threading.Event()
    answered = Counter[str]()

    def reply(body: dict[str, Any]) -> tuple[int, Any]:
        time.sleep(0.01)
        if broken.is_set():
            if how == "dead by its health":
                return 500, {}
            return {"dead engine": DEAD, "no sense": (200, {})}.get(how, (0, None))
        answered[body["prompt"]] += 1
        if answered.total() == 10:
            broken.set()
            if how == "killed":
                threading.Thread(target=bad.stop).start()
            if how.startswith("dead"):
                bad.pages |= {"/health": (503, b""), "/version": VERSION}
        return repeats(body)

    good.reply, bad.reply = slowly(0.01), reply
    notes = Notes()
    records = made(two, 40, report=notes)
    assert [r["id"] for r in records] == [f"p{i}#{k}" for i in range(40) for k in range(2)]
    assert len({r["completion"] for r in records}) == 80
    about = [said for said in notes.said if said.startswith(f"{bad.url}:")]
    assert "the other servers" in about[0], about
    if how.startswith("dead"):
        assert "its engine is dead" in about[0]
        assert len(about) == 1
    assert not any(said.startswith(f"{good.url}:") for said in notes.said)


def test_one_that_hangs_gives_its_requests_back(two: tuple[Served, Served]) -> None:
    good, bad = two
    hung = threading.Event()

    def reply(body: dict[str, Any]) -> tuple[int, Any]:
        if body["prompt"] == "9+2=":
            hung.set()
            bad.pages["/health"] = (0, None)
        if hung.is_set():
            time.sleep(60)
        return repeats(body)

    good.reply, bad.reply = slowly(0.02), reply
    began, notes = time.monotonic(), Notes()
    assert len(made(two, 40, report=notes)) == 80
    assert time.monotonic() - began < 30
    assert any("no answer to /health" in said and bad.url in said for said in notes.said), notes.said


def test_one_that_hangs_after_it_was_set_aside_gives_its_requests_back(two: tuple[Served, Served]) -> None:
    good, bad = two
    asked = threading.Event()
    bad.pages["/health"] = (0, None)
    bad.reply = lambda body: asked.set() or time.sleep(60) or repeats(body)
    fleet = Fleet([bad.url, good.url])
    hangs = fleet.sites[0]
    hangs.shows_health = True

    def set_aside() -> None:
        asked.wait(20)
        fleet.set_aside(hangs, "503")

    threading.Thread(target=set_aside, daemon=True).start()
    began = time.monotonic()
    with Servers(fleet, patience=5) as servers:
        assert replies(servers, "a") == [" a 0"]
    assert time.monotonic() - began < 30


def test_one_whose_health_a_proxy_once_answered_is_still_known_to_hang(two: tuple[Served, Served]) -> None:
    bad, good = two
    bad.pages["/health"] = (502, b"")
    bad.reply = lambda body: time.sleep(60) or repeats(body)
    for after, page in ((0.5, (200, b"")), (1.5, (0, None))):
        threading.Timer(after, bad.pages.__setitem__, ("/health", page)).start()
    began = time.monotonic()
    with Servers(Fleet([bad.url, good.url]), patience=5) as servers:
        assert replies(servers, "a") == [" a 0"]
    assert len(bad.asked) == 1
    assert time.monotonic() - began < 30


def test_one_that_is_busy_does_not_stand_aside(two: tuple[Served, Served]) -> None:
    busy, _ = two
    left = iter(range(10))
    busy.reply = lambda body: (429, {}) if next(left, None) is not None else repeats(body)
    fleet = Fleet([each.url for each in two])
    with Servers(fleet, patience=5) as servers:
        for _ in range(5):
            replies(servers, "a")
            assert not fleet.sites[0].trouble
    assert len(busy.asked) > 3


def test_pages_that_may_come_later_make_no_server_unfit(two: tuple[Served, Served]) -> None:
    fleet = Fleet([each.url for each in two])
    for served, site in zip(two, fleet.sites, strict=True):
        fleet.set_aside(site, "refused")
        served.models, served.pages["/health"] = (502, {}), (200, {})
        threading.Timer(0.5, setattr, (served, "models", (200, {"data": []}))).start()

    def fit(site: Site, fetch: Fetch) -> str:
        return "it lists no models" if fetch("/models") is None else ""

    with Servers(fleet, patience=20, fit=fit) as servers:
        assert replies(servers, "a") == [" a 0"]


def test_a_slow_one_is_not_taken_for_a_dead_one(two: tuple[Served, Served]) -> None:
    slow, _ = two
    slow.reply = slowly(1.5)
    notes = Notes()
    assert len(made((slow,), 2, report=notes)) == 4
    assert completions(slow) == 4
    assert not any("trying again" in said for said in notes.said)


@pytest.mark.parametrize("shows", ["its answer", "its health"])
def test_a_dead_engine_ends_the_run_at_once_where_there_is_no_other(
    two: tuple[Served, Served], shows: str
) -> None:
    dead, _ = two
    dead.reply = lambda body: DEAD if shows == "its answer" else (500, {})
    if shows == "its health":
        dead.pages |= {"/health": (503, b""), "/version": VERSION}
    began = time.monotonic()
    with pytest.raises(Unavailable, match=rf"{dead.url}: its engine is dead: 500 .*start the server anew"):
        made((dead,), patience=600)
    assert time.monotonic() - began < 10
    assert len(dead.asked) <= SERVER.batch_size


def test_at_the_start_a_dead_engine_is_passed_over_and_only_dead_ones_end_the_run(
    two: tuple[Served, Served],
) -> None:
    dead, good = two
    dead.models = DEAD
    notes = Notes()
    assert len(made(two, 5, report=notes)) == 10
    assert any(said.startswith(f"{dead.url}: its engine is dead") for said in notes.said), notes.said
    good.models = DEAD
    began = time.monotonic()
    with pytest.raises(Unavailable, match=rf"{good.url}: its engine is dead: .*start the servers anew"):
        made(two, patience=600)
    assert time.monotonic() - began < 10


def test_a_server_that_loads_its_model_is_waited_for(two: tuple[Served, Served]) -> None:
    loads, _ = two
    loads.pages |= {"/health": (503, {"error": {"message": "Loading model"}}), "/version": (404, {})}
    left = iter(range(3))
    loads.reply = lambda body: (503, {}) if next(left, None) is not None else repeats(body)
    assert len(made((loads,), 2)) == 4


def test_all_away_is_waited_for_and_what_was_made_is_kept(two: tuple[Served, Served], tmp_path: Path) -> None:
    for each in two:
        left = iter(range(10))
        each.reply = lambda body, left=left: (503, {}) if next(left, None) is None else repeats(body)
    journal = Journal(tmp_path / "journal", resume=False)
    with pytest.raises(Unavailable, match=r"503 .* and so for 1 s; is the server up\?"):
        made(two, patience=1, journal=journal)
    journal.close()
    other = Served()  # which nobody has asked: a request of the run that ended may still reach the two
    other.reply = repeats
    again = Journal(tmp_path / "journal", resume=True)
    assert len(made((other,), journal=again)) == 40, "other servers, the same completions"
    assert (again.taken, len(other.asked)) == (20, 20)
    again.close()
    other.stop()
    for each in two:
        each.stop()
    with pytest.raises(Unavailable, match=r"refused; http://.*refused, and so for 0\.3 s"):
        made(two, patience=0.3)


def test_all_servers_must_serve_the_same_model(
    two: tuple[Served, Served], tiny: Path, tmp_path: Path
) -> None:
    other = two[1]
    for listed, said in (
        ({"id": "x", "owned_by": "vllm"}, "serves x, and not m; name it with -m"),
        (
            {"id": "m", "owned_by": "llamacpp"},
            "serves m by a server that is not vLLM, and the first",
        ),
        ({"id": "m", "owned_by": "vllm", "root": str(tiny)}, "all must serve the same"),
    ):
        other.models = (200, {"data": [listed]})
        with pytest.raises(Unavailable, match=f"{other.url} .*{said}"):
            made(two, 1)
    assert not two[0].asked + other.asked


def test_one_that_comes_back_with_another_model_stays_aside(two: tuple[Served, Served]) -> None:
    good, bad = two
    good.reply = bad.reply = slowly(0.02)
    notes = Notes()
    records = stream(two, 150, report=notes)
    next(records)
    bad.stop()
    while not any(said.startswith(bad.url) and "other servers" in said for said in notes.said):
        next(records)
    bad.models = (200, {"data": [{"id": "x", "owned_by": "vllm"}]})
    bad.start()
    asked = completions(bad)
    assert len(list(records)) > 100
    assert completions(bad) == asked
    assert bad.paths.count("/v1/models") > 1, "it was looked at"


def test_the_options_name_each_server_once(r1: R1, tmp_path: Path, two: tuple[Served, Served]) -> None:
    with pytest.raises(UsageError, match=r"--base-url http://a/v1/: it is given twice"):
        Endpoint(("http://a/v1", "http://b/v1", "http://a/v1/"))
    with pytest.raises(UsageError, match=r"--base-url http://a: it is given twice"):
        Endpoint(("http://a/v1", "http://a"))
    assert Endpoint("http://a/v1") == Endpoint(("http://a/v1",))
    for given in ("",), ("http://a/v1", ""):
        with pytest.raises(UsageError, match=r"--base-url '': no address"):
            Endpoint(given)
    source = "".join(json.dumps(record) + "\n" for record in problems(8)).encode()
    line = ("generate", "--backend", "openai", "-m", "m", "-t", "none", "--max-tokens", 20)
    urls = [each.url for each in two]
    flags = [word for url in urls for word in ("--base-url", url)]
    by_flags = r1(*line, *flags, input=source)
    assert by_flags.returncode == 0, by_flags.stderr
    assert all(completions(each) for each in two)
    for name, value in (("one", json.dumps(urls[0])), ("two", json.dumps(urls))):
        (tmp_path / name).write_text(f"base_url = {value}\n")
        by_file = r1(*line, "--config", tmp_path / name, input=source)
        assert by_file.returncode == 0, by_file.stderr
        assert by_file.stdout == by_flags.stdout


def test_a_judge_may_have_several_servers(two: tuple[Served, Served]) -> None:
    two[1].stop()
    with Servers(Fleet([each.url for each in two]), patience=5) as servers:
        said = replies(servers, *"abc")
    assert [str(each).split()[0] for each in said] == ["a", "b", "c"]
