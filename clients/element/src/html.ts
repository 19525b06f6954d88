/**
 * The HTML of a message. The server has sanitised it already. It is rebuilt here element by element all the same, so that
 * the page that includes this script need not trust the server with its own origin.
 */
const ALLOWED = new Set(
  "A B BLOCKQUOTE BR CODE DEL EM H1 H2 H3 H4 H5 H6 HR I LI OL P PRE S SPAN STRONG TABLE TBODY TD TH THEAD TR UL".split(
    " ",
  ),
);

export function messageContent(html: string): DocumentFragment {
  // An inert document: it loads no images and runs no handlers.
  const parsed = new DOMParser().parseFromString(html, "text/html");
  const fragment = document.createDocumentFragment();
  copyChildren(parsed.body, fragment);
  return fragment;
}

function copyChildren(from: Node, to: Node): void {
  for (const node of from.childNodes) {
    if (node.nodeType === Node.TEXT_NODE) to.appendChild(document.createTextNode(node.nodeValue ?? ""));
    if (!(node instanceof Element)) continue;
    if (!ALLOWED.has(node.tagName)) {
      copyChildren(node, to);
      continue;
    }
    const copy = document.createElement(node.tagName);
    if (copy instanceof HTMLAnchorElement) setAddress(copy, node.getAttribute("href") ?? "");
    copyChildren(node, copy);
    to.appendChild(copy);
  }
}

function setAddress(link: HTMLAnchorElement, address: string): void {
  if (!/^(https?:|mailto:)/i.test(address)) return;
  link.href = address;
  link.target = "_blank";
  link.rel = "noopener noreferrer nofollow";
}
