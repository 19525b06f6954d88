// What GraphiQL keeps until the browser's tab is closed: its tabs, history and layout, without the secrets in them.

const PREFIX = "graphiql:";
const TABS = `${PREFIX}tabState`;
const LISTS = new Set([TABS, `${PREFIX}queries`, `${PREFIX}favorites`]);
// GraphiQL also stores the editors of the open tab. Here they are read from the list of tabs, so the two always agree.
const EDITORS = new Set([`${PREFIX}query`, `${PREFIX}variables`, `${PREFIX}headers`]);

const SECRET_NAME = /passw|passphrase|token|secret|auth(?!or)|credential|api_?key|cookie|signature|code$/i;
// An access token, a refresh token, or what follows "Bearer".
const SECRET_VALUE = /\beyJ[\w-]+\.[\w-]+\.[\w-]+|\b[0-9a-f]{32}\.[0-9a-f]{64}\b|\bbearer\s+[^\s"\\]+/gi;
// A string or number after a name: an argument, a default (`$name: String = "…"`), or a member of unfinished JSON.
const NAMED_VALUE =
  /(\w+)("?\s*:\s*(?:[\w![\]]+\s*=\s*)?)("""(?:[^"]|"(?!""))*(?:"""|$)|"(?:[^"\\\n]|\\.)*"?|-?\d[\w.+-]*)/g;

function withoutNamedSecrets(text) {
  return text
    .replace(NAMED_VALUE, (whole, name, colon) => (SECRET_NAME.test(name) ? `${name}${colon}""` : whole))
    .replace(SECRET_VALUE, "");
}

function blankSecret(name, value) {
  if (SECRET_NAME.test(name)) return typeof value === "string" ? "" : null;
  return typeof value === "string" ? value.replace(SECRET_VALUE, "") : value;
}

function withoutSecretVariables(text) {
  try {
    const clean = JSON.stringify(JSON.parse(text, blankSecret), null, 2);
    return clean === JSON.stringify(JSON.parse(text), null, 2) ? text : clean;
  } catch {
    return withoutNamedSecrets(text); // unfinished JSON
  }
}

const CLEANERS = {
  query: withoutNamedSecrets,
  variables: withoutSecretVariables,
  headers: () => null,
  response: () => null,
};

function cleaned(name, value) {
  return typeof value === "string" && Object.hasOwn(CLEANERS, name) ? CLEANERS[name](value) : value;
}

function openTab() {
  const { tabs, activeTabIndex } = JSON.parse(sessionStorage.getItem(TABS)) ?? { tabs: [], activeTabIndex: 0 };
  return tabs[activeTabIndex];
}

export const hasStoredTabs = () => sessionStorage.getItem(TABS) !== null;

/** Takes the place of localStorage in GraphiQL. */
export const storage = {
  getItem: (key) => (EDITORS.has(key) ? (openTab()?.[key.slice(PREFIX.length)] ?? null) : sessionStorage.getItem(key)),
  setItem(key, value) {
    if (EDITORS.has(key)) return;
    sessionStorage.setItem(key, LISTS.has(key) ? JSON.stringify(JSON.parse(value), cleaned) : value);
  },
  removeItem: (key) => sessionStorage.removeItem(key),
  clear: () => sessionStorage.clear(),
  get length() {
    return sessionStorage.length;
  },
};
