/** Nodes that a page may add at once, or have at all, to be recorded. */
export const MAX_BATCH_NODES = 10_000;
export const MAX_PAGE_NODES = 50_000;

/**
 * Tells of batches of mutations that are too large to be recorded, before rrweb sees them: observers
 * are told in the order in which they began to observe, and one that stops is not told any more.
 * A recorder that took them in would hold up the page for seconds.
 */
export function watchFlood(flooded: (nodes: number) => void): () => void {
  const observer = new MutationObserver((batch) => {
    let nodes = 0;
    for (const { addedNodes } of batch) {
      for (const added of addedNodes) {
        nodes += 1 + ((added as Partial<Element>).getElementsByTagName?.("*").length || 0);
        if (nodes > MAX_BATCH_NODES) return flooded(nodes);
      }
    }
  });
  observer.observe(document, { childList: true, subtree: true });
  return () => observer.disconnect();
}

export function isTooLarge(): boolean {
  return document.getElementsByTagName("*").length > MAX_PAGE_NODES;
}
