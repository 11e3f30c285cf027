// What people did to the queue from a dashboard, and pause and resume.
import { act, canAct } from "./actions.js";
import { empty, fill, h, sheet, table } from "./dom.js";
import { ago, name } from "./format.js";
import { at, get } from "./store.js";

export function history(page) {
  const { store } = page;
  const body = h("div", { class: "body" });
  const steer = h("div", { class: "row" });
  let paused = null;

  async function load() {
    const found = await get(at(store.queue, "actions"));
    const rows = found.map((one) => [ago(one.at, store.now()), name(one.what, "cut"), name(one.done, "cut short"), name(one.by)]);
    fill(body, rows.length ? table("Actions", [["When", ""], ["What", ""], ["It did", ""], ["From", ""]], rows) : empty("Nobody has done anything", "What is retried, purged, paused or cancelled from a dashboard is listed here."));
  }

  function offer() {
    if (!canAct()) return fill(steer, h("span", { class: "faint" }, "This dashboard only reads: pullet ui --allow-actions lets it pause and resume."));
    const question = { title: "Pause this queue?", text: "Workers finish what they run and take nothing more. Callers may go on submitting.", yes: "Pause" };
    fill(steer, h("button", { type: "button", onclick: () => act(store.queue, paused ? "resume" : "pause", {}, paused ? null : question).then(load) }, paused ? "Resume" : "Pause the queue"));
  }

  fill(page.root, h("div", { class: "head" }, h("h1", {}, "Actions"), h("span", { class: "spring" }), steer), sheet("Action log", "", body));
  load();
  return {
    update() {
      const now = store.summary?.paused ?? false;
      if (now !== paused) { paused = now; offer(); }
    },
    reload: load,
  };
}
