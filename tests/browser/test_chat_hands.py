"""The chat page with files, by keyboard, on a phone, and its accessibility."""

import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import FilePayload, Page, expect

from tests.browser.another_client import say
from tests.browser.chat_page import Account, box, entry, log, open_room, rooms, row, sign_in, use, write
from tests.browser.playground import OpenPage
from tests.servers import skip

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"
SERIOUS = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations
  .filter(({impact}) => impact === "serious" || impact === "critical")
  .map(({id, nodes}) => `${id}: ${nodes.map(({html}) => html).join(" ")}`)"""


def picture(width: int, height: int) -> bytes:
    """A PNG of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack("!I", len(data)) + kind + data + struct.pack("!I", zlib.crc32(kind + data))

    header = struct.pack("!IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress((b"\0" + b"\x4f\x46\xe5" * width) * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


async def test_a_picture_and_a_text_file_are_sent_and_shown(open_page: OpenPage, server: str) -> None:
    ann = Account(server, "ann")
    room_id, _ = ann.create_room()
    page = await open_room(open_page, ann, room_id)
    files = [
        FilePayload(name="sea.png", mimeType="image/png", buffer=picture(640, 400)),
        FilePayload(name="notes.txt", mimeType="text/plain", buffer=b"hello" * 300),
    ]
    await page.get_by_label("Files", exact=True).set_input_files(files)
    await expect(page.get_by_role("list", name="Attached files")).to_contain_text("1 KB")
    await write(page, "from the beach")
    shown = row(page, "from the beach").get_by_role("img", name="sea.png")
    await expect(shown).to_have_js_property("complete", True)
    assert await shown.evaluate("image => image.naturalWidth") == 480, "a thumbnail, not the file"
    await expect(row(page, "from the beach").get_by_role("link", name="notes.txt")).to_be_visible()


async def test_a_refused_file_shows_the_reason_and_can_be_removed(open_page: OpenPage, server: str) -> None:
    ann = Account(server, "ann")
    page = await open_room(open_page, ann, ann.create_room()[0])
    fake = FilePayload(name="fake.png", mimeType="image/png", buffer=b"no picture")
    await page.get_by_label("Files", exact=True).set_input_files([fake])
    await expect(page.get_by_role("list", name="Attached files").get_by_role("alert")).not_to_be_empty()
    await box(page).fill("without it")
    await expect(page.get_by_role("button", name="Send", exact=True)).to_be_disabled()
    await page.get_by_role("button", name="Remove fake.png").click()
    await box(page).press("Enter")
    await expect(row(page, "without it")).to_be_visible()


async def test_keyboard_shortcuts(open_page: OpenPage, server: str) -> None:
    ann = Account(server, "ann")
    (one, one_name), (_, two_name) = ann.create_room(), ann.create_room()
    page = await open_room(open_page, ann, one)
    for key in ("f", "Shift+Enter", "second", "Enter"):
        await (box(page).press_sequentially(key) if key == "second" else box(page).press(key))
    await row(page, "second").get_by_role("button", name="Edit").wait_for(state="attached")
    await box(page).press("ArrowUp")
    await expect(page.get_by_label("Edit message")).to_have_value("f\nsecond")
    await page.keyboard.press("Escape")
    await expect(page.get_by_label("Edit message")).to_have_count(0)
    await expect(box(page)).to_be_focused()
    await log(page).focus()
    await page.keyboard.press("ArrowUp")
    await expect(row(page, "second")).to_be_focused()
    await page.keyboard.press("r")
    await expect(page.get_by_role("button", name="Do not reply")).to_be_visible()
    await expect(box(page)).to_be_focused()
    await page.keyboard.press("Alt+ArrowDown" if await is_above(page, one_name, two_name) else "Alt+ArrowUp")
    await expect(entry(page, two_name)).to_have_attribute("aria-current", "page")
    await page.keyboard.press("Control+k")
    await page.keyboard.type(one_name)
    await page.keyboard.press("Enter")
    await expect(entry(page, one_name)).to_have_attribute("aria-current", "page")
    await expect(box(page)).to_be_focused()


async def is_above(page: Page, one: str, other: str) -> bool:
    names = await rooms(page).locator(".room-name").all_inner_texts()
    return names.index(one) < names.index(other)


async def test_a_draft_is_kept_per_room(open_page: OpenPage, server: str) -> None:
    ann = Account(server, "ann")
    (one, one_name), (_, two_name) = ann.create_room(), ann.create_room()
    page = await open_room(open_page, ann, one)
    await box(page).fill("half a thou")
    await entry(page, two_name).click()
    await expect(page.get_by_role("textbox", name=f"Message {two_name}")).to_have_value("")
    await entry(page, one_name).click()
    await expect(page.get_by_role("textbox", name=f"Message {one_name}")).to_have_value("half a thou")


async def test_a_narrow_window_shows_one_panel_at_a_time(open_page: OpenPage, server: str) -> None:
    ann = Account(server, "ann")
    room_id, name = ann.create_room()
    say(server, ann.token, room_id, "a" * 300)
    page = await sign_in(open_page, ann.name)
    await page.set_viewport_size({"width": 360, "height": 640})
    await entry(page, name).click()
    await expect(row(page, "aaa")).to_be_visible()
    await expect(rooms(page)).to_be_hidden()
    assert await page.evaluate("document.documentElement.scrollWidth") == 360
    await page.get_by_role("button", name="1 member").click()
    await page.get_by_role("button", name="Close members").click()
    await page.get_by_role("button", name="Back to rooms").click()
    await expect(rooms(page)).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth") == 360


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_page_has_no_serious_accessibility_violations(open_page: OpenPage, server: str, scheme: Any) -> None:
    if not AXE.is_file():
        skip("axe-core is not installed: run make test, or npm ci in web")
    ann, bob = Account(server, "ann"), Account(server, "bob")
    room_id, _ = ann.create_room()
    bob.join(room_id)
    for text in (f"**Hi** @{ann.name}", "```\ncode\n```", "[a link](https://example.org)"):
        say(server, bob.token, room_id, text)
    page = await open_page("/")
    await page.emulate_media(color_scheme=scheme)
    assert await accessibility_violations(page) == []
    await page.close()
    page = await open_room(open_page, ann, room_id)
    await page.emulate_media(color_scheme=scheme)
    await use(row(page, f"@{ann.name}"), "Add reaction")
    assert await accessibility_violations(page) == []
    await page.keyboard.press("Escape")
    for name, thing in (("2 members", "Members"), ("Search messages", "Search")):
        await page.get_by_role("button", name=name).click()
        await expect(page.get_by_role("complementary", name=thing)).to_be_visible()
        assert await accessibility_violations(page) == []
    await page.get_by_role("button", name="New room").click()
    assert await accessibility_violations(page) == []


async def accessibility_violations(page: Page) -> list[str]:
    """The serious and critical violations that axe finds."""
    await page.evaluate(AXE.read_text())
    found: list[str] = await page.evaluate(SERIOUS)
    return found
