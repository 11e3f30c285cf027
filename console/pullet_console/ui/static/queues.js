// All queues of the server.
import { empty, fill, h, renew, sheet, sparkline, table } from "./dom.js";
import { count, duration, link, name, rate } from "./format.js";

const COLUMNS = [["Queue", ""], ["Waiting", "num"], ["", ""], ["Running", "num"], ["Done/s", "num"], ["Failed/s", "num"], ["Wait p50 / p95", "num"], ["Run p50 / p95", "num"], ["Oldest", "num"], ["Workers busy", "num"], ["Dead", "num"]];

export function queues(page) {
  const body = h("div", { class: "body" });
  fill(page.root, h("div", { class: "head" }, h("h1", {}, "Queues")), sheet("All queues", "", body));
  return {
    update(message) {
      const rows = message.queues.map(({ summary, rates, wait, run, trend }) => [
        h("a", { href: link(summary.name, "") }, name(summary.name)),
        count(summary.waiting),
        trendOf(trend, summary.name),
        count(summary.running),
        rate(rates?.done ?? 0),
        rates?.failed ? h("span", { class: "bad" }, rate(rates.failed)) : "0",
        `${duration(wait[0])} / ${duration(wait[1])}`,
        `${duration(run[0])} / ${duration(run[1])}`,
        summary.waiting ? duration(summary.oldest_s) : "–",
        summary.paused ? "paused" : `${summary.workers_busy} / ${summary.workers}`,
        summary.dead ? h("a", { href: link(summary.name, "dead") }, count(summary.dead)) : "0",
      ]);
      renew(body, rows.length ? table("Queues", COLUMNS, rows) : empty("No queue yet", "Submit a job, or start a worker: it appears here."));
    },
  };
}

function trendOf(values, label) {
  const line = sparkline(values, `Waiting in ${label} during the last minute`);
  line.setAttribute("width", "84");
  line.setAttribute("height", "20");
  return line;
}
