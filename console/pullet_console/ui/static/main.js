// The frame: where we are, the live connection, the keyboard.
import { setSession } from "./actions.js";
import { callers } from "./callers.js";
import { dead } from "./dead.js";
import { fill, h, say, svg } from "./dom.js";
import { count, duration, link, visible } from "./format.js";
import { history as actions } from "./history.js";
import { job } from "./job.js";
import { jobs } from "./jobs.js";
import { overview } from "./overview.js";
import { queues } from "./queues.js";
import { Store, get } from "./store.js";
import { workers } from "./workers.js";

const PAGES = { "": overview, jobs, workers, dead, callers, actions, job };
const TABS = [["", "Overview"], ["jobs", "Jobs"], ["workers", "Workers"], ["dead", "Dead letters"], ["callers", "Callers"], ["actions", "Actions"]];
const [root, bar, notice] = ["main", "bar", "notice"].map((id) => document.getElementById(id));

let [store, page, view, redis] = [null, null, null, ""];
const badge = h("span", { class: "badge", hidden: true });
const picker = h("select", { "aria-label": "Queue", onchange: () => { location.hash = link(picker.value, page?.name === "job" ? "" : page?.name ?? ""); } });
const tabs = h("nav", { class: "tabs", "aria-label": "Pages" });
const pulse = h("span", { class: "pulse", "data-state": "lost" }, h("i", {}), h("span", {}));
const theme = h("button", { type: "button", class: "quiet icon", "aria-label": "Light or dark", title: "t", onclick: turnTheme }, moon());
const help = h("button", { type: "button", class: "quiet icon keys", "aria-label": "Keyboard", title: "?", onclick: showHelp }, "?");

function moon() {
  return svg("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, svg("circle", { cx: 8, cy: 8, r: 6, fill: "none", stroke: "currentColor", "stroke-width": 1.5 }), svg("path", { d: "M8 2a6 6 0 0 1 0 12z", fill: "currentColor" }));
}

function place() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [queue = "", name = "", ...rest] = path.split("/").map(safeDecode);
  return { queue, name, rest, query: new URLSearchParams(query) };
}

function safeDecode(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

function go() {
  view?.destroy?.();
  page = { ...place(), root, store };
  if (!store || store.queue !== page.queue) {
    store?.close();
    store = new Store(page.queue, hear, lose);
  }
  page.store = store;
  document.title = page.queue ? `${visible(page.queue)} · pullet` : "pullet";
  view = page.queue ? (PAGES[page.name] ?? overview)(page) : queues(page);
  showTabs();
  if (store.message && ready()) view.update(store.message);
  window.scrollTo(0, 0);
}

const ready = () => !page.queue || store.message?.queue;

function hear(message) {
  say(pulse.lastChild, `${redis}${redis ? " · " : ""}${duration(message.roundtrip_s)}`);
  pulse.dataset.state = message.problem ? "lost" : "live";
  notice.hidden = !message.problem;
  say(notice, visible(message.problem, 400));
  showQueues(message.queues.map((one) => one.summary));
  if (ready()) {
    if (page.missing) go(); // it is there now: the page is built anew
    else view?.update(message);
  } else if (!message.problem && !page.missing) {
    page.missing = true;
    fill(root, h("div", { class: "empty" }, h("b", {}, "There is no such queue"), "It appears with its first job or worker."));
  }
}

function lose() {
  pulse.dataset.state = "lost";
  say(pulse.lastChild, "no connection to the dashboard");
}

function showQueues(found) {
  const names = found.map((one) => one.name);
  if (page.queue && !names.includes(page.queue)) names.push(page.queue);
  const options = h("select", {}, h("option", { value: "" }, "All queues"), names.map((name) => h("option", { value: name }, visible(name, 64))));
  if (picker.innerHTML !== options.innerHTML) fill(picker, [...options.children]);
  picker.value = page.queue;
  const letters = store.summary?.dead ?? 0;
  badge.hidden = !letters;
  say(badge, count(letters));
}

function showTabs() {
  tabs.hidden = !page.queue;
  const links = TABS.map(([name, text], i) =>
    h("a", { href: link(page.queue, name), title: String(i + 1), "aria-current": (page.name === "job" ? "jobs" : page.name) === name ? "page" : null }, text, name === "dead" ? badge : null));
  fill(tabs, links);
}

function turnTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme ?? (dark ? "dark" : "light");
  setTheme(now === "dark" ? "light" : "dark");
}

function setTheme(to) {
  document.documentElement.dataset.theme = to;
  try { localStorage.setItem("pullet-theme", to); } catch { return; } // private windows may have no storage
  view?.recolour?.();
}

function showHelp() {
  const keys = [["1 … 6", "the pages of a queue"], ["0", "all queues"], ["/", "filter"], ["r", "look again"], ["Space", "freeze the timeline"], ["← →", "walk along the timeline's bars, Enter opens"], ["t", "light or dark"], ["?", "this list"]];
  const close = h("button", { type: "button", class: "main" }, "Close");
  const dialog = h("dialog", { "aria-labelledby": "keys" }, h("h2", { id: "keys" }, "Keyboard"), h("dl", {}, keys.flatMap(([key, text]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, text)])), h("div", { class: "row" }, close));
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog[open]")) return;
  const tab = TABS[event.key - 1];
  if (event.key === "0") location.hash = "#/";
  else if (tab && page.queue) location.hash = link(page.queue, tab[0]);
  else if (event.key === "t") turnTheme();
  else if (event.key === "?") showHelp();
  else if (event.key === "r") view?.reload?.();
  else if (event.key === "/") document.querySelector("main input")?.focus();
  else if (event.key === " " && page.onSpace && event.target.matches("body, main, canvas")) page.onSpace();
  else return;
  event.preventDefault();
}

async function start() {
  try { const kept = localStorage.getItem("pullet-theme"); if (kept) document.documentElement.dataset.theme = kept; } catch { /* no storage, no memory */ }
  const brand = h("a", { href: "#/", class: "brand", "aria-label": "pullet: all queues" }, h("img", { src: "/static/icon.svg", alt: "" }), "pullet");
  fill(bar, brand, picker, tabs, h("span", { class: "spring" }), pulse, theme, help);
  try {
    const session = await get("session");
    setSession(session);
    const { kind, version } = session.server;
    redis = kind ? `${kind} ${version?.join(".") ?? ""}` : "";
    pulse.title = session.redis;
  } catch (error) {
    notice.hidden = false;
    say(notice, error.message);
  }
  document.getElementById("skip").addEventListener("click", (event) => { event.preventDefault(); root.focus(); });
  addEventListener("hashchange", go);
  addEventListener("keydown", press);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => view?.recolour?.());
  go();
}

start();
