// Creates and updates elements. Strings become text nodes, never markup.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value != null) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

/** Create an element; children are nodes or text. */
export function element(tag, attributes = {}, ...children) {
  return build(document.createElement(tag), attributes, children);
}

/** Create an SVG element. */
export function svgElement(tag, attributes = {}, ...children) {
  return build(document.createElementNS(SVG, tag), attributes, children);
}

/** Set a node's text; an unchanged text keeps the user's selection. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Set the texts of the `data-field`s below `root`. */
export function setFields(root, texts) {
  for (const [field, text] of Object.entries(texts)) {
    setText(root.querySelector(`[data-field="${field}"]`), text);
  }
}

/** Show a state as a coloured word. */
export function setChip(node, state, label = state) {
  setText(node, label);
  node.dataset.state = state;
}

/** Show `items` in order as children of `parent`; items with a known key keep their element, and so focus and selection. */
export function updateList(parent, items, keyOf, create, update = () => {}) {
  const previous = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let position = parent.firstElementChild;
  for (const item of items) {
    const key = String(keyOf(item));
    let child = previous.get(key);
    if (child === undefined) {
      child = create(item);
      child.dataset.key = key;
    }
    previous.delete(key);
    if (child === position) position = position.nextElementSibling;
    else parent.insertBefore(child, position);
    update(child, item);
  }
  for (const child of previous.values()) child.remove();
}

/** Show notices, `{level, text}` with the level `warn` or `bad`. */
export function showNotices(parent, notices) {
  const key = ({ level, text }) => `${level} ${text}`;
  updateList(parent, notices, key, ({ level, text }) => element("p", { class: "notice", "data-level": level }, text));
}
