type Child = Node | string;

/** Make an element; text goes in as text, so what an event carries cannot become markup. */
export function el<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: { [name: string]: string } = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Show `items` in `list`, keeping the elements (and what is unfolded in them) across changes. */
export function showKeyed<Item>(
  list: HTMLElement,
  items: Item[],
  keyOf: (item: Item) => string,
  make: (item: Item) => HTMLElement,
  update: (element: HTMLElement, item: Item) => void,
): void {
  const present = new Map([...list.children].map((child) => [(child as HTMLElement).dataset.key, child as HTMLElement]));
  const wanted = items.map((item) => {
    const key = keyOf(item);
    const element = present.get(key) ?? make(item);
    element.dataset.key = key;
    update(element, item);
    return element;
  });
  const isSame = wanted.length === list.children.length && wanted.every((element, i) => list.children[i] === element);
  if (!isSame) list.replaceChildren(...wanted);
}
