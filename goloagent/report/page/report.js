// The charts of a report, from the data inside of it.

import { Breakdown } from "./breakdown.js";
import { Chart } from "./chart.js";
import { byId } from "./dom.js";
import { count, percentage, rate, rateTick } from "./format.js";
import { HeatMap } from "./heat_map.js";
import { windowSample } from "./samples.js";
import { Spectrum } from "./spectrum.js";

const RATES = { format: rate, formatTick: rateTick };
const whole = (number) => count(number == null ? number : Math.round(number));
const HEAT_TITLES = {
  duration: "Latency of results",
  iteration: "Latency of calls, from their planned start",
};

const read = (id) => JSON.parse(byId(id).textContent);

function loadSeries(report) {
  if (report.drive === "self") return null;
  if (report.load?.model === "open") {
    return ["Load: calls a second", [
      { key: "planned", label: "planned", color: "plan" },
      { key: "started", label: "started", color: "a" },
      { key: "dropped", label: "dropped", color: "bad" },
    ]];
  }
  return ["Load: users", [
    { key: "planned", label: "planned", color: "plan" },
    { key: "flight", label: "calls in flight", color: "a" },
  ]];
}

/** Draw the charts over the time of a run. */
function drawTimeline(report) {
  const samples = report.timeline.map((window) => ({
    ...windowSample(window),
    most: window.max_in_flight,
    share: window.results ? window.errors / window.results : null,
  }));
  const range = Math.max(1, samples.at(-1).end);
  const marks = report.changes.map(({ at }) => at);
  const view = { samples, range, spans: report.limited, marks };
  const draw = (id, title, series, formats = RATES) => new Chart(byId(id), { title, series, ...formats }).show(view);
  const load = loadSeries(report);
  if (load) draw("load-chart", ...load);
  draw("rate-chart", "Results a second", [
    { key: "results", label: "results", color: "b" },
    { key: "errors", label: "errors", color: "bad" },
  ]);
  if (report.load?.model === "open") {
    draw("flight-chart", "Calls in flight", [
      { key: "most", label: "at most", color: "a" },
      { key: "flight", label: "at the end of the interval", color: "b" },
    ], { format: whole, formatTick: rateTick });
  }
  draw("error-chart", "Errors, of results", [{ key: "share", label: "share", color: "bad" }], {
    format: (share) => (share ? percentage(share, 1) : share == null ? "–" : "0 %"),
    formatTick: (share) => `${Number((100 * share).toPrecision(4))} %`,
  });
  drawHeatMap(report, range, marks);
}

function drawHeatMap(report, range, marks) {
  const metrics = Object.keys(HEAT_TITLES).filter((name) => report.timeline.some((window) => window[name]));
  if (!metrics.length) return;
  const map = new HeatMap(byId("heat-map"));
  const show = (name) => {
    const windows = report.timeline.map(({ at, seconds, [name]: times }) => ({ at, seconds, times }));
    map.show(HEAT_TITLES[name], { windows, range, spans: report.limited, marks });
  };
  const choice = byId("heat-switch");
  choice.hidden = metrics.length < 2;
  for (const input of choice.querySelectorAll("input")) {
    input.checked = input.value === metrics[0];
    input.addEventListener("change", () => show(input.value));
  }
  show(metrics[0]);
}

byId("no-script").hidden = true;
const report = read("report");
const spectrum = read("spectrum-data");
if (report.timeline.length) drawTimeline(report);
else byId("load-title").parentElement.hidden = true;
if (Object.keys(spectrum).length) new Spectrum(byId("spectrum"), spectrum);
new Breakdown(byId("breakdown"), report);
