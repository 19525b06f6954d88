// Starts GraphiQL on this server: it asks no other host, and what is typed here ends with the browser's tab.

import { examples } from "./examples.js";

const { createElement, useEffect, useMemo, useState } = React;

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
  const kept = sessionStorage.getItem("graphiql:tabState") !== null;
  // GraphiQL fills its editors from these three and not from the first of defaultTabs.
  return { defaultTabs: tabs, ...(linked.length || !kept ? tabs[0] : {}) };
}

/** Without an Authorization that names no token yet: an untouched Headers tab means nobody, not a bad token. */
function signedHeaders(headers = {}) {
  return Object.fromEntries(Object.entries(headers).filter(([, value]) => !/^bearer\s*$/i.test(value)));
}

/** What the next examples need from a result: the token of a sign-in, the id and the position of a new room. */
function learnedFrom(data) {
  const payloads = Object.values(data ?? {});
  const token = payloads.find((payload) => payload?.tokens)?.tokens.accessToken;
  const room = data?.createRoom?.room;
  return { ...(token && { token }), ...(room && { roomId: room.id, after: room.streamCursor ?? null }) };
}

function watchingFetcher(learn) {
  const socket = new URL("/graphql", location.href);
  socket.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const send = GraphiQL.createFetcher({
    url: "/graphql",
    subscriptionUrl: socket.href,
    enableIncrementalDelivery: false,
  });
  return async (operation, options) => {
    const result = await send(operation, { ...options, headers: signedHeaders(options?.headers) });
    learn(learnedFrom(result?.data));
    return result;
  };
}

/** An example's Variables with its room filled in; any other text as it was. */
function filledVariables(text, { roomId, after }) {
  const empty = '"roomId": ""';
  if (!text.includes(empty)) return text;
  return text
    .replace(empty, () => `"roomId": ${JSON.stringify(roomId)}`)
    .replace('"after": null', () => `"after": ${JSON.stringify(after)}`);
}

/** The way home; and, being inside GraphiQL's editors, the one who writes what was learned into the open tab. */
function Home({ learned }) {
  const { activeTabIndex, headerEditor, variableEditor } = GraphiQL.React.useEditorContext();
  const [written] = useState(() => new Set(["", TEMPLATE]));

  useEffect(() => {
    if (!headerEditor || !written.has(headerEditor.getValue())) return;
    const headers = headersWith(learned.token);
    written.add(headers);
    headerEditor.setValue(headers);
  }, [activeTabIndex, headerEditor, learned.token, written]);

  useEffect(() => {
    if (!variableEditor || !learned.roomId) return;
    const text = variableEditor.getValue();
    const filled = filledVariables(text, learned);
    if (filled !== text) variableEditor.setValue(filled);
  }, [activeTabIndex, variableEditor, learned.roomId]);

  const home = createElement("a", { href: "/" }, "roomcast");
  return createElement("span", { className: "ways" }, home, createElement("a", { href: "/docs" }, "API reference"));
}

function Playground() {
  const [learned, setLearned] = useState({ token: "", roomId: "", after: null });
  const fetcher = useMemo(() => watchingFetcher((news) => setLearned((known) => ({ ...known, ...news }))), []);
  const plugins = useMemo(() => [GraphiQLPluginExplorer.explorerPlugin()], []);
  const tabs = useMemo(startingTabs, []);
  const options = {
    fetcher,
    plugins,
    ...tabs,
    defaultHeaders: TEMPLATE,
    defaultEditorToolsVisibility: "headers",
    shouldPersistHeaders: false,
    // The history keeps Headers and Variables, so tokens and passwords: in localStorage they would outlive the tab.
    storage: sessionStorage,
  };
  return createElement(
    GraphiQL,
    options,
    createElement(GraphiQL.Logo, null, createElement(Home, { learned })),
  );
}

ReactDOM.createRoot(document.getElementById("playground")).render(createElement(Playground));
