// The search of the API reference: over the names on the page, by keyboard, without the server.

const MOST = 30;

const box = document.querySelector("search");
const input = document.getElementById("search");
const list = document.getElementById("found");
const count = document.getElementById("count");

const entries = [...document.querySelectorAll("[data-kind]")].map(({ id, dataset }) => {
  const name = dataset.name ?? id;
  return { id, name, kind: dataset.kind, lower: name.toLowerCase(), last: name.split(".").at(-1).toLowerCase() };
});

const OPERATIONS = new Set(["query", "mutation", "subscription"]);

/** The smaller, the better: the name itself, then names that begin with the text. Operations first, then short names. */
function rank({ last, lower, kind }, text) {
  const place = last === text || lower === text ? 0 : last.startsWith(text) ? 1 : last.includes(text) ? 2 : 3;
  return place * 1000 + (OPERATIONS.has(kind) ? 0 : 100) + lower.length;
}

function search(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return [];
  return entries
    .filter(({ lower, kind }) => words.every((word) => lower.includes(word) || kind === word))
    .map((entry) => ({ entry, rank: rank(entry, words[0]) }))
    .sort((one, other) => one.rank - other.rank)
    .map(({ entry }) => entry);
}

let active = -1;

function close() {
  active = -1;
  list.hidden = true;
  list.replaceChildren();
  count.textContent = "";
  input.setAttribute("aria-expanded", "false");
  input.removeAttribute("aria-activedescendant");
}

function option({ id, name, kind }, place) {
  const item = document.createElement("li");
  const code = document.createElement("code");
  const small = document.createElement("small");
  code.textContent = name;
  small.textContent = kind;
  item.append(code, " ", small);
  item.id = `found-${place}`;
  item.dataset.target = id;
  item.setAttribute("role", "option");
  item.setAttribute("aria-selected", "false");
  return item;
}

function show() {
  close();
  const found = search(input.value);
  if (!input.value.trim()) return;
  count.textContent = found.length > MOST ? `${MOST} of ${found.length} results` : `${found.length} results`;
  list.replaceChildren(...found.slice(0, MOST).map(option));
  list.hidden = !found.length;
  input.setAttribute("aria-expanded", String(!list.hidden));
  if (found.length) activate(0);
}

function activate(place) {
  list.children[active]?.setAttribute("aria-selected", "false");
  active = (place + list.children.length) % list.children.length;
  const item = list.children[active];
  item.setAttribute("aria-selected", "true");
  item.scrollIntoView({ block: "nearest" });
  input.setAttribute("aria-activedescendant", item.id);
}

/** To the entry, with the focus, so that the next Tab goes on from there. */
function open(item) {
  const target = document.getElementById(item.dataset.target);
  input.value = "";
  close();
  location.hash = target.id;
  target.tabIndex = -1;
  target.focus({ preventScroll: true });
}

const KEYS = {
  ArrowDown: () => list.children.length && activate(active + 1),
  ArrowUp: () => list.children.length && activate(active - 1),
  Enter: () => active >= 0 && open(list.children[active]),
  Escape: () => {
    input.value = "";
    close();
  },
};

input.addEventListener("input", show);
input.addEventListener("focus", show);
input.addEventListener("blur", close);
input.addEventListener("keydown", (event) => {
  if (event.isComposing || !KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
});
// Before the click the input would lose the focus, and the list would close.
list.addEventListener("mousedown", (event) => event.preventDefault());
list.addEventListener("click", ({ target }) => {
  const item = target.closest("li");
  if (item) open(item);
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.target === input) return;
  event.preventDefault();
  input.focus();
});

box.hidden = false;
if (matchMedia("(min-width: 60rem)").matches) {
  for (const part of document.querySelectorAll(".contents details")) part.open = true;
}
