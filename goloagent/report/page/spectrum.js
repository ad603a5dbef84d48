// The percentile spectrum: the latency that a share of values stays below. Each step to the right
// halves the share that exceeds it.

import { element, setText, svgElement } from "./dom.js";
import { latency, latencyTick } from "./format.js";
import { logScale, logTicks } from "./log_scale.js";

const HEIGHT = 220;
const MARGIN = { top: 10, right: 14, bottom: 22, left: 56 };
const LABEL_WIDTH = 44;
const SHARES = [0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999];
const SERIES = [
  { key: "duration", label: "results", color: "a" },
  { key: "iteration", label: "calls from their planned start", color: "c" },
  { key: "service", label: "calls from their sending", color: "b" },
];

const halvings = (share) => -Math.log2(1 - share);
const percent = (share) => `${Number((100 * share).toPrecision(8))} %`;

export class Spectrum {
  /** Each member of `points` is a list of `[share, seconds]`. */
  constructor(figure, points) {
    this.series = SERIES.filter(({ key }) => points[key]).map((series) => ({ ...series, points: points[series.key] }));
    // In the closed model a call is sent when it is planned.
    const [iteration, service] = ["iteration", "service"].map((key) => JSON.stringify(points[key]));
    if (iteration === service) this.series = this.series.filter(({ key }) => key !== "service");
    this.share = null;
    this.values = new Map(this.series.map(({ key }) => [key, element("span", { class: "value" })]));
    const keys = this.series.map(({ key, label, color }) => element("span", { class: "key" }, element("i", { class: `swatch ${color}` }), label, " ", this.values.get(key)));
    this.at = element("span", { class: "muted chart-time" });
    this.svg = svgElement("svg", { height: HEIGHT, tabindex: 0, role: "img" });
    this.announcement = element("span", { class: "hidden", "aria-live": "polite" });
    this.plot = element("div", { class: "plot" }, this.svg);
    figure.append(element("figcaption", {}, element("h3", {}, "Percentile spectrum"), this.at, element("p", { class: "legend" }, ...keys)), this.plot, this.announcement);
    this.longest = this.series.reduce((most, { points: own }) => (own.length > most.length ? own : most), []).map(([share]) => share);
    this.svg.addEventListener("pointermove", (event) => this.moveTo(event.offsetX));
    for (const leave of ["pointerleave", "blur"]) this.svg.addEventListener(leave, () => this.setShare(null));
    this.svg.addEventListener("keydown", (event) => this.pressKey(event));
    new ResizeObserver(([entry]) => {
      this.width = Math.floor(entry.contentRect.width);
      this.draw();
    }).observe(this.plot);
  }

  moveTo(offset) {
    const distance = (share) => Math.abs(this.x(share) - offset);
    this.setShare(this.longest.reduce((best, share) => (distance(share) < distance(best) ? share : best)));
  }

  pressKey(event) {
    const last = this.longest.length - 1;
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined || last < 0) return;
    event.preventDefault();
    const index = this.share === null ? last : this.longest.indexOf(this.share);
    this.setShare(this.longest[Math.min(last, Math.max(0, index + step))]);
    setText(this.announcement, this.describe());
  }

  setShare(share) {
    this.share = share;
    if (share === null) setText(this.announcement, "");
    this.draw();
  }

  describe() {
    const share = this.share ?? 0.99;
    return `${percent(share)} are at most: ${this.series.map(({ label, points }) => `${label} ${latency(valueAt(points, share))}`).join(", ")}`;
  }

  draw() {
    for (const { key, points } of this.series) setText(this.values.get(key), this.share === null ? "" : latency(valueAt(points, this.share)));
    setText(this.at, this.share === null ? "" : percent(this.share));
    this.svg.setAttribute("aria-label", `Percentile spectrum. ${this.describe()}`);
    if (!this.width) return;
    const [right, bottom] = [this.width - MARGIN.right, HEIGHT - MARGIN.bottom];
    const all = this.series.flatMap(({ points }) => points.map(([, seconds]) => seconds)).filter((seconds) => seconds > 0);
    const [low, high] = [Math.min(...all, 1), Math.max(...all, 1e-9)];
    const place = logScale(low * 0.95, high * 1.05);
    const most = Math.max(1, halvings(this.longest.at(-1)));
    const x = (share) => MARGIN.left + (Math.min(most, halvings(share)) / most) * (right - MARGIN.left);
    const y = (value) => bottom - place(value) * (bottom - MARGIN.top);
    this.x = x;
    const fits = (kept, share) => !kept.length || x(share) - x(kept.at(-1)) >= LABEL_WIDTH;
    const shares = SHARES.filter((share) => halvings(share) <= most).reduce((kept, share) => (fits(kept, share) ? [...kept, share] : kept), []);
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`);
    this.svg.replaceChildren(
      ...logTicks(low * 0.95, high * 1.05).flatMap((value) => [
        svgElement("line", { class: "grid", x1: MARGIN.left, x2: right, y1: y(value), y2: y(value) }),
        svgElement("text", { class: "tick", x: MARGIN.left - 8, y: y(value) + 4, "text-anchor": "end" }, latencyTick(value)),
      ]),
      svgElement("line", { class: "axis", x1: MARGIN.left, x2: right, y1: bottom, y2: bottom }),
      ...shares.flatMap((share) => [
        svgElement("line", { class: "grid", x1: x(share), x2: x(share), y1: MARGIN.top, y2: bottom }),
        svgElement("text", { class: "tick", x: Math.min(x(share), right - 8), y: bottom + 17, "text-anchor": "middle" }, percent(share)),
      ]),
      ...this.series.map(({ color, points }) => svgElement("path", { class: `line ${color}`, d: path(points, x, y) })),
      ...(this.share === null ? [] : this.crosshair(x, y, bottom)),
    );
  }

  crosshair(x, y, bottom) {
    const center = x(this.share);
    return [
      svgElement("line", { class: "cursor", x1: center, x2: center, y1: MARGIN.top, y2: bottom }),
      ...this.series.map(({ color, points }) => svgElement("circle", { class: `dot ${color}`, cx: center, cy: y(valueAt(points, this.share)), r: 3.5 })),
    ];
  }
}

/** Return the value of a share; beyond the last point it is the maximum. */
function valueAt(points, share) {
  return (points.find(([at]) => at >= share) ?? points.at(-1))[1];
}

function path(points, x, y) {
  return points.map(([share, seconds], index) => `${index ? "L" : "M"}${x(share).toFixed(1)} ${y(seconds).toFixed(1)}`).join("");
}
