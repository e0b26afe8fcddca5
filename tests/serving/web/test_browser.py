"""The page in a real browser: one flow per view, with the eyes of light and dark, laptop and phone.

Screenshots are left in ``build/screenshots``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.serving.stage import Stage, busy, card, served, share

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHOTS = Path(__file__).parents[3] / "build" / "screenshots"

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)

VIEWS = {
    "overview": "/",
    "nodes": "/nodes",
    "node": "/nodes/h100-0",
    "workloads": "/workloads",
    "workload": "/workloads/serving/chat-9",
    "pending": "/pending",
    "quotas": "/quotas",
    "config": "/config",
}

#: Name of the look -> width, height, colour scheme.
LOOKS = {"light": (1280, 900, "light"), "dark": (1280, 900, "dark"), "phone": (390, 844, "dark")}


def chromium() -> str:
    """The installed browser. In CI it has to be there."""
    found = shutil.which("chromium")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("chromium is not installed: apt-get install chromium")
        pytest.skip("chromium is not installed: apt-get install chromium")
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=chromium(), args=FLAGS.split())
        yield started
        await started.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page on a laptop; nothing may be said on its console (a breach of the CSP would be)."""
    opened = await browser.new_page(viewport={"width": 1280, "height": 900})
    said: list[str] = []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    yield opened
    assert said == []


async def test_overview_leads_to_the_node_that_has_room(page: Page) -> None:
    async with served(busy()) as url:
        await page.goto(url)
        await expect(page.get_by_role("heading", level=1)).to_have_text("Accelerators of this cluster")
        await page.get_by_role("link", name="h100-0").first.click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Node h100-0")
        await expect(page.get_by_text("unhealthy", exact=True)).to_be_visible()


async def test_nodes_are_found_by_name(page: Page) -> None:
    async with served(busy()) as url:
        await page.goto(f"{url}/nodes")
        await page.get_by_role("searchbox").fill("H100")
        await page.keyboard.press("Enter")
        await expect(page.locator("tbody tr")).to_have_count(1)
        await expect(page.get_by_role("row", name="h100-0")).to_contain_text("7 of 8 healthy")


async def test_a_node_leads_to_the_pods_that_hold_its_cards(page: Page) -> None:
    async with served(busy()) as url:
        await page.goto(f"{url}/nodes/a30-0")
        await page.get_by_role("link", name="team-a/trainer-0-0").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Pod team-a/trainer-0-0")
        await expect(page.get_by_role("row", name="main")).to_contain_text("12.0 GiB")


async def test_workloads_lead_to_their_node(page: Page) -> None:
    async with served(busy()) as url:
        await page.goto(f"{url}/workloads?q=pretrain-0")
        await page.get_by_role("row", name="pretrain-0").get_by_role("link", name="h100-0").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Node h100-0")


async def test_pending_leads_to_what_each_card_says(page: Page) -> None:
    async with served(busy()) as url:
        await page.goto(f"{url}/pending")
        await page.get_by_role("link", name="serving/chat-9").click()
        await page.get_by_text("a30-0:").click()
        await expect(page.locator("#node-1").get_by_role("row")).to_have_count(5)
        await expect(page.locator("#node-1")).to_contain_text("CardInsufficientMemory")


async def test_pending_leads_to_what_would_help(page: Page) -> None:
    async with served(busy()) as url:
        await page.goto(f"{url}/pending?q=notebook-9")
        await page.get_by_role("link", name="what would help").click()
        await expect(page.get_by_role("heading", name="What would help")).to_be_in_viewport()
        await expect(page.get_by_text("It fits when quota team-b/compute gets")).to_be_visible()


async def test_quotas_show_who_uses_them(page: Page) -> None:
    async with served(busy()) as url:
        await page.goto(url)
        await page.get_by_role("link", name="team-a/compute").click()
        await expect(page.get_by_role("row", name="nvidia.com/gpumem")).to_contain_text("pretrain-0 318.6 GiB")


async def test_config_tells_origins(page: Page) -> None:
    async with served(Stage.empty(policies={"node": "spread"})) as url:
        await page.goto(f"{url}/config")
        await expect(page.get_by_role("row", name="policies.node")).to_contain_text('"spread"file')


async def test_the_page_follows_the_cluster_and_keeps_what_is_open(page: Page) -> None:
    stage = busy()
    async with served(stage) as url:
        await page.clock.install()
        await page.goto(f"{url}/workloads/serving/chat-9")
        await page.get_by_text("a30-2:").click()
        await page.evaluate("document.body.dataset.loaded = 'once'")
        stage.running("late", "a30-2", share(card("a30-2", 1), 24000, 90))
        await page.clock.fast_forward(5000)
        await expect(page.locator("#node-3").get_by_role("row").nth(2)).to_contain_text("0.6 GiB")
        await expect(page.locator("#node-3")).to_have_attribute("open", "")
        await expect(page.locator("body")).to_have_attribute("data-loaded", "once")
        await expect(page.locator("#updated")).to_contain_text("updated")


async def test_an_operator_that_is_gone_is_told(browser: Browser) -> None:
    page = await browser.new_page()
    async with served(busy()) as url:
        await page.clock.install()
        await page.goto(url)
    await page.clock.fast_forward(5000)
    await expect(page.locator("#updated")).to_contain_text("what you see is old")


async def test_everything_is_there_without_javascript(browser: Browser) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    async with served(busy()) as url:
        await page.goto(f"{url}/nodes?q=a30")
        assert await page.locator("tbody tr").count() == 3
        assert await page.locator("meta[http-equiv=refresh]").count() == 1
        await page.get_by_role("link", name="a30-1").click()
        assert await page.title() == "a30-1 · HAMi operator"


async def test_the_keyboard_reaches_the_content_first(page: Page) -> None:
    async with served(busy()) as url:
        await page.goto(url)
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.querySelector('main').contains(document.activeElement)")


@pytest.mark.parametrize("look", LOOKS)
async def test_every_view_fits_its_screen(browser: Browser, look: str) -> None:
    width, height, scheme = LOOKS[look]
    context = await browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
    page = await context.new_page()
    SHOTS.mkdir(parents=True, exist_ok=True)
    async with served(busy()) as url:
        for name, path in VIEWS.items():
            await page.goto(url + path)
            await page.screenshot(path=SHOTS / f"{name}-{look}.png", full_page=True)
            assert await page.evaluate("document.documentElement.scrollWidth") <= width, name


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_text_stands_out_from_its_background(browser: Browser, scheme: str) -> None:
    """WCAG 2.1 AA: 4.5 to 1 for the words of every view."""
    context = await browser.new_context(color_scheme=scheme)  # type: ignore[arg-type]
    page = await context.new_page()
    async with served(busy()) as url:
        for path in VIEWS.values():
            await page.goto(url + path)
            assert await page.evaluate(CONTRAST) == [], path


CONTRAST = """() => {
  const channel = (v) => (v /= 255, v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const weak = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.data.trim();
    if (!text || element.closest("svg, script, noscript, .skip, details:not([open]) > div")) continue;
    const a = luminance(parse(getComputedStyle(element).color)), b = luminance(behind(element));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) weak.push(`${text.slice(0, 40)}: ${ratio.toFixed(2)}`);
  }
  return weak;
}"""
