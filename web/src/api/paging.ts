/** Loading a whole connection page by page. */
interface Connection<Node> {
  nodes: Node[];
  pageInfo: { hasNextPage: boolean; endCursor: string | null };
}

/** Returns the nodes of all pages. `loadPage` gets the cursor after which its page starts; null ends the loading. */
export async function loadAllNodes<Node>(
  loadPage: (after: string | null) => Promise<Connection<Node> | null | undefined>,
): Promise<Node[]> {
  const nodes: Node[] = [];
  let after: string | null = null;
  do {
    const page: Connection<Node> | null | undefined = await loadPage(after);
    nodes.push(...(page?.nodes ?? []));
    after = page?.pageInfo.hasNextPage ? page.pageInfo.endCursor : null;
  } while (after);
  return nodes;
}
