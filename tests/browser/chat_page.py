"""The chat page for the browser tests: users, and the parts of the page."""

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
MESSAGES = "query ($roomId: ID!) { messages(roomId: $roomId, last: 100) { nodes { id body kind } } }"

numbers = itertools.count(1)


def new_name(stem: str) -> str:
    """A unique name: all tests share one server."""
    return f"{stem}{next(numbers)}"


class Account:
    """An account that is created over HTTP. It acts over HTTP or signs in on a page."""

    def __init__(self, server: str, stem: str) -> None:
        self.server, self.name = server, new_name(stem)
        signed_in = ask(server, SIGNUP, {"input": {"username": self.name, "password": PASSWORD}})
        self.token = signed_in["tokens"]["accessToken"]
        self.session = json.dumps({"userId": signed_in["user"]["id"], "staleAt": 1e15, **signed_in["tokens"]})

    def create_room(self, stem: str = "room") -> tuple[str, str]:
        """Create a public room. Returns its id and name."""
        name = new_name(stem)
        return create_room(self.server, self.token, name)["id"], name

    def join(self, room_id: str) -> None:
        data_of(self.server, JOIN, {"input": {"roomId": room_id}}, self.token)

    def join_by(self, code: str) -> None:
        data_of(self.server, JOIN, {"input": {"inviteCode": code}}, self.token)

    def stored_messages(self, room_id: str) -> list[str]:
        """The bodies of the room's user messages in the API's history, in order."""
        nodes = data_of(self.server, MESSAGES, {"roomId": room_id}, self.token)["messages"]["nodes"]
        return [node["body"] for node in nodes if node["kind"] == "USER"]


async def sign_in(open_page: OpenPage, name: str, path: str = "/") -> Page:
    page = await open_page(path)
    await page.get_by_label("Username or e-mail").fill(name)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await expect(rooms(page)).to_be_visible()
    return page


async def open_room(open_page: OpenPage, user: Account, room_id: str) -> Page:
    """Open the page as a signed-in user, with this room open and loaded."""
    page = await open_with_session(open_page, user)
    await page.goto(f"/#{room_id}")
    await until_open(page)
    return page


async def open_with_session(open_page: OpenPage, user: Account) -> Page:
    """Open a file of the server and store the session in the browser; the chat page is not open yet."""
    page = await open_page("/static/icon.svg")
    await page.evaluate("session => localStorage.setItem('roomcast.session', session)", user.session)
    return page


async def until_open(page: Page) -> None:
    await expect(log(page)).to_have_attribute("aria-busy", "false")


def rooms(page: Page) -> Locator:
    return page.get_by_role("navigation", name="Rooms")


def entry(page: Page, name: str) -> Locator:
    """The entry of a room in the list of rooms."""
    return rooms(page).get_by_role("link").filter(has_text=name)


def log(page: Page) -> Locator:
    return page.get_by_role("main").get_by_role("log")


def row(page: Page, text: str) -> Locator:
    """The message with this text."""
    return log(page).locator("[data-key]").filter(has_text=text)


def box(page: Page) -> Locator:
    return page.get_by_role("main").get_by_role("textbox")


async def write(page: Page, text: str) -> None:
    await box(page).fill(text)
    await box(page).press("Enter")


async def shown_messages(page: Page) -> list[str]:
    """The bodies of the user messages that the page shows, in order."""
    return await log(page).locator(".message .body").all_inner_texts()


async def use(row: Locator, tool: str) -> None:
    """Click a button of a message, which is shown when the message has the focus."""
    button = row.get_by_role("button", name=tool, exact=True)
    await expect(button).to_be_attached()  # a message that is still being sent has no buttons
    await row.focus()
    await button.click()
