// Elements, made and changed without ever reading text as markup.

function fill(node, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

export const h = (tag, properties, ...children) =>
  fill(document.createElement(tag), properties, children);

export const svg = (tag, properties, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, children);

// Touches the page only when something changed, so that a selection or a reader's place stays.
export function setText(node, text) {
  const value = String(text);
  if (node.textContent !== value) node.textContent = value;
}

export function setShown(node, shown) {
  if (node.hidden === shown) node.hidden = !shown;
}

export function setClass(node, name, on) {
  node.classList.toggle(name, Boolean(on));
}

// Keeps one child of `parent` for each item, by key and in order. make(item) gives an object with
// an `element` and update(item).
export class Keyed {
  constructor(parent, make) {
    this.parent = parent;
    this.make = make;
    this.known = new Map();
  }

  update(items, key) {
    const gone = new Set(this.known.keys());
    let at = this.parent.firstElementChild;
    for (const item of items) {
      const name = key(item);
      gone.delete(name);
      let one = this.known.get(name);
      if (!one) this.known.set(name, (one = this.make(item)));
      one.update(item);
      if (one.element === at) at = at.nextElementSibling;
      else this.parent.insertBefore(one.element, at);
    }
    for (const name of gone) {
      this.known.get(name).element.remove();
      this.known.delete(name);
    }
  }
}

// Asks before what cannot be undone; true when it is wanted. Escape says no.
export function confirmed(title, text, action) {
  return new Promise((done) => {
    const yes = h("button", { type: "submit", class: "danger", value: "yes" }, action);
    const no = h("button", { type: "submit", class: "quiet", value: "no", autofocus: true }, "No");
    const dialog = h("dialog", { "aria-label": title }, h("form", { method: "dialog" },
      h("h2", {}, title), h("p", {}, text), h("div", { class: "row end" }, no, yes)));
    dialog.addEventListener("close", () => {
      dialog.remove();
      done(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
