// Starts GraphiQL on this server: it asks no other host, and what is typed here ends with the browser's tab.

import { clearEvents, eventCount, hideEvents, onEventsChange } from "./events.js";
import { examples } from "./examples.js";
import { createFetcher } from "./requests.js";
import { onSessionChange, sessionUser, setSessionUse, signedInUser } from "./session.js";
import { hasStoredTabs, storage } from "./storage.js";

const { createElement, Fragment, useEffect, useMemo, useState, useSyncExternalStore } = React;

const headersWith = (token) => `{"Authorization": "Bearer ${token}"}`;
const TEMPLATE = headersWith("");

/** The tab that `?query=…&variables=…` asks for, in a list of one; or none. */
function linkedTabs() {
  const link = new URLSearchParams(location.search);
  return link.has("query") ? [{ query: link.get("query"), variables: link.get("variables") ?? "" }] : [];
}

/** GraphiQL's tabs at the start: the linked one before the examples, or after what this browser tab held already. */
function startingTabs() {
  const linked = linkedTabs();
  const tabs = [...linked, ...examples].map((tab) => ({ ...tab, headers: TEMPLATE }));
  // GraphiQL fills its editors from these three and not from the first of defaultTabs.
  return { defaultTabs: tabs, ...(linked.length || !hasStoredTabs() ? tabs[0] : {}) };
}

/** What the next examples need from a result: the token of a sign-in, the id and the position of a new room. */
function learnedFrom(data) {
  const payloads = Object.values(data ?? {});
  const token = payloads.find((payload) => payload?.tokens)?.tokens.accessToken;
  const room = data?.createRoom?.room;
  return { ...(token && { token }), ...(room && { roomId: room.id, after: room.streamCursor ?? null }) };
}

/** An example's Variables with its room filled in; any other text as it was. */
function filledVariables(text, { roomId, after }) {
  const empty = '"roomId": ""';
  if (!text.includes(empty)) return text;
  return text
    .replace(empty, () => `"roomId": ${JSON.stringify(roomId)}`)
    .replace('"after": null', () => `"after": ${JSON.stringify(after)}`);
}

/** Writes what was learned into the open tab. In GraphiQL's header, because it needs the editors. */
function TabFiller({ learned }) {
  const { activeTabIndex, headerEditor, variableEditor } = GraphiQL.React.useEditorContext();
  const [written] = useState(() => new Set(["", TEMPLATE]));
  // The session is named by the button alone: a token in Headers would be sent in its place.
  const token = useSyncExternalStore(onSessionChange, sessionUser) === null ? learned.token : "";

  useEffect(() => {
    if (!headerEditor || !written.has(headerEditor.getValue())) return;
    const headers = headersWith(token);
    written.add(headers);
    headerEditor.setValue(headers);
  }, [activeTabIndex, headerEditor, token, written]);

  useEffect(() => {
    if (!variableEditor || !learned.roomId) return;
    const text = variableEditor.getValue();
    const filled = filledVariables(text, learned);
    if (filled !== text) variableEditor.setValue(filled);
  }, [activeTabIndex, variableEditor, learned.roomId]);

  return null;
}

/** Sends requests with the token of the chat page's session, where Headers has none. */
function SessionButton() {
  const signedIn = useSyncExternalStore(onSessionChange, signedInUser) !== null;
  const isUsed = useSyncExternalStore(onSessionChange, sessionUser) !== null;
  const title = isUsed
    ? "Requests are sent as the user of the chat page, except from tabs with a token in Headers"
    : "Send requests as the user of the chat page, until you reload or sign out";
  const options = {
    type: "button",
    className: "session-button",
    disabled: !signedIn,
    "aria-pressed": isUsed,
    title: signedIn ? title : "Sign in on the chat page first",
    onClick: () => setSessionUse(!isUsed),
  };
  return createElement("button", options, "Use my session");
}

/** Below the result: the number of live events, and a warning about a query that somebody else may have written. */
function ResultBar({ isLinked }) {
  const { activeTabIndex } = GraphiQL.React.useEditorContext();
  const count = useSyncExternalStore(onEventsChange, eventCount);
  useEffect(hideEvents, [activeTabIndex]);
  return createElement(
    Fragment,
    null,
    isLinked &&
      createElement("p", { role: "note" }, "This page was opened with a query from a link. Read it before you run it."),
    count !== null &&
      createElement(
        "p",
        null,
        createElement("output", null, `${count} ${count === 1 ? "event" : "events"}, newest first`),
        createElement("button", { type: "button", onClick: clearEvents }, "Clear events"),
      ),
  );
}

function Playground({ tabs, isLinked }) {
  const [learned, setLearned] = useState({ token: "", roomId: "", after: null });
  const fetcher = useMemo(
    () => createFetcher((data) => setLearned((known) => ({ ...known, ...learnedFrom(data) }))),
    [],
  );
  const plugins = useMemo(() => [GraphiQLPluginExplorer.explorerPlugin()], []);
  const options = {
    fetcher,
    plugins,
    ...tabs,
    defaultHeaders: TEMPLATE,
    defaultEditorToolsVisibility: "headers",
    shouldPersistHeaders: false,
    storage,
  };
  return createElement(
    GraphiQL,
    options,
    createElement(
      GraphiQL.Logo,
      null,
      createElement(TabFiller, { learned }),
      createElement(SessionButton),
      createElement("a", { href: "/docs" }, "API reference"),
      createElement("a", { href: "/" }, "roomcast"),
    ),
    createElement(GraphiQL.Footer, null, createElement(ResultBar, { isLinked })),
  );
}

const page = { tabs: startingTabs(), isLinked: linkedTabs().length > 0 };
// The query is in a tab now. A reload would open another tab with it.
if (page.isLinked) history.replaceState(null, "", location.pathname);
ReactDOM.createRoot(document.getElementById("playground")).render(createElement(Playground, page));
