"""What the browser tests say of the chat page: its people, its rooms, its messages and where they are written."""

import itertools
import json

from playwright.async_api import Locator, Page, expect

from tests.browser.another_client import ask, create_room, data_of
from tests.browser.playground import OpenPage

PASSWORD = "three blind mice ran"

SIGNUP = (
    "mutation ($input: SignupInput!) { signup(input: $input) { errors { code message } user { id } "
    "tokens { accessToken accessTokenExpiresAt refreshToken } } }"
)
JOIN = "mutation ($input: JoinRoomInput!) { joinRoom(input: $input) { errors { code } } }"
SAID = "query ($roomId: ID!) { messages(roomId: $roomId, last: 100) { nodes { id body kind } } }"

numbers = itertools.count(1)


def new_name(stem: str) -> str:
    """One that no other test has: they share a server."""
    return f"{stem}{next(numbers)}"


class Somebody:
    """An account made over HTTP: a person whom the page hears of, or who will sign in there."""

    def __init__(self, server: str, stem: str) -> None:
        self.server, self.name = server, new_name(stem)
        signed_in = ask(server, SIGNUP, {"input": {"username": self.name, "password": PASSWORD}})
        self.token = signed_in["tokens"]["accessToken"]
        self.session = json.dumps({"userId": signed_in["user"]["id"], "staleAt": 1e15, **signed_in["tokens"]})

    def create_room(self, stem: str = "room") -> tuple[str, str]:
        """A new public room's id and name."""
        name = new_name(stem)
        return create_room(self.server, self.token, name)["id"], name

    def join(self, room_id: str) -> None:
        data_of(self.server, JOIN, {"input": {"roomId": room_id}}, self.token)

    def join_by(self, code: str) -> None:
        data_of(self.server, JOIN, {"input": {"inviteCode": code}}, self.token)

    def heard(self, room_id: str) -> list[str]:
        """What people have said in a room, in its order."""
        nodes = data_of(self.server, SAID, {"roomId": room_id}, self.token)["messages"]["nodes"]
        return [node["body"] for node in nodes if node["kind"] == "USER"]


async def sign_in(open_page: OpenPage, name: str, path: str = "/") -> Page:
    page = await open_page(path)
    await page.get_by_label("Username or e-mail").fill(name)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await expect(rooms(page)).to_be_visible()
    return page


async def enter(open_page: OpenPage, who: Somebody, room_id: str) -> Page:
    """The page with this room open, its history shown and its events coming; signed in since an earlier visit."""
    page = await arrive(open_page, who)
    await page.goto(f"/#{room_id}")
    await until_open(page)
    return page


async def arrive(open_page: OpenPage, who: Somebody) -> Page:
    """On the server, signed in, the page not opened yet."""
    page = await open_page("/static/icon.svg")
    await page.evaluate("session => localStorage.setItem('roomcast.session', session)", who.session)
    return page


async def until_open(page: Page) -> None:
    await expect(log(page)).to_have_attribute("aria-busy", "false")


def rooms(page: Page) -> Locator:
    return page.get_by_role("navigation", name="Rooms")


def entry(page: Page, name: str) -> Locator:
    """A room in the list of rooms."""
    return rooms(page).get_by_role("link").filter(has_text=name)


def log(page: Page) -> Locator:
    return page.get_by_role("main").get_by_role("log")


def row(page: Page, text: str) -> Locator:
    """The message that says this."""
    return log(page).locator("[data-key]").filter(has_text=text)


def box(page: Page) -> Locator:
    return page.get_by_role("main").get_by_role("textbox")


async def write(page: Page, text: str) -> None:
    await box(page).fill(text)
    await box(page).press("Enter")


async def said(page: Page) -> list[str]:
    """The bodies of what people have said, as they stand on the page."""
    return await log(page).locator(".message .body").all_inner_texts()


async def use(row: Locator, tool: str) -> None:
    """One of the buttons that a message shows when it is chosen."""
    button = row.get_by_role("button", name=tool, exact=True)
    await expect(button).to_be_attached()  # while it is on its way, nothing can be done with it
    await row.focus()
    await button.click()
