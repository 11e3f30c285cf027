// A queue at a glance.
import { Chart } from "./charts.js";
import { fill, h, renew, say, sheet, sparkline, table } from "./dom.js";
import { count, duration, name, rate, tone, visible } from "./format.js";
import { Timeline } from "./timeline.js";

const FAILED = "--bar-bad";

export function overview(page) {
  const { store } = page;
  const cards = new Cards();
  const timeline = new Timeline(store);
  const legend = h("div", { class: "legend" });
  const charts = {
    backlog: new Chart("Backlog", [["waiting", "--four", true], ["running", "--one"]], count, { least: 4 }),
    flow: new Chart("Throughput", [["done/s", "--two", true], ["failed/s", FAILED]], rate, { least: 1 }),
    wait: new Chart("Wait", [["p50", "--one"], ["p95", "--three"], ["p99", "--eight"]], duration, { log: true }),
    run: new Chart("Run time", [["p50", "--one"], ["p95", "--three"], ["p99", "--eight"]], duration, { log: true }),
  };
  const columns = { wait: h("div"), run: h("div") };
  const methods = h("div", { class: "body" });
  const trouble = h("div", { class: "wide" });

  const freeze = h("button", { class: "small", "aria-pressed": "false", title: "Space" }, "Freeze");
  freeze.addEventListener("click", () => {
    const on = freeze.getAttribute("aria-pressed") !== "true";
    freeze.setAttribute("aria-pressed", on);
    say(freeze, on ? "Go on" : "Freeze");
    timeline.freeze(on);
  });
  page.onSpace = () => freeze.click();
  const spans = choice("Length of the timeline", [["1 min", 60], ["5 min", 300]], timeline.span, (span) => {
    timeline.span = span;
    timeline.draw();
  });

  fill(
    page.root,
    h("div", { class: "grid" },
      h("h1", { class: "unseen" }, `Queue ${visible(store.queue)}`),
      trouble,
      h("div", { class: "wide cards" }, cards.elements),
      sheet("What the workers do", "wide", h("div", { class: "body" }, timeline.canvas), legend, h("span", { class: "spring" }), spans, freeze),
      sheet("Backlog", "half", h("div", { class: "body" }, charts.backlog.element), charts.backlog.read),
      sheet("Throughput", "half", h("div", { class: "body" }, charts.flow.element), charts.flow.read),
      sheet("Wait", "half", h("div", { class: "body" }, charts.wait.element, columns.wait), charts.wait.read),
      sheet("Run time", "half", h("div", { class: "body" }, charts.run.element, columns.run), charts.run.read),
      sheet("Methods", "wide", methods, h("span", { class: "faint" }, "last 5 minutes")),
    ),
  );

  return {
    update(message) {
      const news = message.queue;
      if (!news) return;
      cards.update(store);
      showTrouble(trouble, store.summary, message.deaf);
      showLegend(legend, news.methods);
      const at = store.samples.map((one) => one[0]);
      const line = (place) => store.samples.map((one) => one[place]);
      charts.backlog.show([at, line(1), line(2)]);
      charts.flow.show([at, line(3), line(4)]);
      charts.wait.show([at, line(5).map(positive), line(6).map(positive), line(7).map(positive)]);
      charts.run.show([at, line(8).map(positive), line(9).map(positive), line(10).map(positive)]);
      showColumns(columns.wait, "Wait during the last minute", news.wait, "--three");
      showColumns(columns.run, "Run time during the last minute", news.run, "--one");
      showMethods(methods, news.methods);
    },
    recolour() {
      timeline.recolour();
      Object.values(charts).forEach((chart) => chart.recolour());
    },
    destroy() {
      timeline.destroy();
      Object.values(charts).forEach((chart) => chart.destroy());
    },
  };
}

const positive = (value) => (value > 0 ? value : null);

class Cards {
  constructor() {
    this.parts = {};
    this.elements = ["Waiting", "Running", "Done", "Failed", "Oldest waiting", "Workers busy"].map((title) => this.card(title));
  }

  card(title) {
    const [value, more, spark] = [h("div", { class: "value" }), h("div", { class: "more" }), h("div")];
    const element = h("section", { class: "sheet card", "aria-label": title }, h("div", { class: "name" }, title), value, more, spark);
    this.parts[title] = { element, value, more, spark };
    return element;
  }

  set(title, value, unit, more, tone = "", trend = null) {
    const part = this.parts[title];
    if (part.value.firstChild?.data !== value) fill(part.value, document.createTextNode(value), unit && h("small", {}, unit));
    say(part.more, more);
    part.element.dataset.tone = tone;
    if (trend) fill(part.spark, sparkline(trend, `${title} during the last two minutes`));
  }

  update(store) {
    const one = store.summary;
    const row = store.message.queues.find((found) => found.summary.name === store.queue);
    const trend = (place) => store.samples.slice(-120).map((sample) => sample[place]);
    this.set("Waiting", count(one.waiting), "", one.delayed ? `${count(one.delayed)} delayed` : one.limit ? `limit ${count(one.limit)}` : "", "", trend(1));
    this.set("Running", count(one.running), "", one.suspects ? `${count(one.suspects)} suspects` : one.recovered ? `${count(one.recovered)} recovered so far` : "", "", trend(2));
    this.set("Done", rate(row.rates?.done ?? 0), "/s", `${count(one.done)} in all`, "", trend(3));
    this.set("Failed", rate(row.rates?.failed ?? 0), "/s", `${count(one.failed)} in all, ${count(one.dead)} kept`, row.rates?.failed > 0 ? "bad" : "", trend(4));
    this.set("Oldest waiting", one.waiting ? duration(one.oldest_s) : "–", "", row.wait[0] === null ? "" : `half wait ${duration(row.wait[0])}`);
    this.set("Workers busy", count(one.workers_busy), `/ ${count(one.workers)}`, one.paused ? "paused" : one.wanted !== null && one.wanted !== one.workers ? `${count(one.wanted)} wanted` : "", one.workers === 0 && one.waiting ? "bad" : "");
  }
}

function showTrouble(element, summary, deaf) {
  const told = [];
  if (summary.paused) told.push(h("p", { class: "chip", "data-tone": "warn" }, "This queue is paused: nobody takes jobs."));
  if (summary.trouble) told.push(h("pre", { class: "trace" }, visible(summary.trouble, 2000)));
  if (!summary.workers && summary.waiting) told.push(h("p", { class: "chip", "data-tone": "bad" }, "Jobs wait, and there is no worker."));
  if (deaf) told.push(h("p", { class: "chip", "data-tone": "warn" }, visible(`No timeline: ${deaf}`, 300)));
  element.hidden = !told.length;
  if (element.textContent !== told.map((one) => one.textContent).join("")) fill(element, told);
}

function showLegend(element, methods) {
  const names = methods.slice(0, 7).map(([method]) => method);
  const key = names.join("\n");
  if (element.dataset.key === key) return;
  element.dataset.key = key;
  const item = (label, property) => {
    const swatch = h("i", { class: "swatch" });
    swatch.style.setProperty("--tone", `var(${property})`);
    return h("span", {}, swatch, label);
  };
  fill(element, names.map((method) => item(name(method), tone(method))), item("failed", FAILED), item("idle while work waits", "--waits"));
}

function showColumns(element, label, columns, property) {
  if (!columns.length) return fill(element);
  const top = Math.max(...columns.map((one) => one[2]));
  const bars = columns.map(([from, to, many]) => {
    const bar = h("i", { title: `${duration(from)} to ${duration(to)}: ${count(many)}` });
    bar.style.height = `${many ? Math.max(4, (100 * many) / top) : 0}%`;
    return bar;
  });
  const plot = h("div", { class: "columns", role: "img", "aria-label": label }, bars);
  plot.style.setProperty("--tone", `var(${property})`);
  fill(element, plot, h("div", { class: "scale" }, h("span", {}, duration(columns[0][0])), h("span", {}, "last minute"), h("span", {}, duration(columns.at(-1)[1]))));
}

function showMethods(element, methods) {
  const rows = methods.map(([method, jobs, failed, run_s, wait_s]) => {
    const swatch = h("i", { class: "swatch" });
    swatch.style.setProperty("--tone", `var(${tone(method)})`);
    return [h("span", { class: "row" }, swatch, name(method)), count(jobs), failed ? h("span", { class: "bad" }, count(failed)) : "0", duration(run_s / jobs), duration(wait_s / jobs), duration(run_s)];
  });
  const columns = [["Method", ""], ["Attempts", "num"], ["Failed", "num"], ["Mean run", "num"], ["Mean wait", "num"], ["Run in all", "num"]];
  renew(element, rows.length ? table("Methods of the last 5 minutes", columns, rows) : h("div", { class: "empty" }, "Nothing has ended in the last minutes."));
}

export function choice(label, options, current, onChoice) {
  const buttons = options.map(([text, value]) => {
    const button = h("button", { type: "button", "aria-pressed": String(value === current) }, text);
    button.addEventListener("click", () => {
      buttons.forEach((one) => one.setAttribute("aria-pressed", String(one === button)));
      onChoice(value);
    });
    return button;
  });
  return h("div", { class: "choice", role: "group", "aria-label": label }, buttons);
}

