"""The pages and their JSON over HTTP: every view, bad input, and names that try to break out."""

from __future__ import annotations

import asyncio
import functools
import json
from html.parser import HTMLParser

import aiohttp
import pytest
from yarl import URL

from hami_operator.core import protocol
from hami_operator.core.advice import advise
from hami_operator.serving.web.routes import VIEWS
from tests.serving.stage import REGISTER, Stage, busy, card, large, served, share

pytestmark = pytest.mark.asyncio

PAGES = ["/", "/nodes", "/nodes/h100-0", "/workloads", "/workloads/team-a/pretrain-0", "/workloads/serving/chat-9"]
PAGES += ["/pending", "/quotas", "/config"]


async def get(url: str, **headers: str) -> tuple[int, str, aiohttp.typedefs.LooseHeaders]:
    async with aiohttp.ClientSession() as session, session.get(URL(url, encoded=True), headers=headers) as response:
        return response.status, await response.text(), response.headers


class Elements(HTMLParser):
    """The elements of a page with their attributes; void ones need no end, all others do."""

    VOID = frozenset({"meta", "link", "img", "input", "br", "circle", "rect"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self._open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.mark.parametrize("path", PAGES)
async def test_every_view_is_whole_html_that_loads_nothing_from_elsewhere(path: str) -> None:
    async with served(busy()) as url:
        status, text, headers = await get(url + path)
    assert status == 200
    page = Elements(text)
    assert len(page.all("main")) == len(page.all("h1")) == 1
    assert all("style" not in attributes and "onclick" not in attributes for _, attributes in page.found)
    links = [a.get("src") or a.get("href") for tag in ("script", "link", "img") for a in page.all(tag)]
    assert all(link is not None and link.startswith("/static/") for link in links)
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert "kubectl hami" in text


@pytest.mark.parametrize("path", ["/", "/nodes", "/workloads", "/pending", "/quotas", "/config"])
async def test_every_view_has_words_for_an_empty_cluster(path: str) -> None:
    async with served(Stage.empty()) as url:
        status, text, _ = await get(url + path)
    assert status == 200
    Elements(text)


async def test_a_pod_that_waits_is_told_what_would_help_on_page_and_in_json_as_explain_says_it() -> None:
    stage = busy()
    (pod,) = [pod for pod in stage.world.queue.pods() if pod.key.name == "notebook-9"]
    expected = advise(pod, stage.world.cluster, stage.world.now())
    assert any(sentence.startswith("fits when quota team-b/compute gets") for sentence in expected)
    async with served(stage) as url:
        _, text, _ = await get(f"{url}/workloads/team-b/notebook-9")
        _, data, _ = await get(f"{url}/api/v1/workloads/team-b/notebook-9")
        _, other, _ = await get(f"{url}/api/v1/workloads/team-a/pretrain-0")
    assert json.loads(data)["advice"] == expected
    assert all(f"<li>It {sentence}.</li>" in text for sentence in expected)
    assert json.loads(other)["advice"] is None


async def test_every_link_of_every_view_leads_somewhere() -> None:
    async with served(busy()) as url:
        addresses = {a["href"] for path in PAGES for a in Elements((await get(url + path))[1]).all("a")}
        for address in sorted(address for address in addresses if address and address.startswith("/")):
            assert (await get(url + address))[0] == 200, address


@pytest.mark.parametrize("path", PAGES)
async def test_the_same_data_is_there_as_json_with_an_etag(path: str) -> None:
    api = "/api/v1" + (path if path != "/" else "/overview")
    async with served(busy()) as url:
        status, text, headers = await get(url + api)
        assert (status, bool(json.loads(text))) == (200, True)
        again, empty, _ = await get(url + api, **{"If-None-Match": headers["ETag"]})
        assert (again, empty) == (304, "")


async def test_the_etag_changes_with_the_data() -> None:
    stage = busy()
    async with served(stage) as url:
        _, _, before = await get(url + "/api/v1/nodes/a30-2")
        stage.running("late", "a30-2", share(card("a30-2", 3), 1000))
        _, _, after = await get(url + "/api/v1/nodes/a30-2")
    assert before["ETag"] != after["ETag"]


async def test_numbers_are_in_gib_with_the_exact_value_as_title() -> None:
    async with served(busy()) as url:
        _, text, _ = await get(url + "/nodes/a30-0")
    assert '<span class="n" title="22384 MiB">21.9 GiB</span>' in text


async def test_bars_are_spoken_in_words() -> None:
    async with served(busy()) as url:
        _, text, _ = await get(url + "/nodes/a30-0")
    bars = [svg for svg in Elements(text).all("svg") if svg.get("class") == "bar"]
    assert bars
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in bars)
    spoken = "memory of 24.0 GiB, serving/embedder-0 5.9 GiB, team-a/trainer-0-0 12.0 GiB, team-b/notebook-0-0 4.0 GiB"
    assert spoken in [svg["aria-label"] for svg in bars]


HOSTILE = "<script>alert('1')</script>\u202e\x1b[31m\n\"x\" &amp;"


async def test_hostile_names_are_text_and_act_on_nothing() -> None:
    stage = Stage.empty()
    device = card("n1", 0, type=HOSTILE.replace(",", " "), mode='"><b>')
    register = protocol.encode_devices_json([device], "NVIDIA")
    stage.node("evil", metadata={"annotations": {REGISTER: register}})
    stage.running(f"{HOSTILE.replace('/', '|')}/pod<i>", "evil", share(device, 1000))
    stage.quota("<u>team</u>", "q", mem=1)
    stage.pending("<u>team</u>/waits", gpu=1, mem=10)
    async with served(stage) as url:
        for view in VIEWS:
            if "{" not in view.path:
                status, text, _ = await get(url + view.path)
                assert status == 200
                page = Elements(text)
                assert len(page.all("script")) == 1
                assert not page.all("i") + page.all("u")
                assert "\u202e" not in text
                assert "\x1b" not in text
        status, text, _ = await get(url + "/workloads?q=%3Cscript%3E%E2%80%AE")
        assert status == 200
        assert len(Elements(text).all("script")) == 1


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nodes/nowhere", 404),
        ("/workloads/team-a/nobody", 404),
        ("/api/v1/nodes/nowhere", 404),
        ("/static/../routes.py", 404),
        ("/static/%2e%2e/routes.py", 404),
        ("/static/..%2froutes.py", 404),
        ("/nodes/..%2f..%2fetc%2fpasswd", 404),
        ("/workloads/../../etc/passwd", 404),
        ("/nodes?page=0", 400),
        ("/nodes?page=-1", 400),
        ("/nodes?page=%D9%A3", 400),
        ("/nodes?page=99999999999999999999", 400),
        ("/pending?q=" + "x" * 400, 400),
        ("/pending?q=" + "x" * 9000, 400),
        ("/nodes?page=7", 200),
        ("/nodes?q=%00%ff", 200),
    ],
)
async def test_odd_addresses_are_answered_with_their_status(path: str, status: int) -> None:
    async with served(busy()) as url:
        assert await raw_status(url, path) == status


async def raw_status(url: str, path: str) -> int:
    """The status of a request whose path nobody has tidied up."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    line = await reader.readline()
    writer.close()
    return int(line.split()[1])


async def test_nothing_can_be_posted() -> None:
    async with served(busy()) as url, aiohttp.ClientSession() as session:
        for path in PAGES:
            async with session.post(url + path) as response:
                assert response.status == 405


@functools.cache
def crowded() -> Stage:
    """500 nodes of eight cards with 200 pods that wait; not changed by who looks at it."""
    stage = large(500)
    for number in range(200):
        stage.pending(f"team-0/waits-{number}", gpu=8, mem=81920)
    return stage


@pytest.mark.parametrize(
    "path", ["/", "/nodes", "/workloads", "/pending", "/nodes/node-0007", "/workloads/team-0/waits-7"]
)
async def test_pages_of_500_nodes_with_8_cards_stay_below_a_megabyte(path: str) -> None:
    async with served(crowded()) as url:
        status, text, _ = await get(url + path)
    assert status == 200
    assert len(text.encode()) < 1_000_000


async def test_a_pod_that_waits_for_500_nodes_is_shown_what_50_of_them_say() -> None:
    async with served(crowded()) as url:
        _, text, _ = await get(url + "/workloads/team-0/waits-7")
    assert "50 of 500 nodes are shown" in text
