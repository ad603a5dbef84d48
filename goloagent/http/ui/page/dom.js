// Makes and fills elements. Strings only ever become text: what jobs say is never markup.

const SVG = "http://www.w3.org/2000/svg";

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/** Return a new element; children are nodes or text. */
export function element(tag, attributes = {}, ...children) {
  return build(document.createElement(tag), attributes, children);
}

/** Return a new SVG element. */
export function drawing(tag, attributes = {}, ...children) {
  return build(document.createElementNS(SVG, tag), attributes, children);
}

/** Set a node's text, leaving it alone (and what is selected in it) when it is that already. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Set the texts of the `data-field`s below `root`. */
export function fill(root, texts) {
  for (const [field, text] of Object.entries(texts)) {
    setText(root.querySelector(`[data-field="${field}"]`), text);
  }
}

/** Show a state as a coloured word. */
export function setChip(node, state) {
  setText(node, state);
  node.dataset.state = state;
}

/**
 * Make `parent` show `items` in order, keeping the elements of those that stay: focus and
 * selection outlive an update.
 */
export function list(parent, items, key, create, update) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const id = String(key(item));
    let child = known.get(id);
    if (child === undefined) {
      child = create(item);
      child.dataset.key = id;
    }
    known.delete(id);
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
    update(child, item);
  }
  for (const child of known.values()) child.remove();
}
