"""The documentation as a site: it builds without a warning, every link in it leads somewhere, no page asks
anything of another host, and each page has what GitHub shows of it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from markdown_it import MarkdownIt

pytest.importorskip("mkdocs", reason="the site is built by the extra docs")
pytestmark = pytest.mark.full
ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
# What a browser fetches by itself; a link is fetched where a reader follows it.
FETCHED = {
    "link": "href",
    "script": "src",
    "img": "src",
    "source": "srcset",
    "iframe": "src",
    "image": "href",
}
COUNTED = ("table", "tr", "td", "th", "li", "pre", "h1", "h2", "h3", "img", "blockquote", "hr")


class Page(HTMLParser):
    """Links, fetched addresses and anchors of a page, and how many elements its text has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.anchors: set[str] = set()
        self.elements: Counter[str] = Counter()
        self._article = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        self.anchors.update(said[name] for name in ("id", "name") if name in said)
        if tag == "a" and "href" in said:
            self.links.append(said["href"])
        if said.get(FETCHED.get(tag, ""), "") and said.get("rel") != "canonical":
            self.fetched.append(said[FETCHED[tag]])
        self._article |= tag == "article"
        self.elements[tag] += self._article

    def handle_endtag(self, tag: str) -> None:
        self._article &= tag != "article"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Page]:
    """The pages of the site by their paths, built as `just site` builds it."""
    here = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", "docs/site/mkdocs.yml", "-d", here]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return {path: Page(path.read_text("utf-8")) for path in here.rglob("*.html")}


def built(site: dict[Path, Page], source: Path) -> Page:
    """The page that was made of a file of docs/."""
    ending = str(source.relative_to(DOCS).with_suffix(".html"))
    return site[_root(site) / ending]


def test_every_page_of_docs_is_in_the_site(site: dict[Path, Page]) -> None:
    assert len(site) == len(list(DOCS.rglob("*.md"))) + 1  # and the page for what is not found


def test_all_links_lead_to_files_and_anchors(site: dict[Path, Page]) -> None:
    wrong = []
    for path, page in site.items():
        if path.name == "404.html":
            continue  # its links are those of the server's root
        for link in {*page.links, *page.fetched}:
            address = urlsplit(link)
            if address.scheme or address.netloc:
                continue
            target = (
                (path.parent / unquote(address.path)).resolve() if address.path not in ("", ".") else path
            )
            anchor = unquote(address.fragment)
            if not target.is_file() or (anchor and target in site and anchor not in site[target].anchors):
                wrong.append(f"{path.name}: {link}")
    assert not wrong


def test_links_of_the_readme_lead_to_anchors_that_are_there(site: dict[Path, Page]) -> None:
    links = re.findall(r"\]\((docs/[^)#]+\.md)#([^)]+)\)", (ROOT / "README.md").read_text("utf-8"))
    assert links
    for target, anchor in links:
        assert anchor in built(site, ROOT / target).anchors, f"{target}#{anchor}"


def test_a_page_fetches_nothing_from_another_host(site: dict[Path, Page]) -> None:
    for path, page in site.items():
        assert not [link for link in page.fetched if urlsplit(link).netloc], path.name
    styles = "".join(path.read_text("utf-8") for path in _root(site).rglob("*.css"))
    assert not re.search(r"url\(['\"]?(?:https?:)?//|@import", styles)


def test_a_page_has_the_tables_lists_and_blocks_that_github_shows(site: dict[Path, Page]) -> None:
    github = MarkdownIt("commonmark").enable("table")
    for source in DOCS.rglob("*.md"):
        shown = Page(f"<article>{github.render(source.read_text('utf-8'))}</article>").elements
        page = built(site, source).elements
        assert {name: page[name] for name in COUNTED} == {name: shown[name] for name in COUNTED}, source.name


def _root(site: dict[Path, Page]) -> Path:
    return next(path.parent for path in site if path.name == "404.html")
