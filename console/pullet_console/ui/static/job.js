// One job, while it waits, runs, or when it has ended.
import { act, canAct } from "./actions.js";
import { empty, fill, h, sheet, table, tell } from "./dom.js";
import { ago, chip, count, date, duration, name, row, visible, visibleLines } from "./format.js";
import { at, get } from "./store.js";

const OPEN = new Set(["waiting", "running", "delayed"]);

export function job(page) {
  const { store } = page;
  const id = page.rest[0] ?? "";
  const body = h("div", { class: "grid" }, h("div", { class: "wide empty" }, "Looking for it …"));
  const title = h("h1", {}, "Job ", h("bdi", { class: "mono" }, visible(id, 80)));
  const state = h("span");
  const tools = h("div", { class: "row" });
  let [last, looking, before] = [null, false, ""];
  fill(page.root, h("div", { class: "head" }, title, state, h("span", { class: "spring" }), tools), body);

  async function load() {
    if (looking) return;
    looking = true;
    try {
      const found = await get(at(store.queue, "jobs", id));
      const text = JSON.stringify({ ...found, held_s: 0 });
      if (text !== before) show(found);
      [last, before] = [found, text];
    } catch (error) {
      fill(body, h("div", { class: "wide" }, empty("This job cannot be read", error.message)));
    } finally {
      looking = false;
    }
  }

  function show(found) {
    fill(state, chip(found.state));
    fill(tools, buttons(store, found, load));
    fill(
      body,
      found.state === "unknown" ? sheet("Nothing is known of it", "wide", h("div", { class: "body soft" }, "It never was, or its reply was read by its caller, or has expired.", found.error ? h("pre", {}, visibleLines(found.error)) : "")) : null,
      found.state === "unknown" ? null : sheet("Facts", "wide", h("div", { class: "body" }, facts(store, found))),
      found.call !== undefined ? code("Call", "wide", `${visible(found.method)}(${visibleLines(found.call)})`) : null,
      found.result !== null && found.result !== undefined ? code("Result", "wide", visibleLines(found.result)) : null,
      found.error_type || (found.error && found.state !== "unknown") ? sheet("Error", "wide", h("div", { class: "body" }, h("p", {}, h("b", { class: "bad" }, name(found.error_type)), " ", name(found.error)), found.traceback ? h("pre", { class: "trace", tabindex: "0", "aria-label": "Traceback at the worker" }, visibleLines(found.traceback)) : "")) : null,
      found.errors.length ? sheet("Attempts that ended badly", "wide", h("div", { class: "body" }, attempts(found.errors, store.now()))) : null,
      found.parts.length ? sheet(`Partial results: ${count(found.items)}`, "wide", h("div", { class: "body" }, parts(found.parts))) : null,
      told(found),
      code("From Python", "half", found.python, true),
      code("From redis-cli", "half", found.redis_cli, true),
    );
  }

  load();
  return {
    update() {
      if (!last || OPEN.has(last.state)) load();
    },
    reload: load,
  };
}

// What its engine said of it: how far it is, and the last lines of its log.
function told(found) {
  const shown = [];
  if (found.progress) {
    const bar = h("meter", { min: "0", max: "1", "aria-label": "Progress" });
    bar.setAttribute("value", String(found.progress.fraction));
    shown.push(sheet("Progress", "wide", h("div", { class: "body share" }, bar, `${Math.round(100 * found.progress.fraction)} %`, name(found.progress.text))));
  }
  if (found.log.length) shown.push(code("Log of the last attempt", "wide", visibleLines(found.log.join("\n"))));
  return shown;
}

function facts(store, job) {
  const now = store.now();
  const told = [
    ["Method", name(job.method || "–")],
    ["Attempt", job.crashes ? `${job.attempt}, ${job.crashes} workers died with it` : count(job.attempt)],
    ["Submitted", job.since ? h("span", { title: date(job.since) }, ago(job.since, now)) : "–"],
    ["Worker", job.worker ? name(row(job.worker)) : "–"],
    job.run_s !== null && ["Run time", duration(job.run_s)],
    job.held_s !== null && ["Held by it for", duration(job.held_s)],
    job.due && ["Due", `in ${duration(Math.max(0, job.due - now))}`],
    job.expires && ["Expires", `in ${duration(Math.max(0, job.expires - now))}`],
    job.died_at && ["Failed for good", h("span", { title: date(job.died_at) }, ago(job.died_at, now))],
    job.key && ["Key", name(job.key)],
    job.lane && ["Lane", name(job.lane)],
    job.client && ["Caller", h("span", { class: "mono" }, visible(job.client.slice(0, 8)))],
  ];
  return h("dl", { class: "facts" }, told.filter(Boolean).map(([term, value]) => h("div", {}, h("dt", {}, term), h("dd", {}, value))));
}

function attempts(errors, now) {
  const rows = errors.map((one) => [count(one.attempt), name(row(one.worker)), chip(one.how), name(one.error_type), name(one.text, "cut"), ago(one.at, now)]);
  return table("Attempts that ended badly", [["Attempt", ""], ["Worker", ""], ["How", ""], ["Error", ""], ["It said", ""], ["When", "num"]], rows);
}

function parts(found) {
  return h("ol", { class: "parts" }, found.map((one) => h("li", {}, h("span", {}, count(one.index)), h("code", {}, name(one.result)))));
}

function code(title, width, text, copies = false) {
  const button = copies && h("button", { type: "button", class: "small", "aria-label": `Copy the lines: ${title}` }, "Copy");
  if (button)
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(text);
      tell("Copied");
    });
  return sheet(title, width, h("div", { class: "body" }, h("div", { class: "copy" }, h("pre", { tabindex: "0", "aria-label": title }, text), button || "")));
}

function buttons(store, found, load) {
  if (!canAct()) return [];
  const press = (label, kind, action, body, question) =>
    h("button", { type: "button", class: kind, onclick: () => act(store.queue, action, body, question).then((done) => done && load()) }, label);
  if (found.state === "dead") {
    return [
      press("Retry", "main", "retry", { jobs: [found.id] }, null),
      press("Purge", "danger", "purge", { jobs: [found.id] }, { title: "Purge this dead letter?", text: "Its arguments and its error are gone then.", yes: "Purge" }),
    ];
  }
  if (!OPEN.has(found.state)) return [];
  return [press("Cancel", "danger", "cancel", { job: found.id }, { title: "Cancel this job?", text: "If it has not ended by then, its caller gets CancelledError.", yes: "Cancel the job" })];
}

