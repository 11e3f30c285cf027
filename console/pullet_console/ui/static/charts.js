// Lines over time, by uPlot.
import uPlot from "./vendor/uplot.js";
import { h } from "./dom.js";
import { resolve } from "./timeline.js";

export class Chart {
  // `lines`: [label, colour property, filled]; `format` says a value.
  constructor(label, lines, format, options = {}) {
    this.lines = lines;
    this.format = format;
    this.options = options;
    this.read = h("span", { class: "read", "aria-hidden": "true" });
    this.element = h("div", { class: "plot", role: "img", "aria-label": label });
    this.label = label;
    this.data = null;
    this.resized = new ResizeObserver(() => this.plot?.setSize(this.size()));
    this.resized.observe(this.element);
  }

  size() {
    return { width: Math.max(120, this.element.clientWidth), height: this.options.height ?? 170 };
  }

  show(data) {
    this.data = data;
    if (!this.plot && this.element.clientWidth) this.make();
    this.plot?.setData(data);
    this.tell(data[0].length - 1);
  }

  make() {
    const colour = (property) => resolve(this.element, property);
    const axis = { stroke: colour("--faint"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    const series = this.lines.map(([label, property, filled]) => ({
      label,
      stroke: colour(property),
      width: 1.5,
      fill: filled ? fade(colour(property)) : undefined,
      points: { show: false },
    }));
    const logarithmic = this.options.log;
    const whole = (_, marks) => (logarithmic ? marks.map((value) => (Number.isInteger(Math.round(Math.log10(value) * 1e6) / 1e6) ? value : null)) : marks);
    this.plot = new uPlot(
      {
        ...this.size(),
        padding: [8, 6, 0, 0],
        cursor: { sync: { key: "time" }, points: { size: 6 }, drag: { x: false, y: false } },
        legend: { show: false },
        scales: { x: { time: true }, y: logarithmic ? { distr: 3, range: decades } : { range: (_, low, high) => [0, Math.max(this.options.least ?? 1, high * 1.08)] } },
        axes: [
          { ...axis, size: 26, space: 90, values: (_, marks) => marks.map((at) => new Date(at * 1000).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" })) },
          { ...axis, grid: { ...axis.grid, filter: whole }, filter: whole, size: 58, space: 34, values: (_, marks) => marks.map((value) => (value === null ? "" : this.format(value))) },
        ],
        series: [{}, ...series],
        hooks: { setCursor: [(plot) => this.tell(plot.cursor.idx ?? this.data[0].length - 1)] },
      },
      this.data,
      this.element,
    );
  }

  tell(place) {
    const shown = this.lines.map(([label, property], i) => {
      const swatch = h("i", { class: "swatch" });
      swatch.style.setProperty("--tone", `var(${property})`);
      return h("span", {}, swatch, ` ${label} `, h("b", {}, this.format(this.data?.[i + 1]?.[place] ?? null)));
    });
    this.read.replaceChildren(...shown);
    const last = this.lines.map(([label], i) => `${label} ${this.format(this.data?.[i + 1]?.at(-1) ?? null)}`).join(", ");
    this.element.setAttribute("aria-label", `${this.label}: ${last}`);
  }

  recolour() {
    this.plot?.destroy();
    this.plot = null;
    if (this.data) this.show(this.data);
  }

  destroy() {
    this.resized.disconnect();
    this.plot?.destroy();
  }
}

// Whole decades around what there is.
function decades(_, low, high) {
  if (!(low > 0)) return [0.001, 1];
  return [10 ** Math.floor(Math.log10(low)), 10 ** Math.ceil(Math.log10(Math.max(high, low * 1.01)))];
}

const fade = (colour) => colour.replace("rgb(", "rgba(").replace(")", ", 0.12)");
