// A heat map: how many values each interval of the run has at each latency, with percentiles as lines
// and a cursor moved by pointer or arrow keys.

import { element, setText, svgElement } from "./dom.js";
import { count, elapsed, latency, latencyTick } from "./format.js";
import { buckets, logScale, logTicks } from "./log_scale.js";
import { linePath, timeStep } from "./scale.js";

const HEIGHT = 300;
const MARGIN = { top: 10, right: 10, bottom: 22, left: 56 };
const LABEL_WIDTH = 64;
const CELL_HEIGHT = 4;
const LINES = [
  { key: "p99", color: "c" },
  { key: "p95", color: "ink" },
  { key: "p50", color: "b" },
];

export class HeatMap {
  constructor(figure) {
    this.view = { windows: [], spans: [], marks: [], range: 1 };
    this.cursor = null;
    this.width = 0;
    this.title = element("h3");
    this.time = element("span", { class: "muted chart-time" });
    this.values = new Map([...LINES.map(({ key }) => key), "count"].map((key) => [key, element("span", { class: "value" })]));
    const keys = LINES.map(({ key, color }) => element("span", { class: "key" }, element("i", { class: `swatch ${color}` }), key, " ", this.values.get(key)));
    keys.push(element("span", { class: "key" }, element("i", { class: "ramp" }), "values a second ", this.values.get("count")));
    this.canvas = element("canvas", { "aria-hidden": "true" });
    this.svg = svgElement("svg", { height: HEIGHT, tabindex: 0, role: "img" });
    this.announcement = element("span", { class: "hidden", "aria-live": "polite" });
    this.plot = element("div", { class: "plot" }, this.canvas, this.svg);
    figure.append(element("figcaption", {}, this.title, this.time, element("p", { class: "legend" }, ...keys)), this.plot, this.announcement);
    this.svg.addEventListener("pointermove", (event) => this.moveTo(event.offsetX));
    this.svg.addEventListener("pointerleave", () => this.setCursor(null));
    this.svg.addEventListener("blur", () => this.setCursor(null));
    this.svg.addEventListener("keydown", (event) => this.pressKey(event));
    for (const query of ["print", "(prefers-color-scheme: dark)"]) matchMedia(query).addEventListener("change", () => this.draw());
    new ResizeObserver(([entry]) => {
      this.width = Math.floor(entry.contentRect.width);
      this.draw();
    }).observe(this.plot);
  }

  /** Show `windows`, each `{at, seconds, times}`, in `range` seconds; `spans` are limits, `marks` changes. */
  show(title, view) {
    setText(this.title, title);
    this.view = { ...view, windows: view.windows.filter(({ times }) => times) };
    this.cursor = null;
    this.draw();
  }

  moveTo(offset) {
    const { windows } = this.view;
    if (!windows.length || !this.x) return;
    const distance = (index) => Math.abs(this.x(windows[index].at + windows[index].seconds / 2) - offset);
    this.setCursor(windows.reduce((best, _, index) => (distance(index) < distance(best) ? index : best), 0));
  }

  setCursor(index) {
    this.cursor = index;
    if (index === null) setText(this.announcement, "");
    this.draw();
  }

  pressKey(event) {
    const last = this.view.windows.length - 1;
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined || last < 0) return;
    event.preventDefault();
    this.setCursor(Math.min(last, Math.max(0, (this.cursor ?? last) + step)));
    setText(this.announcement, this.describe(this.view.windows[this.cursor]));
  }

  describe({ at, seconds, times }) {
    return `${elapsed(at + seconds)}: ${LINES.map(({ key }) => `${key} ${latency(times[key])}`).join(", ")}, ${count(times.count)} values`;
  }

  draw() {
    const { windows, range, spans, marks } = this.view;
    const shown = this.cursor === null ? null : windows[this.cursor];
    for (const { key } of LINES) setText(this.values.get(key), shown ? latency(shown.times[key]) : "");
    setText(this.values.get("count"), shown ? count(Math.round(shown.times.count / shown.seconds)) : "");
    setText(this.time, shown ? elapsed(shown.at + shown.seconds) : "");
    this.svg.setAttribute("aria-label", `${this.title.textContent}. ${windows.length ? this.describe(shown ?? windows.at(-1)) : "No values"}`);
    if (!this.width || !windows.length) return;
    const [right, bottom] = [this.width - MARGIN.right, HEIGHT - MARGIN.bottom];
    const cells = windows.map((window) => [...buckets(window.times)]);
    const low = cells.reduce((least, [first]) => Math.min(least, first.from), Infinity) || 1e-9;
    const high = windows.reduce((most, { times }) => Math.max(most, times.max), low * 1.5);
    const place = logScale(low, high);
    const x = (seconds) => MARGIN.left + (Math.min(seconds, range) / range) * (right - MARGIN.left);
    const y = (value) => bottom - place(value) * (bottom - MARGIN.top);
    this.x = x;
    this.paint(cells, x, y, bottom);
    const lines = LINES.map(({ key, color }) => {
      const samples = windows.map(({ at, seconds, times }) => ({ begin: at - seconds / 2, end: at + seconds / 2, value: times[key] }));
      return { color, path: linePath(samples, "value", x, y) };
    });
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`);
    this.svg.replaceChildren(
      ...this.axes(low, high, x, y, bottom, right),
      ...marks.map((at) => svgElement("line", { class: "mark", x1: x(at), x2: x(at), y1: MARGIN.top, y2: bottom })),
      ...spans.map(({ from, to }) => svgElement("rect", { class: "limit-mark", x: x(from), y: bottom - 3, width: Math.max(2, x(to) - x(from)), height: 3 })),
      ...lines.map(({ path }) => svgElement("path", { class: "halo", d: path })),
      ...lines.map(({ color, path }) => svgElement("path", { class: `line ${color}`, d: path })),
      ...(shown ? this.crosshair(shown, x, y, bottom) : []),
    );
  }

  axes(low, high, x, y, bottom, right) {
    const values = logTicks(low, high).flatMap((value) => [
      svgElement("line", { class: "grid", x1: MARGIN.left, x2: right, y1: y(value), y2: y(value) }),
      svgElement("text", { class: "tick", x: MARGIN.left - 8, y: y(value) + 4, "text-anchor": "end" }, latencyTick(value)),
    ]);
    const { range } = this.view;
    const step = timeStep(range, Math.max(1, Math.floor((right - MARGIN.left) / LABEL_WIDTH)));
    const times = Array.from({ length: Math.floor(range / step) + 1 }, (_, index) => index * step);
    const labels = times.map((seconds) => svgElement("text", { class: "tick", x: Math.min(x(seconds), this.width - 24), y: bottom + 17, "text-anchor": "middle" }, elapsed(seconds)));
    return [...values, svgElement("line", { class: "axis", x1: MARGIN.left, x2: right, y1: bottom, y2: bottom }), ...labels];
  }

  crosshair({ at, seconds, times }, x, y, bottom) {
    const center = x(at + seconds / 2);
    return [
      svgElement("line", { class: "cursor", x1: center, x2: center, y1: MARGIN.top, y2: bottom }),
      ...LINES.map(({ key, color }) => svgElement("circle", { class: `dot ${color}`, cx: center, cy: y(times[key]), r: 3.5 })),
    ];
  }

  /** Paint a cell for each interval and each few pixels of latency, darker for more values a second. */
  paint(cells, x, y, bottom) {
    const ratio = devicePixelRatio || 1;
    Object.assign(this.canvas, { width: this.width * ratio, height: HEIGHT * ratio });
    Object.assign(this.canvas.style, { width: `${this.width}px`, height: `${HEIGHT}px` });
    const rows = Math.ceil((bottom - MARGIN.top) / CELL_HEIGHT);
    const columns = cells.map((column, index) => densities(column, rows, y, bottom, this.view.windows[index].seconds));
    const most = columns.reduce((highest, column) => column.reduce((a, b) => Math.max(a, b), highest), 0);
    const context = this.canvas.getContext("2d");
    context.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--a");
    const edge = (value) => Math.round(value * ratio);
    columns.forEach((column, index) => {
      const { at, seconds } = this.view.windows[index];
      const [left, right] = [edge(x(at)), edge(x(at + seconds))];
      column.forEach((density, row) => {
        if (!density) return;
        context.globalAlpha = 0.1 + 0.9 * (Math.log1p(density) / Math.log1p(most));
        const [top, end] = [edge(bottom - (row + 1) * CELL_HEIGHT), edge(bottom - row * CELL_HEIGHT)];
        context.fillRect(left, top, Math.max(1, right - left), end - top);
      });
    });
  }
}

/** Return the values a second in each row from the bottom, of buckets that cover parts of rows. */
function densities(column, rows, y, bottom, seconds) {
  const found = new Array(rows).fill(0);
  for (const { from, to, count: number } of column) {
    const [start, end] = [(bottom - y(from)) / CELL_HEIGHT, (bottom - y(to)) / CELL_HEIGHT];
    const last = Math.min(rows - 1, Math.floor(end));
    for (let row = Math.min(last, Math.floor(start)); row <= last; row += 1) {
      const part = end > start ? (Math.min(end, row + 1) - Math.max(start, row)) / (end - start) : 1;
      found[row] += (Math.max(0, part) * number) / (seconds || 1);
    }
  }
  return found;
}
