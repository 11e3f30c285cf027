// The jobs that have not ended, page after page: no more than one page is ever read.
import { empty, fill, h, sheet, table } from "./dom.js";
import { ago, chip, count, duration, jobLink, link, name, row } from "./format.js";
import { choice } from "./overview.js";
import { at, get } from "./store.js";

const PAGE = 50;
const COLUMNS = [["Job", ""], ["Method", ""], ["Arguments", ""], ["State", ""], ["Lane", ""], ["Attempt", "num"], ["Worker", ""], ["Submitted", "num"], ["Held, or due", "num"], ["Caller", ""]];

export function jobs(page) {
  const { store } = page;
  let [state, method, shown, stale] = [page.query.get("state") ?? "waiting", page.query.get("method") ?? "", null, false];
  const trail = [""]; // the cursors of the pages up to this one
  const body = h("div", { class: "body", "aria-busy": "true" });
  const older = h("button", { type: "button" }, "Next page");
  const newer = h("button", { type: "button", disabled: true }, "Back");
  const place = h("span", { class: "soft" });
  const again = h("button", { type: "button", class: "quiet", title: "r" }, "Look again");
  const filter = h("input", { type: "search", placeholder: "Method", "aria-label": "Only jobs of this method", value: method, id: "filter" });
  const finder = h("input", { type: "search", placeholder: "Job id", "aria-label": "Open the job with this id", spellcheck: "false" });

  async function load() {
    body.setAttribute("aria-busy", "true");
    try {
      shown = await get(at(store.queue, "jobs"), { state, method, after: trail.at(-1), limit: PAGE });
    } catch (error) {
      fill(body, empty("This page cannot be read", error.message));
      return;
    } finally {
      body.setAttribute("aria-busy", "false");
    }
    const rows = shown.jobs.map((job) => cells(store, job));
    fill(body, rows.length ? table("Jobs", COLUMNS, rows) : empty(`No job is ${state}${method ? " and of this method" : ""}`, shown.next ? "on this page; the next one may have some." : ""));
    older.disabled = !shown.next;
    newer.disabled = trail.length === 1;
    place.textContent = rows.length ? `Page ${count(trail.length)}` : "";
  }

  function restart() {
    trail.splice(0, trail.length, "");
    history.replaceState(null, "", `${link(store.queue, "jobs")}?${new URLSearchParams({ state, ...(method && { method }) })}`);
    load();
  }

  older.addEventListener("click", () => { trail.push(shown.next); load(); });
  newer.addEventListener("click", () => { trail.pop(); load(); });
  again.addEventListener("click", load);
  filter.addEventListener("change", () => { method = filter.value.trim(); restart(); });
  finder.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && finder.value.trim()) location.hash = link(store.queue, "job", finder.value.trim());
  });
  const states = choice("State", [["Waiting", "waiting"], ["Running", "running"], ["Delayed", "delayed"]], state, (chosen) => { state = chosen; restart(); });
  fill(
    page.root,
    h("div", { class: "head" }, h("h1", {}, "Jobs"), states, filter, h("span", { class: "spring" }), finder),
    sheet("Jobs that have not ended", "", body, h("span", { class: "spring" }), place, again, newer, older),
  );
  load();
  return { update() {}, reload: load };
}

function cells(store, job) {
  const now = store.now();
  const moment = job.state === "delayed" ? `in ${duration(Math.max(0, job.due - now))}` : job.held_s === null ? "–" : duration(job.held_s);
  return [
    jobLink(store.queue, job.id),
    name(job.method, "cut short"),
    h("code", { class: "cut" }, name(argumentsOf(job.arguments))),
    chip(job.state),
    name(job.lane, "cut short"),
    job.crashes ? h("span", { class: "bad", title: `${job.crashes} workers died with it` }, `${job.attempt} ✕${job.crashes}`) : count(job.attempt),
    job.worker ? name(row(job.worker), "cut short") : "–",
    job.since ? ago(job.since, now) : "–",
    moment,
    h("span", { class: "mono faint" }, job.client.slice(0, 8)),
  ];
}

export function argumentsOf(given) {
  if (!given) return "";
  if (given.problem) return given.problem;
  return [...given.args, ...given.kwargs.map(([key, value]) => `${key}=${value}`)].join(", ");
}
