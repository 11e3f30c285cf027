// What each worker was doing when: one row a worker, one bar a job. While work waited the ground of the rows is tinted,
// so that a gap in a row is a gap while there was work.
import { h } from "./dom.js";
import { count, duration, link, tone, visible } from "./format.js";

const ROW = 22;
const GAP = 4;
const AXIS = 22;
const LANES = 4;
const STRIP = 26;
const LAG_S = 1.6; // bars are told once a second: what is shown is complete
const SLACK_S = 0.04; // two clocks never agree fully: jobs that overlap by less ran one after the other
const FAILED = new Set(["error", "timeout", "crashed", "lost"]);
const order = new Intl.Collator("en", { numeric: true }).compare;

export class Timeline {
  constructor(store) {
    this.store = store;
    this.span = 60;
    this.frozen = null;
    this.canvas = h("canvas", { class: "timeline", tabindex: "0", role: "img", "aria-label": "Timeline of the workers" });
    this.tip = h("div", { class: "tip", hidden: true });
    this.styles = {};
    this.hits = [];
    this.chosen = null;
    document.body.append(this.tip);
    this.canvas.addEventListener("pointermove", (event) => this.point(event));
    this.canvas.addEventListener("pointerleave", () => this.hide());
    this.canvas.addEventListener("click", (event) => this.open(this.find(event)));
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.resized = new ResizeObserver(() => this.draw());
    this.resized.observe(this.canvas);
    this.still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.tick = this.tick.bind(this);
    this.drawn = 0;
    this.frame = requestAnimationFrame(this.tick);
  }

  destroy() {
    cancelAnimationFrame(this.frame);
    this.resized.disconnect();
    this.tip.remove();
  }

  tick(time) {
    const every = this.still ? 1000 : this.span > 100 ? 200 : 50;
    if (time - this.drawn >= every && !document.hidden) {
      this.drawn = time;
      this.draw();
    }
    this.frame = requestAnimationFrame(this.tick);
  }

  freeze(on) {
    this.frozen = on ? this.store.now() - LAG_S : null;
    this.draw();
  }

  rows() {
    const names = new Set(this.store.bars.filter((bar) => bar.end > this.until - this.span).map((bar) => bar.row));
    for (const worker of this.store.message?.queue?.workers ?? []) names.add(worker.name);
    return [...names].sort(order).slice(0, 60);
  }

  colour(property) {
    this.styles[property] ??= getComputedStyle(this.canvas).getPropertyValue(property).trim();
    // light-dark() is only resolved by an element that uses it
    if (this.styles[property].startsWith("light-dark")) this.styles[property] = resolve(this.canvas, property);
    return this.styles[property];
  }

  recolour() {
    this.styles = {};
    this.draw();
  }

  draw() {
    const width = this.canvas.clientWidth;
    if (!width) return;
    this.until = this.frozen ?? this.store.now() - LAG_S;
    const rows = this.rows();
    const height = STRIP + Math.max(1, rows.length) * (ROW + GAP) + AXIS;
    const ratio = devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
      this.canvas.style.height = `${height}px`;
    }
    const g = this.canvas.getContext("2d");
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.clearRect(0, 0, width, height);
    g.font = `12px ${getComputedStyle(document.body).fontFamily}`;
    this.left = Math.min(150, Math.max(60, ...rows.map((row) => g.measureText(visible(row, 24)).width + 14)));
    this.right = width - 46;
    this.x = (at) => this.left + ((at - (this.until - this.span)) / this.span) * (this.right - this.left);
    this.hits = [];
    this.drawBacklog(g);
    const busy = rows.map((row, i) => this.drawRow(g, row, STRIP + i * (ROW + GAP)));
    this.drawAxis(g, height);
    const mean = busy.length ? busy.reduce((a, b) => a + b, 0) / busy.length : 0;
    this.describe(rows, mean);
  }

  describe(rows, mean) {
    this.canvas.dataset.rows = rows.join(" ");
    this.canvas.dataset.lost = this.hits.filter((hit) => isLost(hit[4])).length;
    const text = `Timeline: ${rows.length} workers, ${Math.round(mean * 100)} % busy during the last ${duration(this.span)}`;
    if (this.canvas.getAttribute("aria-label") !== text) this.canvas.setAttribute("aria-label", text);
  }

  // How much waited, above the rows, on the same time.
  drawBacklog(g) {
    const seen = this.store.samples.filter((one) => one[0] > this.until - this.span - 2 && one[0] <= this.until + 2);
    this.waits = seen.filter((one) => one[1] > 0).map((one) => one[0]);
    const top = Math.max(1, ...seen.map((one) => one[1]));
    g.fillStyle = this.colour("--soft");
    g.textBaseline = "middle";
    g.fillText("waiting", 0, STRIP / 2 - 1);
    g.textAlign = "right";
    g.fillText(count(seen.at(-1)?.[1] ?? 0), this.right + 46, STRIP / 2 - 1);
    g.textAlign = "left";
    if (seen.length < 2) return;
    g.save();
    g.beginPath();
    g.rect(this.left, 0, this.right - this.left, STRIP);
    g.clip();
    g.beginPath();
    g.moveTo(this.x(seen[0][0]), STRIP - 4);
    for (const one of seen) g.lineTo(this.x(one[0]), STRIP - 4 - (one[1] / top) * (STRIP - 8));
    g.lineTo(this.x(seen.at(-1)[0]), STRIP - 4);
    g.fillStyle = this.colour("--waits");
    g.fill();
    g.restore();
  }

  drawRow(g, row, y) {
    const from = this.until - this.span;
    const [birth, end] = this.life(row);
    const [left, right] = [Math.max(this.left, this.x(birth)), Math.min(this.right, this.x(end))];
    g.fillStyle = this.colour("--sunk");
    g.fillRect(left, y, Math.max(0, right - left), ROW);
    g.save();
    g.beginPath();
    g.rect(this.left, y, this.right - this.left, ROW);
    g.clip();
    g.fillStyle = this.colour("--waits");
    for (const at of this.waits) {
      const [begin, stop] = [Math.max(left, this.x(at - 1) - 0.5), Math.min(right, this.x(at) + 0.5)];
      if (stop > begin) g.fillRect(begin, y, stop - begin, ROW);
    }
    const bars = this.store.bars.filter((bar) => bar.row === row && bar.end > from && bar.start < this.until);
    const running = (this.store.message?.queue?.running ?? [])
      .filter(([name]) => name === row)
      .map(([, method, since, job]) => ({ row, method, outcome: "running", start: since, end: this.until, jobs: 1, job }))
      .filter((bar) => bar.start < this.until);
    const all = [...bars, ...running];
    const lost = all.filter(isLost);
    for (const bar of lost) this.drawBar(g, bar, y, ROW);
    for (const [bar, [lane, depth]] of spread(all.filter((bar) => !isLost(bar)))) {
      const height = ROW / Math.min(LANES, depth);
      this.drawBar(g, bar, y + Math.min(LANES - 1, lane) * height, height);
    }
    g.restore();
    const share = Math.min(1, covered(all.filter((bar) => !isLost(bar)), from, this.until) / this.span);
    g.fillStyle = this.colour("--ink");
    g.fillText(visible(row, 24), 0, y + ROW / 2 + 1);
    g.fillStyle = this.colour("--soft");
    g.textAlign = "right";
    g.fillText(`${Math.round(share * 100)} %`, this.right + 46, y + ROW / 2 + 1);
    g.textAlign = "left";
    return share;
  }

  // From when until when there was such a worker: before and after, nobody was idle.
  life(row) {
    const bars = this.store.bars.filter((bar) => bar.row === row);
    const alive = (this.store.message?.queue?.workers ?? []).filter((worker) => worker.name === row);
    const births = [...alive.map((worker) => worker.since), ...bars.map((bar) => bar.start)];
    return [Math.min(...births, this.until), alive.length ? this.until : Math.max(...bars.map((bar) => bar.end), 0)];
  }

  drawBar(g, bar, y, height) {
    const [left, right] = [this.x(bar.start), this.x(bar.end)];
    const width = Math.max(1, right - left - (right - left > 4 ? 1 : 0));
    const failed = FAILED.has(bar.outcome);
    g.fillStyle = this.colour(failed ? "--bar-bad" : tone(bar.method));
    g.globalAlpha = isLost(bar) ? 0.35 : bar.outcome === "running" ? 0.55 : 1;
    if (width > 5 && height > 10) {
      g.beginPath();
      g.roundRect(left, y + 1, width, height - 2, 3);
      g.fill();
    } else g.fillRect(left, y + 1, width, height - 2);
    g.globalAlpha = 1;
    if (bar === this.chosen) {
      g.strokeStyle = this.colour("--ink");
      g.lineWidth = 2;
      g.strokeRect(left, y + 1, width, height - 2);
    }
    if (isLost(bar)) this.cross(g, right, y, height);
    this.hits.push([left - 1, left + width + 1, y, y + height, bar]);
  }

  cross(g, x, y, height) {
    g.strokeStyle = this.colour("--ink");
    g.lineWidth = 1.5;
    g.beginPath();
    g.moveTo(x - 0.75, y - 1);
    g.lineTo(x - 0.75, y + height + 1);
    g.stroke();
  }

  drawAxis(g, height) {
    const room = ((this.right - this.left) / this.span); // pixels a second
    const step = [5, 10, 15, 30, 60, 120].find((seconds) => seconds * room > 76) ?? 300;
    g.fillStyle = this.colour("--faint");
    g.textAlign = "center";
    for (let at = Math.ceil((this.until - this.span) / step) * step; at <= this.until; at += step) {
      const x = this.x(at);
      g.fillStyle = this.colour("--line");
      g.fillRect(x, STRIP - 4, 1, height - AXIS - STRIP + 6);
      g.fillStyle = this.colour("--faint");
      if (x > this.left + 18 && x < this.right - 10) g.fillText(new Date(at * 1000).toLocaleTimeString("en-GB"), x, height - AXIS / 2 + 2);
    }
    g.textAlign = "left";
  }

  find(event) {
    const box = this.canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    return this.hits.find(([left, right, top, bottom]) => x >= left && x <= right && y >= top && y <= bottom)?.[4];
  }

  point(event) {
    const bar = this.find(event);
    if (!bar) return this.hide();
    this.show(bar, event.clientX, event.clientY);
  }

  show(bar, x, y) {
    const jobs = bar.jobs > 1 ? `${count(bar.jobs)} jobs in ` : "";
    this.tip.replaceChildren(
      h("b", {}, visible(bar.method, 60)),
      ` ${jobs}${duration(bar.end - bar.start)}`,
      h("br"),
      `${visible(bar.outcome, 20)} on ${visible(bar.row, 40)}`,
    );
    this.tip.hidden = false;
    this.tip.style.left = `${Math.min(innerWidth - this.tip.offsetWidth - 8, x + 14)}px`;
    this.tip.style.top = `${Math.min(innerHeight - this.tip.offsetHeight - 8, y + 16)}px`;
  }

  hide() {
    this.tip.hidden = true;
  }

  open(bar) {
    if (bar) location.hash = link(this.store.queue, "job", bar.job);
  }

  // Arrows walk from bar to bar, Enter opens its job.
  key(event) {
    if (event.key === "Enter" && this.chosen) return this.open(this.chosen);
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || !this.hits.length) return;
    event.preventDefault();
    const bars = this.hits.map((hit) => hit[4]).sort((a, b) => order(a.row, b.row) || a.start - b.start);
    const place = bars.indexOf(this.chosen);
    this.chosen = bars[(place < 0 ? (step > 0 ? 0 : bars.length - 1) : place + step + bars.length) % bars.length];
    const hit = this.hits.find((one) => one[4] === this.chosen);
    const box = this.canvas.getBoundingClientRect();
    this.show(this.chosen, box.left + hit[0], box.top + hit[2]);
    document.getElementById("said").textContent = this.tip.textContent;
    this.draw();
  }
}

// Its worker died or went: until somebody noticed, the job was held, and nobody knows how long it ran.
const isLost = (bar) => bar.outcome === "crashed" || bar.outcome === "lost";

// Jobs that ran at the same time lie below each other: for each bar its lane, and how many lanes its neighbours share.
function spread(bars) {
  const places = new Map();
  let [ends, together] = [[], []];
  const close = () => together.forEach(([bar, lane]) => places.set(bar, [lane, ends.length]));
  for (const bar of [...bars].sort((a, b) => a.start - b.start)) {
    if (ends.every((end) => bar.start >= end - SLACK_S)) {
      close();
      [ends, together] = [[], []];
    }
    let lane = ends.findIndex((end) => bar.start >= end - SLACK_S);
    if (lane < 0) lane = ends.push(0) - 1;
    ends[lane] = bar.end;
    together.push([bar, lane]);
  }
  close();
  return places;
}

// Seconds in which at least one bar lies.
function covered(bars, from, until) {
  let [sum, end] = [0, from];
  for (const bar of [...bars].sort((a, b) => a.start - b.start)) {
    const stop = Math.min(bar.end, until);
    if (stop > end) sum += stop - Math.max(bar.start, end);
    end = Math.max(end, stop);
  }
  return sum;
}

export function resolve(element, property) {
  const probe = document.createElement("i");
  probe.style.color = `var(${property})`;
  element.parentElement?.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}
