// Who works for the queue.
import { empty, fill, h, renew, sheet, table } from "./dom.js";
import { ago, bytes, chip, count, duration, jobLink, name, visible } from "./format.js";

const COLUMNS = [["Worker", ""], ["State", ""], ["Busy", ""], ["Runs", ""], ["Done", "num"], ["Failed", "num"], ["Run time", "num"], ["In hand", "num"], ["Memory", "num"], ["Host, process", ""], ["Ray node", ""], ["Started", "num"]];

export function workers(page) {
  const body = h("div", { class: "body" });
  fill(page.root, h("div", { class: "head" }, h("h1", {}, "Workers")), sheet("Registered workers", "", body));
  return {
    update(message) {
      const rows = (message.queue?.workers ?? []).map((one) => cells(page.store, one));
      renew(body, rows.length ? table("Workers", COLUMNS, rows) : empty("No worker", `Start one: pullet worker module:Engine --queue ${visible(page.store.queue)}`));
    },
  };
}

function cells(store, one) {
  const share = store.share(one.consumer);
  return [
    name(one.name, "cut short"),
    h("span", {}, chip(one.state), one.missed > 3 ? h("span", { class: "bad" }, ` ${one.missed} beats missed`) : null),
    h("span", { class: "share" }, meter(share, one.name), share === null ? "–" : `${Math.round(share * 100)} %`),
    one.job ? h("span", {}, name(one.method, "cut short"), jobLink(store.queue, one.job)) : "–",
    count(one.done),
    one.failed ? h("span", { class: "bad" }, count(one.failed)) : "0",
    duration(one.busy_s),
    count(one.in_hand),
    bytes(one.rss),
    h("span", {}, name(one.host), `, ${one.pid}`),
    one.node ? h("span", { class: "mono", title: visible(one.node) }, visible(one.node.slice(0, 10))) : "–",
    ago(one.since, store.now()),
  ];
}

function meter(share, label) {
  const element = h("meter", { min: "0", max: "1", "aria-label": `How busy ${visible(label)} is` });
  element.setAttribute("value", String(Math.min(1, share ?? 0)));
  return element;
}
