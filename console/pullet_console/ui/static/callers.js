// Who submits how much.
import { empty, fill, h, renew, sheet, table } from "./dom.js";
import { count, duration, visible } from "./format.js";

const COLUMNS = [["Caller", ""], ["Share of run time", ""], ["Jobs ended", "num"], ["Failed", "num"], ["Run time", "num"], ["Mean run", "num"], ["Mean wait", "num"]];

export function callers(page) {
  const body = h("div", { class: "body" });
  const note = h("p", { class: "faint" }, "A caller is one client process, told apart by the first 8 digits of its id. Counted are the jobs that ended in the last 5 minutes.");
  fill(page.root, h("div", { class: "head" }, h("h1", {}, "Callers")), sheet("Who submits how much", "", body), note);
  return {
    update(message) {
      const found = message.queue?.callers ?? [];
      const all = found.reduce((sum, one) => sum + one[3], 0) || 1;
      const rows = found.map(([client, jobs, failed, run_s, wait_s]) => {
        const meter = h("meter", { min: "0", max: "1", "aria-label": `Share of ${visible(client)}` });
        meter.setAttribute("value", String(run_s / all));
        return [
          h("span", { class: "mono" }, visible(client || "none")),
          h("span", { class: "share" }, meter, `${Math.round((100 * run_s) / all)} %`),
          count(jobs),
          failed ? h("span", { class: "bad" }, count(failed)) : "0",
          duration(run_s),
          duration(run_s / jobs),
          duration(wait_s / jobs),
        ];
      });
      renew(body, rows.length ? table("Callers", COLUMNS, rows) : empty("Nobody, so far", "Callers appear when their jobs end."));
    },
  };
}
