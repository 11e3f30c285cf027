// Numbers, times and names as people read them.
import { h } from "./dom.js";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;

export const count = (n) => (n === null || n === undefined ? "–" : whole.format(n));

export function rate(n) {
  if (n === null || n === undefined) return "–";
  return n >= 100 ? whole.format(n) : n.toFixed(n >= 10 || n === 0 ? (n === 0 ? 0 : 1) : 1);
}

export function duration(s) {
  if (s === null || s === undefined) return "–";
  if (s < 0.001) return `${Math.round(s * 1e6)} µs`;
  if (s < 0.01) return `${(s * 1e3).toFixed(1)} ms`;
  if (s < 1) return `${Math.round(s * 1e3)} ms`;
  if (s < 10) return `${s.toFixed(2)} s`;
  if (s < 60) return `${s.toFixed(1)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} m ${Math.floor(s % 60)} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} m`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

export function bytes(n) {
  if (!n) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log2(n) / 10));
  return `${(n / 2 ** (10 * power)).toFixed(power && n / 2 ** (10 * power) < 10 ? 1 : 0)} ${units[power]}`;
}

export const clock = (at) => (at ? new Date(at * 1000).toLocaleTimeString("en-GB") : "–");
export const date = (at) => (at ? new Date(at * 1000).toLocaleString("sv-SE") : "–");
export const ago = (at, now) => (at ? `${duration(Math.max(0, now - at))} ago` : "–");

// A text of a stranger, made visible: what would move the cursor or turn the direction is shown as its number.
export function visible(text, most = 200) {
  const shown = String(text).replace(CONTROL, (c) => (c === "\n" ? " ↵ " : `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`));
  return shown.length > most ? `${shown.slice(0, most)}…` : shown;
}

// The same for a text of several lines.
export const visibleLines = (text) => String(text).split("\n").map((line) => visible(line.replace(/\t/g, "    "), 4000)).join("\n");

// In an element of its own, so that its direction ends with it.
export const name = (text, className) => h("bdi", { class: className, title: visible(text, 400) }, visible(text));
export const shortId = (id) => (id.length > 14 ? `…${visible(id.slice(-10))}` : visible(id));
export const row = (consumer) => consumer.split(".").slice(0, -2).join(".") || consumer;

export const link = (queue, page, ...more) => `#/${[queue, page, ...more].map(encodeURIComponent).join("/")}`;
export const jobLink = (queue, id) => h("a", { href: link(queue, "job", id), class: "mono", "aria-label": `Job ${visible(id)}` }, shortId(id));

const TONES = { idle: "good", done: "good", busy: "busy", running: "busy", waiting: "", delayed: "", paused: "warn", draining: "warn", starting: "warn", silent: "bad", failed: "bad", dead: "bad", crashed: "bad", expired: "warn", cancelled: "warn" };
export const chip = (state) => h("span", { class: "chip", "data-tone": TONES[state] ?? "" }, h("i", {}), visible(state, 20));

// Of a method in one queue: always the same tone as long as the page is open.
const names = ["--one", "--two", "--three", "--four", "--five", "--six", "--seven", "--eight"];
const given = new Map();
export function tone(method) {
  if (!given.has(method)) given.set(method, names[given.size % names.length]);
  return given.get(method);
}
