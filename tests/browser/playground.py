"""The GraphiQL page for the browser tests: editors, tabs, the run button and the result."""

from collections.abc import Awaitable, Callable

from playwright.async_api import Locator, Page, expect

OpenPage = Callable[[str], Awaitable[Page]]

NAME_IS_KNOWN = r"""() => {
  const { CodeMirror } = document.querySelector(".graphiql-query-editor .CodeMirror");
  const [, name = null] = CodeMirror.getValue().match(/^(?:query|mutation|subscription) (\w+)/m) ?? [];
  return CodeMirror.operationName === name;
}"""


async def open_graphiql(open_page: OpenPage, path: str = "/graphql") -> Page:
    """Open GraphiQL and wait for all its editors: a run before they are loaded would miss their content."""
    page = await open_page(path)
    await expect(page.locator(".CodeMirror-code")).to_have_count(4)
    await expect(editor(page, "Headers")).to_contain_text("Authorization")
    return page


def editor(page: Page, name: str) -> Locator:
    """The visible lines of "Query Editor", "Variables" or "Headers"."""
    return page.get_by_role("region", name=name, exact=True).locator(".CodeMirror-code").filter(visible=True)


def answer(page: Page) -> Locator:
    return page.get_by_role("region", name="Result Window").locator(".CodeMirror-code")


async def write(page: Page, name: str, text: str) -> None:
    """Replace the content of an editor."""
    await editor(page, name).click()
    await page.keyboard.press("ControlOrMeta+A")
    # Inserted as by pasting: the editor closes typed brackets itself.
    await page.keyboard.insert_text(text)


async def open_tab(page: Page, name: str) -> None:
    await page.get_by_role("tab", name=name).get_by_role("button", name=name, exact=True).click()


async def run(page: Page) -> None:
    """Run the current query. Waits until GraphiQL knows its name, which it reads a tenth of a second after a change."""
    await page.wait_for_function(NAME_IS_KNOWN)
    await page.get_by_role("button", name="Execute query").click()


def session_button(page: Page) -> Locator:
    return page.get_by_role("button", name="Use my session")


def event_count(page: Page) -> Locator:
    """The number of live events, below the result."""
    return page.get_by_role("status").filter(has_text="newest first")


async def use_session(page: Page) -> None:
    await session_button(page).click()
    await expect(session_button(page)).to_have_attribute("aria-pressed", "true")


async def until_stored(page: Page, text: str, key: str = "tabState") -> None:
    """Until GraphiQL has stored this text: it stores a changed editor half a second later, and its history on a run."""
    await page.wait_for_function(f"(text) => sessionStorage['graphiql:{key}']?.includes(text)", arg=text)
