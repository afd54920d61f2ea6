"""The page in a real browser: phone and desk, light and dark, without JavaScript.

Needs the extra `browser` and a Chromium on the path; Debian: `apt-get install chromium`.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from zeroshot.report import REPORT, write_report

pytestmark = pytest.mark.slow

NAMES = ("chromium", "chromium-browser", "google-chrome", "chromium-headless-shell")
LUMINANCE = """element => {
  const channel = v => (v /= 255, v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
  const light = text => { const [r, g, b] = text.match(/[\\d.]+/g).map(Number);
    return .2126 * channel(r) + .7152 * channel(g) + .0722 * channel(b); };
  let behind = element, paper;
  do { paper = getComputedStyle(behind).backgroundColor; behind = behind.parentElement; }
  while (behind && paper === 'rgba(0, 0, 0, 0)');
  const [a, b] = [light(getComputedStyle(element).color), light(paper)].sort((x, y) => y - x);
  return (a + .05) / (b + .05);
}"""
"""Contrast of an element's text with what is behind it, by WCAG 2."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="needs pip install 'param-envs[browser]'"
    )
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("needs a Chromium on the path: apt-get install chromium")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(360, 740), (1280, 900)])
def test_the_page_is_readable(
    browser: Any,
    write_run: Callable[..., Path],
    tmp_path: Path,
    width: int,
    height: int,
    scheme: str,
) -> None:
    long = "mypkg.my_very_long_module_name.with_more:MyMethodOfAVeryLongName"
    runs = [
        write_run("one", methods=("mine", "mine-without-x", long), shots=(1, 5)),
        write_run("two", suite="cheetah-speed-torso"),
    ]
    page_file = write_report(runs, tmp_path / REPORT, command=f"zeroshot report {'x' * 300}")
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, java_script_enabled=False
    )
    said: list[str] = []
    asked: list[str] = []
    page = context.new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(page_file.as_uri())
    measured = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert measured == [width, width], "the page must not scroll sideways"
    for details in page.query_selector_all("details"):
        details.evaluate("element => { element.open = true }")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    tables = page.query_selector_all("table")
    assert len(tables) > 5 and all(table.is_visible() for table in tables)
    drawn = page.query_selector_all("div.narrow svg" if width < 500 else "div.wide svg")
    hidden = page.query_selector_all("div.wide svg" if width < 500 else "div.narrow svg")
    assert drawn and all(chart.is_visible() for chart in drawn)
    assert not any(chart.is_visible() for chart in hidden)
    for selector in ("p.lead", ".headline", "td", "a", "figcaption", "caption", ".legend li"):
        contrast = page.eval_on_selector(selector, LUMINANCE)
        assert contrast >= 4.5, f"{selector} in {scheme}: {contrast:.2f}"
    assert said == [] and asked == [page_file.as_uri()]
    context.close()
