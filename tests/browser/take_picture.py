"""Takes the picture of the chat page in README.md: `.venv/bin/python -m tests.browser.take_picture`.

Starts `roomcast serve` with an empty data folder, signs up two users, fills a room through the API, opens the page in
Chromium and writes `docs/images/page.png`. `CHROMIUM` names the program where it is not on the path. The reactions are
symbols that fonts without emoji have, too.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "page.png"
PASSWORD = "three blind mice ran"
WIDTH, HEIGHT = 1280, 800

SIGN_UP = """mutation ($input: SignupInput!) { signup(input: $input) {
  errors { code } user { id } tokens { accessToken } } }"""
CREATE_ROOM = "mutation ($input: CreateRoomInput!) { createRoom(input: $input) { errors { code } room { id } } }"
JOIN = "mutation ($input: JoinRoomInput!) { joinRoom(input: $input) { errors { code } } }"
SEND = "mutation ($input: SendMessageInput!) { sendMessage(input: $input) { errors { code } message { id } } }"
REACT = "mutation ($input: AddReactionInput!) { addReaction(input: $input) { errors { code } } }"


class User:
    """An account with its access to the API over HTTP."""

    def __init__(self, server: str, username: str, display_name: str) -> None:
        self.server, self.username, self.token = server, username, ""
        account = {"username": username, "displayName": display_name, "password": PASSWORD}
        self.token = self.mutate(SIGN_UP, account)["tokens"]["accessToken"]

    def mutate(self, document: str, values: dict[str, Any]) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        body = {"query": document, "variables": {"input": values}}
        answer = httpx.post(f"{self.server}/graphql", json=body, headers=headers, trust_env=False).json()
        if "errors" in answer:
            raise RuntimeError(answer)
        (payload,) = answer["data"].values()
        if payload["errors"]:
            raise RuntimeError(payload)
        return payload

    def send(self, room_id: str, body: str, **more: str) -> str:
        message_id: str = self.mutate(SEND, {"roomId": room_id, "body": body, **more})["message"]["id"]
        return message_id

    def react(self, message_id: str, emoji: str) -> None:
        self.mutate(REACT, {"messageId": message_id, "emoji": emoji})


def seed(server: str) -> tuple[User, User, str]:
    """Two users and a room with messages, reactions and a thread."""
    ann = User(server, "ann", "Ann Berger")
    bob = User(server, "bob", "Bob Okafor")
    topic = "Everything before Thursday"
    room_id = ann.mutate(CREATE_ROOM, {"name": "Release", "topic": topic})["room"]["id"]
    for name in ("Design", "Support", "Garden"):
        other = ann.mutate(CREATE_ROOM, {"name": name})["room"]["id"]
        bob.mutate(JOIN, {"roomId": other})
    bob.mutate(JOIN, {"roomId": room_id})
    ann.send(room_id, "Good morning! The **release notes** are ready to be read.")
    plan = bob.send(
        room_id, "Thanks. I go through this list today:\n\n- backups\n- the new set-up token\n- picture metadata"
    )
    ann.react(plan, "✔️")
    bob.react(plan, "✔️")
    ann.react(plan, "❤️")
    question = ann.send(room_id, "Which version of PostgreSQL do we test with?")
    bob.send(room_id, "15 and 18, in every run.", threadRootId=question)
    ann.send(room_id, "Good. Then I put both into the notes.", threadRootId=question)
    last = bob.send(room_id, "`roomcast doctor` finds nothing to complain about on the test server.", replyToId=plan)
    ann.react(last, "☕")
    return ann, bob, room_id


def sign_in(page: Page, server: str, username: str, room_id: str) -> None:
    page.goto(f"{server}/#{room_id}")
    page.get_by_label("Username or e-mail").fill(username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.goto(f"{server}/#{room_id}")
    page.get_by_role("main").get_by_role("log").get_by_text("picture metadata").first.wait_for()


def take(browser: Browser, server: str) -> None:
    ann, bob, room_id = seed(server)
    size: Any = {"width": WIDTH, "height": HEIGHT}
    pages = [browser.new_context(viewport=size, color_scheme="light").new_page() for _ in range(2)]
    sign_in(pages[0], server, bob.username, room_id)  # so that the picture shows a second user who is present
    page = pages[1]
    sign_in(page, server, ann.username, room_id)
    question = page.get_by_role("main").get_by_role("log").locator("[data-key]").filter(has_text="Which version")
    question.hover()
    question.get_by_role("button", name="Open thread", exact=True).click()
    page.get_by_role("complementary", name="Thread").get_by_text("both into the notes").wait_for()
    page.get_by_role("main").get_by_role("textbox").click()
    page.wait_for_timeout(1000)  # presence is announced four times a second
    page.screenshot(path=PICTURE)


def serve(folder: str, port: int) -> subprocess.Popen[bytes]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ROOMCAST_")}
    environment |= {"ROOMCAST_PORT": str(port), "ROOMCAST_DATA_DIR": f"{folder}/data", "ROOMCAST_LOG_LEVEL": "error"}
    return subprocess.Popen([str(Path(sys.executable).with_name("roomcast")), "serve"], cwd=folder, env=environment)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_ready(server: str, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if httpx.get(f"{server}/health/ready", trust_env=False).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise TimeoutError(f"{server} is not ready after {seconds} seconds")


def main() -> None:
    port = free_port()
    server = f"http://127.0.0.1:{port}"
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder, serve(folder, port) as process:
        try:
            wait_until_ready(server)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
                take(browser, server)
                browser.close()
        finally:
            process.terminate()
    sys.stdout.write(f"{PICTURE}: {PICTURE.stat().st_size // 1024} KiB\n")


if __name__ == "__main__":
    main()
