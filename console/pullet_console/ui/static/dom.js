// Elements from data. Text only ever becomes text nodes: whatever a name holds, it is never markup.

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export const fill = (element, ...children) => element.replaceChildren(...children.flat().filter(Boolean));

// Changes the text only where it is another one, so that screen readers and selections are left alone.
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function sparkline(values, label) {
  const top = Math.max(1, ...values);
  const step = 100 / Math.max(1, values.length - 1);
  const points = values.map((value, i) => `${(i * step).toFixed(1)},${(29 - (27 * value) / top).toFixed(1)}`);
  const line = points.length ? `M${points.join("L")}` : "";
  return svg(
    "svg",
    { class: "spark", viewBox: "0 0 100 30", preserveAspectRatio: "none", role: "img", "aria-label": label },
    svg("path", { class: "under", d: line && `${line}L100,30L0,30Z` }),
    svg("path", { d: line }),
  );
}

export function sheet(title, className, body, ...tools) {
  const heading = h("h2", {}, title);
  return h("section", { class: `sheet ${className}`, "aria-label": title }, h("div", { class: "top" }, heading, ...tools), body);
}

export function table(caption, columns, rows) {
  const head = columns.map(([name, kind]) => h("th", { class: kind, scope: "col" }, name));
  const body = rows.map((cells) => h("tr", {}, cells.map((cell, i) => h("td", { class: columns[i][1] }, cell ?? ""))));
  return h(
    "div",
    { class: "tables", tabindex: "0", role: "region", "aria-label": caption },
    h("table", {}, h("caption", { class: "unseen" }, caption), h("thead", {}, h("tr", {}, head)), h("tbody", {}, body)),
  );
}

export const empty = (title, text) => h("div", { class: "empty" }, h("b", {}, title), text);

let toast;
export function tell(text) {
  toast?.remove();
  toast = h("div", { class: "toast" }, text);
  document.body.append(toast);
  document.getElementById("said").textContent = text;
  const shown = toast;
  setTimeout(() => shown.remove(), 6000);
}

// Makes what is there like what is new, and keeps the elements: focus, scrolling and selection stay. Only for elements
// without listeners of their own.
export function morph(there, fresh) {
  if (there.nodeType !== fresh.nodeType || there.nodeName !== fresh.nodeName || there.childNodes.length !== fresh.childNodes.length) {
    there.replaceWith(fresh);
    return;
  }
  if (there.nodeType === Node.TEXT_NODE) {
    if (there.data !== fresh.data) there.data = fresh.data;
    return;
  }
  for (const { name } of [...there.attributes]) if (name !== "style") if (!fresh.hasAttribute(name)) there.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (name !== "style") if (there.getAttribute(name) !== value) there.setAttribute(name, value);
  if (there.style.cssText !== fresh.style.cssText) there.style.cssText = fresh.style.cssText;
  [...there.childNodes].forEach((child, i) => morph(child, fresh.childNodes[i]));
}

export function renew(element, fresh) {
  if (element.childNodes.length === 1) morph(element.firstChild, fresh);
  else fill(element, fresh);
}
