"""Pages in a browser: they ask for nothing, complain of nothing, and fit a phone and a desk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from symbp import derive
from symbp.model_file import load_model
from symbp.pages.blocks import Figure, Prose, Section
from symbp.pages.html import html_page
from symbp.pictures.graph import Edge, Graph, Node

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
ZOO = Path(__file__).parent.parent / "symbp" / "zoo"
MODELS = sorted(p.stem for p in ZOO.glob("[!_]*.py"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs chromium"),
]

# What reaches over an edge, of the window or of its own box, unless it stands in a box that scrolls.
OVERFLOWS = """() => {
  const root = document.documentElement, found = [];
  if (root.scrollWidth > innerWidth) found.push(`the page: ${root.scrollWidth}`);
  for (const box of document.querySelectorAll("body *")) {
    const style = getComputedStyle(box), where = `${box.tagName} ${box.className}: ${box.textContent.slice(0, 60)}`;
    const apart = style.position == "absolute" || style.display == "inline" || !box.getClientRects().length;
    if (apart || box.parentElement.closest("svg, math, .scroll, .wide")) continue;
    if (box.getBoundingClientRect().right > innerWidth + 1) found.push(`over the window: ${where}`);
    if (box.matches(".scroll, .wide") || !(box instanceof HTMLElement)) continue;
    const over = box.scrollWidth - box.clientWidth;
    if (over > 2) found.push(`over its box by ${over}: ${where}`);
  }
  return found;
}"""
# Boxes that scroll and that the keyboard does not reach.
UNREACHABLE = """() => [...document.querySelectorAll(".scroll, .wide")]
  .filter(box => box.scrollWidth > box.clientWidth && box.tabIndex != 0).map(box => box.textContent.slice(0, 60))"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.mark.parametrize("name", MODELS)
def test_a_page_stands_alone_and_fits(name: str, browser: Any, tmp_path: Path) -> None:
    derivation = derive(load_model(ZOO / f"{name}.py"))
    path = tmp_path / "page.html"
    path.write_text(derivation.html, encoding="utf-8")
    requests: list[str] = []
    complaints: list[str] = []
    for width in (400, 1280):
        context = browser.new_context(viewport={"width": width, "height": 900})
        context.on("request", lambda request: requests.append(request.url))
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path.as_uri())
        assert page.evaluate(OVERFLOWS) == [], f"at {width} px"
        assert page.evaluate(UNREACHABLE) == []
        context.close()
    assert requests == [path.as_uri()] * 2
    assert complaints == []


def test_by_keyboard_and_in_either_scheme(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(derive(load_model(ZOO / "mlp.py")).html, encoding="utf-8")
    colours = []
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)
        page.goto(path.as_uri())
        colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "derivation"
        page.click("nav ol ol a")
        target = page.evaluate("document.querySelector(':target').getBoundingClientRect().top")
        assert 0 <= target < 900
        page.close()
    assert len(set(colours)) == 2, "the scheme makes no difference: was the style refused?"


def test_a_node_of_the_picture_leads_to_its_section(browser: Any, tmp_path: Path) -> None:
    nodes = (Node("x", "input", "x", "x"), Node("z", "defined", "z_{i}", "z[i]", "x^{2}"))
    picture = Figure(Graph(nodes, (Edge("x", "z", "2 x"),)), "A network.")
    filler = tuple(Section(f"Part {k}", (Prose("text"),) * 20) for k in range(5))
    sections = (
        Section("Network", (picture,)),
        *filler,
        Section("z", (Prose("It is z."),), "eq-z", 2),
    )
    path = tmp_path / "page.html"
    path.write_text(html_page("A title", sections), encoding="utf-8")
    for width in (400, 1280):
        page = browser.new_page(viewport={"width": width, "height": 800})
        page.goto(path.as_uri())
        assert page.locator("svg a").count() == 1, "an input has no section"
        page.click("svg a")
        assert page.evaluate("location.hash") == "#eq-z"
        assert 0 <= page.locator("#eq-z").bounding_box()["y"] < 800
        page.go_back()
        page.focus("svg a")
        page.keyboard.press("Enter")
        assert page.evaluate("location.hash") == "#eq-z"
        page.close()
