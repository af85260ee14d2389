"""Pages in a browser: they ask for nothing, complain of nothing, and fit a phone and a desk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from symbp import derive
from symbp.model_file import load_model

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

# What reaches over an edge: of the window, and of its own box unless that scrolls and can be reached by keyboard.
OVERFLOWS = """() => {
  const found = [];
  if (document.documentElement.scrollWidth > innerWidth) found.push(`page: ${document.documentElement.scrollWidth}`);
  for (const box of document.querySelectorAll("main *, header *, nav *")) {
    if (box.closest("svg, math math") || box.closest("[tabindex='0']")?.scrollWidth > 0) continue;
    if (getComputedStyle(box).position == "absolute" || !box.getClientRects().length) continue;
    const right = box.getBoundingClientRect().right;
    if (right > innerWidth + 1) found.push(`${box.tagName}.${box.className}: ${right}`);
    const over = box.scrollWidth - box.clientWidth;
    if (box instanceof HTMLElement && getComputedStyle(box).display != "inline" && over > 2)
      found.push(`${box.tagName}.${box.className}: ${over} too wide, ${box.textContent.slice(0, 60)}`);
  }
  return found;
}"""
CLIPPED = """() => [...document.querySelectorAll(".wide, .scroll")]
  .filter(box => box.scrollWidth > box.clientWidth + 1 && box.tabIndex != 0).length"""


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
        assert page.evaluate(CLIPPED) == 0
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
