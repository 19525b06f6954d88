/**
 * Renders HTML from the server as elements. The server sanitises it, and this module allows only listed elements and
 * links once more, so that a bug in one of the two is not enough for an attack. The text of other elements is kept.
 */
import { type ComponentChild, h } from "preact";

const ELEMENTS = new Set("a blockquote br code em h1 h2 h3 h4 h5 h6 hr li mark ol p pre s strong ul".split(" "));
const SAFE_LINK = /^(https?:\/\/|mailto:)/i;

/** Renders text outside of code and links, for example to highlight mentions. */
export type RenderText = (text: string) => ComponentChild;

export function renderHtml(html: string, renderText: RenderText = (text) => text): ComponentChild[] {
  const { body } = new DOMParser().parseFromString(html, "text/html");
  return renderChildren(body, renderText);
}

function renderChildren(node: Node, renderText: RenderText): ComponentChild[] {
  return [...node.childNodes].map((child) => renderNode(child, renderText));
}

function renderNode(node: ChildNode, renderText: RenderText): ComponentChild {
  if (node instanceof Text) return renderText(node.data);
  if (!(node instanceof Element)) return null;
  const name = node.localName;
  if (!ELEMENTS.has(name)) return renderChildren(node, renderText);
  const isVerbatim = name === "code" || name === "a";
  const children = renderChildren(node, isVerbatim ? (text) => text : renderText);
  return h(name, safeAttributes(name, node), ...children);
}

function safeAttributes(name: string, element: Element): Record<string, string | number> {
  const href = element.getAttribute("href") ?? "";
  if (name === "a" && SAFE_LINK.test(href)) {
    return { href, target: "_blank", rel: "nofollow noopener noreferrer" };
  }
  const start = Number(element.getAttribute("start"));
  if (name === "ol" && Number.isInteger(start) && start > 1) return { start };
  // Long lines of code scroll. With a tab stop this works by keyboard too.
  return name === "pre" ? { tabIndex: 0 } : {};
}
