"""The page as Chromium shows it: drawn, searched, filtered and read, with nothing asked of any host."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import CHROMIUM, Browser
from test_page import HOSTILE, SHOWN, bytewise, evaluated, lines, rollout, trained, warm

from stages import report
from stages.page import traces

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium here: apt-get install chromium"),
]

READ = "typeof traces !== 'undefined' && traces.count > 0 && traces.texts.length === traces.count"
CHECKED = "<think>First, we need to find it. Let me check.</think>so 2"
BRIGHTNESS = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, one with rollouts, figures of an evaluation, and a file of records with hostile texts."""
    here = tmp_path_factory.mktemp("page")
    one = trained(here / "one", 0.25, 0.5, 0.75, options={"steps": 3}, **{"completions/clipped_ratio": 0.6})
    two = trained(here / "two", 0.5, 0.25, options={"steps": 2})
    for step in (1, 2):
        records = [
            rollout(f"p{k // 4}", k % 4, float(k % 3 == 0), meta={"grpo": {"step": step}}) for k in range(160)
        ]
        lines(one / "rollouts" / f"step_{step:06d}.jsonl", records)
    bad = warm(bytewise(here / "model"), "p0", HOSTILE) | {"prompt": HOSTILE, "id": HOSTILE, "sample": 9}
    bad |= {"reasons": {"accuracy": HOSTILE}, "meta": {"generate": {"model": str(here / "model")}}}
    other = lines(here / "other.jsonl", [rollout("p0", 0, 1.0, completion=CHECKED), bad])
    row = {"benchmark": "b", "model": HOSTILE, "problems": 10, "k": 4, "pass@4": 0.9, "cons@4": 0.75}
    row |= {"pass@1": 0.5, "pass@1_low": 0.4, "pass@1_high": 0.6}
    figures = lines(here / "figures.jsonl", [row])
    base = evaluated(here / f"{HOSTILE.replace('/', '∕')}.jsonl", "base", 1)
    best = evaluated(here / "best.jsonl", "best", 3)
    report.run((one, two, figures, other, base, best), html=here / "page.html")
    return here / "page.html"


@pytest.fixture(scope="module")
def browser(page: Path) -> Iterator[Browser]:
    """The page, opened; the tests leave it as they find it."""
    with Browser() as opened:
        opened.open(page)
        opened.until(READ)
        yield opened


def typed(browser: Browser, field: str, value: str) -> str:
    """What the page says it has found once `value` stands in a field, which is empty again after."""
    script = """((field, value) => {
      const set = (text) => { field.value = text; field.dispatchEvent(new Event("input", {bubbles: true})); };
      set(value);
      const found = document.getElementById("found").textContent;
      set("");
      return found;
    })(document.getElementById(%r), %r)"""
    return str(browser.run(script % (field, value)))


def test_it_asks_no_host_and_its_console_is_silent(browser: Browser, page: Path) -> None:
    assert set(browser.asked) <= {"about:blank", page.resolve().as_uri()}
    assert browser.said == []
    assert browser.run("document.title") == "r1 report · one · two"


def test_curves_of_both_runs_are_drawn_and_a_step_is_marked_in_all(browser: Browser) -> None:
    browser.until("document.querySelectorAll('#charts canvas').length > 3")
    values = "curves.charts.find((chart) => chart.name === 'reward').values.innerText.split(/\\s+/)"
    assert browser.run(values) == ["one,", "step", "3:", "0.75", "two,", "step", "2:", "0.25"]
    browser.run("markStep(1)")
    assert browser.run(values) == ["one,", "step", "1:", "0.25", "two,", "step", "1:", "0.5"]
    browser.run("markStep(null)")
    label = browser.run("curves.charts.find((chart) => chart.name === 'reward').plotted.ariaLabel")
    assert label.startswith("reward over steps. one: from 0.25 to 0.75, least 0.25, greatest 0.75; two:")
    assert browser.run("smoothed([0, null, 1], 0.5)") == [0, None, pytest.approx(2 / 3)]


def test_a_drag_shows_some_steps_in_all_charts_and_a_click_marks_one(browser: Browser) -> None:
    place = """(() => {
      const over = curves.charts.find((chart) => chart.name === "reward").plot.over;
      over.scrollIntoView({block: "center"});
      const {left, top, width, height} = over.getBoundingClientRect();
      return [left, top + height / 2, width];
    })()"""
    left, top, width = browser.run(place)

    def mouse(kind: str, share: float) -> None:
        where = {"x": left + share * width, "y": top, "button": "left", "buttons": 1, "clickCount": 1}
        browser.call("Input.dispatchMouseEvent", type=kind, **where)

    ranges = "curves.charts.filter((c) => c.plot).map((c) => [c.plot.scales.x.min, c.plot.scales.x.max])"
    for kind, share in (
        ("mouseMoved", 0.5),
        ("mousePressed", 0.5),
        ("mouseMoved", 0.9),
        ("mouseReleased", 1),
    ):
        mouse(kind, share)
    shown = browser.run(ranges)
    assert len(shown) > 3
    assert all([low, high] == [pytest.approx(2, abs=0.05), pytest.approx(3, abs=0.05)] for low, high in shown)
    assert browser.run("curves.step") is None
    browser.run("document.getElementById('whole').click()")
    assert browser.run(ranges) == [[1, 3]] * len(shown)
    for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
        mouse(kind, 0.5)
    assert browser.run("document.getElementById('step').value") == "2"
    browser.run("markStep(null)")


def test_search_and_filters_find_completions(browser: Browser) -> None:
    assert typed(browser, "query", "") == "418 of 418 completions"
    assert typed(browser, "query", "SO 3") == "104 of 418 completions", "of any case"
    assert typed(browser, "query", "against '2'") == "417 of 418 completions", "in reasons"
    assert typed(browser, "query", "p17#1") == "2 of 418 completions", "by id"
    assert typed(browser, "query", "nowhere") == "0 of 418 completions"
    assert typed(browser, "by-source", "1") == "2 of 418 completions"
    assert typed(browser, "step-low", "2") == "160 of 418 completions"
    assert (
        typed(browser, "reward-low", "2") == "137 of 418 completions"
    )  # 2 · 54, one of the other file, the evaluations'
    assert typed(browser, "reward-high", "1") == "281 of 418 completions"


def test_what_was_searched_for_before_all_texts_were_read_is_found_in_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "CHUNK", 1)  # each text is a piece of its own, after which the page answers
    records = [rollout(f"p{k}", 0, 1.0, completion=f"so {k}") for k in range(60)]
    report.run((lines(tmp_path / "scored.jsonl", records),), html=tmp_path / "page.html")
    early = """addEventListener("DOMContentLoaded", () => setTimeout(() => {
      window.early = traces.texts.length;
      const field = document.getElementById("query");
      field.value = "so 59";
      field.dispatchEvent(new Event("input", {bubbles: true}));
    }))"""
    with Browser() as browser:
        browser.call("Page.addScriptToEvaluateOnNewDocument", source=early)
        browser.open(tmp_path / "page.html")
        browser.until("traces.texts.length === 60 && document.querySelectorAll('#list button').length === 1")
        assert browser.run("window.early") < 60
        assert browser.run("document.getElementById('found').textContent") == "1 of 60 completions"


def pressed(browser: Browser, key: str, code: int) -> None:
    for kind in ("keyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)


def clicked(browser: Browser, element: str) -> None:
    """Clicks with the mouse on what is in view."""
    left, top, inside = browser.run(f"""(() => {{
      const box = {element}.getBoundingClientRect();
      const inside = box.top >= 0 && box.bottom <= innerHeight;
      return [box.left + box.width / 2, box.top + box.height / 2, inside];
    }})()""")
    assert inside
    for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
        browser.call("Input.dispatchMouseEvent", type=kind, x=left, y=top, button="left", clickCount=1)


@pytest.mark.parametrize("width", [1280, 390])
def test_from_the_start_of_the_page_one_click_leads_to_a_wrong_completion_and_why(
    page: Path, width: int
) -> None:
    with Browser(width=width, height=900) as opened:
        opened.open(page)
        opened.until(READ)
        clicked(opened, "document.getElementById('first-wrong')")
        opened.until("scrollY > 0")
        text = opened.run("document.getElementById('trace').innerText")
        assert "one and one is 1" in text
        assert "All 10 completions of this problem" in text
        seen = """(() => {
          const cells = [...document.querySelectorAll("#trace td")];
          const why = cells.find((cell) => cell.textContent === "last '1' against '2'");
          const {top, bottom, left} = why.getBoundingClientRect();
          return top >= 0 && bottom <= innerHeight && left >= 0;
        })()"""
        assert opened.run(seen), "its reason is in view"
        assert opened.run("document.getElementById('found').textContent") == "281 of 418 completions"


def test_examples_of_what_passed_and_of_reasons_are_a_click_away(browser: Browser) -> None:
    names = browser.run("[...document.querySelectorAll('#data button')].map((each) => each.innerText)")
    assert [name.split("\n")[-1] for name in names[:4]] == ["p0#0"] * 3 + ["p0#1"]
    browser.run("[...document.querySelectorAll('#data button')][3].click()")
    text = browser.run("document.getElementById('trace').innerText")
    assert "one and one is 1" in text
    assert "last '1' against '2'" in text


def test_tokens_are_coloured_and_told_by_the_arrow_keys(browser: Browser) -> None:
    choose = "(() => { const s = document.getElementById('heat'); s.value = '%s';"
    choose += " s.dispatchEvent(new Event('change')); })()"
    tokens = "document.querySelector('#trace .tokens')"
    browser.run("showTrace(321)")
    browser.run(choose % "logprob")
    assert browser.run(f"{tokens}.textContent") == SHOWN
    styles = f"[...{tokens}.children].slice(0, 22).map((each) => each.className.slice(6))"
    each = [("", 1), ("heat-1", 2), ("heat-2", 4), ("heat-3", 6), ("heat-4", 6), ("heat-5", 3)]
    assert browser.run(styles) == [style for style, count in each for _ in range(count)]
    browser.run(f"{tokens}.focus()")
    for _ in range(3):
        pressed(browser, "ArrowRight", 39)
    said = "document.querySelector('#trace [role=status]').textContent"
    assert browser.run(said) == 'Token 3, "s": log-probability -0.5, 60.7 %, ratio 1.105'
    browser.run(choose % "ratio")
    assert browser.run(f"{tokens}.children[5].className") == "token heat-1"
    browser.run("showTrace(0)")
    assert "No tokens with a ratio to show: none is kept of it" in browser.run(
        "document.getElementById('trace').innerText"
    )
    browser.run(choose % "")
    assert browser.said == []


def test_evaluations_are_compared_and_drawn(browser: Browser) -> None:
    rows = "[...document.querySelectorAll('#evaluations [aria-live] tbody tr')].map((row) => row.innerText)"
    (row,) = browser.run(rows)
    assert row.split("\t")[:3] == ["best.jsonl", "50.0 %", "+41.7"]
    browser.run(
        "(() => { const s = document.getElementById('against'); s.selectedIndex = 1;"
        " s.dispatchEvent(new Event('change')); })()"
    )
    (row,) = browser.run(rows)
    assert row.startswith(f"{SHOWN.replace('/', '∕')}.jsonl\t8.3 %\t−41.7\t")
    browser.run("document.getElementById('evaluations').scrollIntoView()")
    browser.until("plots.length === 2 && plots.every((each) => each.plot)")
    assert browser.run("plots[0].plotted.ariaLabel").endswith(
        "; best.jsonl: from 50.0 % at 1 to 100.0 % at 4"
    )


def test_completions_are_found_by_behaviour_verdict_and_by_the_source_beside(browser: Browser) -> None:
    assert typed(browser, "by-behaviour", "verification") == "1 of 418 completions"
    assert typed(browser, "by-behaviour", "subgoals") == "1 of 418 completions"
    assert typed(browser, "by-behaviour", "none") == "417 of 418 completions"
    wrong = browser.run("String(traces.words.indexOf('wrong'))")
    assert typed(browser, "by-verdict", wrong) == "281 of 418 completions"
    browser.run("document.getElementById('beside-source').value = '2'")
    assert typed(browser, "compared", "better") == "48 of 418 completions"
    assert typed(browser, "compared", "worse") == "0 of 418 completions"
    browser.run("showTrace(traces.columns.source.indexOf(3))")
    titles = "[...document.querySelectorAll('.completion > h3:first-child')].map((e) => e.innerText)"
    assert [title.split(", ")[-2] for title in browser.run(titles)] == ["q0#0", "q0#3"]
    browser.run("document.getElementById('beside-source').value = ''")


def test_completions_of_two_sources_stand_side_by_side(browser: Browser) -> None:
    browser.run("showTrace(0, 320)")
    titles = browser.run(
        "[...document.querySelectorAll('.completion > h3:first-child')].map((e) => e.innerText)"
    )
    assert titles == ["one, step 1, p0#0, reward 2", "other.jsonl, step 1, p0#0, reward 2"]


def test_hostile_texts_are_shown_as_text(browser: Browser) -> None:
    browser.run("showTrace(321)")
    text = browser.run("document.getElementById('trace').textContent")
    assert text.count(SHOWN) >= 4  # its id, prompt, answer and reason
    assert SHOWN in browser.run("document.getElementById('evaluations').textContent")
    assert browser.run("document.images.length") == 0
    assert browser.said == []


def test_injected_scripts_are_refused(browser: Browser) -> None:
    """What the page's policy is for, should its own code ever fail."""
    script = """(() => {
      const made = document.createElement("div");
      made.innerHTML = "<img src=x onerror='window.broken = true'>";
      document.body.append(made);
      const code = document.createElement("script");
      code.textContent = "window.broken = true";
      document.body.append(code);
      made.remove();
      code.remove();
      return window.broken === undefined;
    })()"""
    assert browser.run(script)
    browser.until("window.broken === undefined")
    browser.said.clear()  # it says that it has refused them


def test_the_list_is_walked_with_the_arrow_keys(browser: Browser) -> None:
    browser.run("document.querySelector('#list button').focus()")
    pressed(browser, "ArrowDown", 40)
    assert browser.run("document.activeElement.dataset.at") == "1"
    assert browser.run("traces.current") == 1


def test_light_and_dark_are_the_systems_choice_or_the_readers(browser: Browser) -> None:
    assert browser.run(BRIGHTNESS) > 200
    browser.colours(dark=True)
    assert browser.run(BRIGHTNESS) < 60
    choose = "(() => { const s = document.getElementById('theme'); s.value = '%s';"
    choose += " s.dispatchEvent(new Event('change')); })()"
    browser.run(choose % "light")
    assert browser.run(BRIGHTNESS) > 200
    browser.run(choose % "")
    browser.colours(dark=False)


@pytest.mark.parametrize("given", ["a run alone", "a file alone", "no completion", "nothing"])
def test_what_is_not_given_has_no_part_of_the_page(tmp_path: Path, given: str) -> None:
    run = trained(tmp_path / "one", 0.5)
    file = lines(tmp_path / "scored.jsonl", [] if given == "nothing" else [rollout("p", 0, 0.0)])
    most = 0 if given == "no completion" else 9
    report.run((run,) if given == "a run alone" else (file,), html=tmp_path / "page.html", completions=most)
    with Browser() as opened:
        opened.open(tmp_path / "page.html")
        opened.until("document.readyState === 'complete'")
        parts = opened.run("[...document.querySelectorAll('section')].map((each) => each.id).join(' ')")
        links = opened.run(
            "[...document.querySelectorAll('nav a')].map((each) => each.hash.slice(1)).join(' ')"
        )
        assert opened.said == []
    wanted = {
        "a run alone": "runs curves cost",
        "a file alone": "evaluations completions data",
        "no completion": "evaluations data",
    }
    assert parts == links == wanted.get(given, "data")


def test_nothing_is_wider_than_a_phone(page: Path) -> None:
    with Browser(width=390, height=844) as phone:
        phone.open(page)
        phone.until(READ)
        assert phone.run("document.documentElement.scrollWidth") == 390
        assert phone.said == []
