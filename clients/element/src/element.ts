/** `<roomcast-room server room token>`: one room, live, with a box to write in. */
import {
  createRoomcast,
  memoryStorage,
  RoomcastError,
  type GiveToken,
  type Message,
  type OpenRoom,
  type Roomcast,
  type Typing,
  type UnsentMessage,
} from "@roomcast/client";
import { messageContent } from "./html";
import style from "./style.css?inline";

/** How near to its end the list has to be to stay there, and to its beginning to load more, in pixels. */
const NEAR = 80;

const TEXTS = {
  label: "Messages",
  write: "Write a message",
  send: "Send",
  deleted: "This message was deleted.",
  reconnecting: "Reconnecting…",
  retry: "Send again",
  discard: "Discard",
  typing: (names: string) => `${names} …`,
};

/**
 * Attributes: `server` (an address), `room` (the id of the room), `token` (an access token). Instead of the attribute the
 * property `token` may be a function that returns tokens. A change of any of them opens the room anew.
 *
 * Fires `roomcast-error` with the RoomcastError in `detail` when the room cannot be shown. Parts for `::part`: `list`,
 * `message`, `form`, `input`, `button`, `status`.
 */
export class RoomcastRoom extends HTMLElement {
  static readonly observedAttributes = ["server", "room", "token"];
  readonly #list = element("ol", { part: "list", role: "log", tabindex: "0", "aria-label": TEXTS.label });
  readonly #status = element("div", { part: "status", role: "status" });
  readonly #input = element("textarea", {
    part: "input",
    rows: "1",
    "aria-label": TEXTS.write,
    placeholder: TEXTS.write,
  });
  readonly #rows = new Map<string, { shown: Message | UnsentMessage; row: HTMLLIElement }>();
  #giveToken: GiveToken | null = null;
  #open: { roomcast: Roomcast; room: OpenRoom; typing: Typing } | null = null;
  #isOpening = false;

  constructor() {
    super();
    const form = element("form", { part: "form" }, this.#input, element("button", { part: "button" }, TEXTS.send));
    form.addEventListener("submit", (event) => this.#submit(event));
    this.#input.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) this.#submit(event);
    });
    this.#input.addEventListener(
      "input",
      () => void this.#open?.typing.set(this.#input.value !== "").catch(() => undefined),
    );
    this.#list.addEventListener("scroll", () => this.#onScroll());
    this.addEventListener("focusin", () => this.#markReadAtEnd());
    this.attachShadow({ mode: "open" }).append(element("style", {}, style), this.#list, this.#status, form);
  }

  /** A function that returns access tokens. It is called when one is needed. */
  set token(give: GiveToken | string | null) {
    this.#giveToken = typeof give === "string" ? () => give : give;
    this.#reopen();
  }

  connectedCallback(): void {
    this.#reopen();
  }

  disconnectedCallback(): void {
    this.#close();
  }

  attributeChangedCallback(): void {
    this.#reopen();
  }

  /** Once for all attributes that change together. */
  #reopen(): void {
    if (this.#isOpening) return;
    this.#isOpening = true;
    queueMicrotask(() => {
      this.#isOpening = false;
      this.#close();
      if (this.isConnected) this.#start();
    });
  }

  #start(): void {
    const [server, roomId] = [this.getAttribute("server"), this.getAttribute("room")];
    const token = this.#giveToken ?? this.getAttribute("token");
    if (server === null || roomId === null || token === null) return;
    const roomcast = createRoomcast({ url: server, token, storage: memoryStorage() });
    const [room, typing] = [roomcast.openRoom(roomId), roomcast.typing(roomId)];
    this.#open = { roomcast, room, typing };
    room.timeline.subscribe(() => this.#showMessages(room));
    room.error.subscribe(() => this.#showError(room.error.get()));
    typing.users.subscribe(() => this.#showStatus());
    roomcast.socket.connection.subscribe(() => this.#showStatus());
  }

  #close(): void {
    const { roomcast, room, typing } = this.#open ?? {};
    this.#open = null;
    room?.close();
    typing?.close();
    roomcast?.close();
    this.#rows.clear();
    this.#list.replaceChildren();
    this.#status.textContent = "";
  }

  #submit(event: Event): void {
    event.preventDefault();
    const body = this.#input.value.trim();
    if (body === "" || this.#open?.roomcast.session.get() == null) return;
    this.#open.room.send(body);
    this.#input.value = "";
    this.#list.scrollTop = this.#list.scrollHeight;
  }

  // ---------------------------------------------------------------- showing

  /** Makes rows only for what has changed, and keeps what the reader sees in its place. */
  #showMessages(room: OpenRoom): void {
    if (room !== this.#open?.room) return;
    const { messages, unsent } = room.timeline.get();
    const list = this.#list;
    const fromEnd = list.scrollHeight - list.scrollTop;
    const isAtEnd = fromEnd - list.clientHeight < NEAR;
    const first = list.firstElementChild;
    const rows = [...messages, ...unsent].map((shown) => this.#row(shown));
    const ids = new Set([...messages, ...unsent].map(({ id }) => id));
    for (const id of this.#rows.keys()) if (!ids.has(id)) this.#rows.delete(id);
    const isOlderPage = first !== null && rows.length > 0 && rows[0] !== first && rows.includes(first as HTMLLIElement);
    showRows(list, rows);
    if (isAtEnd) list.scrollTop = list.scrollHeight;
    else if (isOlderPage) list.scrollTop = list.scrollHeight - fromEnd;
    this.#markReadAtEnd();
  }

  /** What the reader has seen: the list is at its end, and the page has the focus. */
  #markReadAtEnd(): void {
    const { scrollHeight, scrollTop, clientHeight } = this.#list;
    const isSeen = scrollHeight - scrollTop - clientHeight < NEAR && document.hasFocus();
    if (isSeen) void this.#open?.room.markRead().catch(() => undefined); // the next message tries again
  }

  #row(shown: Message | UnsentMessage): HTMLLIElement {
    const known = this.#rows.get(shown.id);
    if (known?.shown === shown) return known.row;
    const row = "seq" in shown ? messageRow(shown) : this.#unsentRow(shown);
    this.#rows.set(shown.id, { shown, row });
    return row;
  }

  #unsentRow(unsent: UnsentMessage): HTMLLIElement {
    const row = element("li", { part: "message", class: "unsent", dir: "auto" }, unsent.body);
    if (unsent.failure === null) return row;
    const outbox = this.#open?.roomcast.outbox;
    const retry = element("button", { part: "button", type: "button" }, TEXTS.retry);
    const discard = element("button", { part: "button", type: "button" }, TEXTS.discard);
    retry.addEventListener("click", () => outbox?.retry(unsent.id));
    discard.addEventListener("click", () => outbox?.discard(unsent.id));
    row.append(element("p", {}, unsent.failure.message), retry, discard);
    return row;
  }

  #showStatus(): void {
    const { roomcast, typing } = this.#open ?? {};
    const names = (typing?.users.get() ?? []).map(({ displayName }) => displayName).join(", ");
    const isAway = roomcast?.socket.connection.get() === "reconnecting";
    this.#status.textContent = isAway ? TEXTS.reconnecting : names ? TEXTS.typing(names) : "";
  }

  #showError(error: RoomcastError | null): void {
    this.#status.textContent = error?.message ?? "";
    if (error) this.dispatchEvent(new CustomEvent("roomcast-error", { detail: error }));
  }

  #onScroll(): void {
    const { room } = this.#open ?? {};
    if (room && this.#list.scrollTop < NEAR) void room.loadOlder().catch(() => undefined); // so does the next scroll
    this.#markReadAtEnd();
  }
}

/** Moves no row that stays, so that selected text and the position of the list stay, too. */
function showRows(list: HTMLOListElement, rows: readonly HTMLLIElement[]): void {
  const wanted = new Set<Element>(rows);
  for (const row of [...list.children]) if (!wanted.has(row)) row.remove();
  let place = list.firstElementChild;
  for (const row of rows) {
    if (row === place) place = place.nextElementSibling;
    else list.insertBefore(row, place);
  }
}

function messageRow({ author, body, bodyHtml, createdAt, kind }: Message): HTMLLIElement {
  const time = new Date(createdAt);
  const shownTime = time.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const head = element("span", { class: "author" }, author?.displayName ?? "");
  const row = element("li", { part: "message", dir: "auto" }, ...(author ? [head] : []));
  row.append(element("time", { datetime: createdAt, title: time.toLocaleString() }, shownTime));
  if (kind === "SYSTEM") row.className = "system";
  if (body === null) row.classList.add("deleted");
  row.append(body === null ? element("p", {}, TEXTS.deleted) : messageContent(bodyHtml ?? ""));
  return row;
}

function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Record<string, string>,
  ...children: (Node | string)[]
): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}
