"use strict";
// What pages do by themselves: charts, live events, the heat slider, keys. Everything else is the server's.

const root = document.documentElement;
const colour = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();

// Theme: what the machine prefers until a reader chooses.
document.getElementById("theme").addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
  document.dispatchEvent(new Event("theme"));
});

// How strongly the heat map covers the picture; the same on every page.
for (const slider of document.querySelectorAll("[data-heat]")) {
  slider.value = localStorage.getItem("heat") ?? slider.value;
  const show = () => root.style.setProperty("--heat", slider.value / 100);
  slider.addEventListener("input", () => { localStorage.setItem("heat", slider.value); show(); });
  show();
}

for (const choice of document.querySelectorAll("[data-submits]")) choice.addEventListener("change", () => choice.form.submit());
document.getElementById("print")?.addEventListener("click", () => print());

// Keys: a link that names one is followed, unless somebody types.
document.addEventListener("keydown", (event) => {
  if (event.target.closest("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
  document.querySelector(`[data-key="${event.key}"]`)?.click();
});

// Charts.
const clock = (options) => new Intl.DateTimeFormat(root.lang, { hour12: false, timeZone: root.dataset.zone || undefined, ...options });
const times = (splits) => {
  const span = splits.at(-1) - splits[0];
  const format = span > 2 * 86400 ? clock({ day: "2-digit", month: "short" }) : clock({ hour: "2-digit", minute: "2-digit", ...(span < 1800 ? { second: "2-digit" } : {}) });
  return splits.map((each) => format.format(new Date(each * 1000)));
};
const axes = (extra = {}) => ["x", "y"].map((side) => ({ stroke: colour("quiet"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line") }, ...(side === "x" ? { values: (_, splits) => times(splits), space: 90, incrs: [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400, 172800, 604800] } : extra) }));
const drawn = new Map();
const draw = (element, series, data, options = {}) => {
  drawn.get(element)?.destroy();
  const plot = new uPlot({ width: element.clientWidth, height: options.height ?? 240, series: [{ label: root.dataset.time, value: (_, at) => (at == null ? "–" : clock({ dateStyle: "short", timeStyle: "medium" }).format(new Date(at * 1000))) }, ...series], axes: axes(), scales: options.scales ?? {}, cursor: { drag: { x: true, y: false } } }, data, element);
  drawn.set(element, plot);
  return plot;
};
new ResizeObserver((entries) => { for (const { target } of entries) drawn.get(target)?.setSize({ width: target.clientWidth, height: drawn.get(target).height }); })
  .observe(document.body);
addEventListener("resize", () => { for (const [element, plot] of drawn) plot.setSize({ width: element.clientWidth, height: plot.height }); });

const dots = (label, name) => ({ label, stroke: colour(name), fill: colour(name), paths: () => null, points: { show: true, size: name === "fail" ? 8 : 5, fill: colour(name), stroke: colour(name) } });
const line = (label, name, dash) => ({ label, stroke: colour(name), width: dash ? 1.5 : 2, dash, points: { show: false } });

const scoreChart = document.querySelector('[data-chart="scores"]');
const MOST_POINTS = 400;
let points = [];
const drawScores = () => {
  const words = scoreChart.dataset;
  const of = (verdict) => points.map(([, ratio, each]) => (each === verdict ? ratio : null));
  const highest = Math.max(1.5, ...points.map(([, ratio]) => ratio ?? 0));
  const data = [points.map(([at]) => at / 1e6), of("pass"), of("fail"), of("undecided"), points.map(() => 1)];
  const plot = drawn.get(scoreChart);
  if (plot) { plot.setData(data); plot.setScale("y", { min: 0, max: highest * 1.05 }); return; }
  draw(scoreChart, [dots(words.pass, "pass"), dots(words.fail, "fail"), dots(words.undecided, "undecided"), line(words.threshold, "ink", [6, 4])], data, { scales: { y: { range: () => [0, highest * 1.05] } } });
};
if (scoreChart) {
  points = JSON.parse(scoreChart.querySelector("script").textContent).points;
  drawScores();
}

const driftCharts = document.querySelector('[data-charts="drift"]');
const drawDrift = () => {
  const found = JSON.parse(driftCharts.querySelector("script").textContent);
  const words = driftCharts.dataset;
  for (const element of driftCharts.querySelectorAll("[data-series]")) {
    const name = element.dataset.series;
    const at = name === "sketch" ? found.sketch.at : found.at;
    if (!at.length) { element.textContent = element.dataset.empty; continue; }
    const limit = name === "sketch" ? found.sketch.limit : found.calibration[name];
    const constant = at.map(() => limit ?? null);
    if (name === "ratio") draw(element, [line(words.mean, "accent"), line(words.largest, "fail"), line(words.calibration, "ink", [6, 4])], [at, found.ratio, found.ratio_max, constant]);
    else if (name === "sketch") draw(element, [dots(words.value, "accent"), line(words.calibration, "ink", [6, 4])], [at, found.sketch.distance, constant]);
    else draw(element, [line(words.mean, "accent"), line(words.calibration, "ink", [6, 4])], [at, found[name], constant]);
  }
};
if (driftCharts) drawDrift();
document.addEventListener("theme", () => { for (const plot of drawn.values()) plot.destroy(); drawn.clear(); if (scoreChart) drawScores(); if (driftCharts) drawDrift(); });

// Live: one connection a page. A part of the page that is live is asked for again, at most once a second.
const live = document.querySelector("[data-live]");
if (live) {
  const view = live.dataset.live;
  let due = null, refreshed = 0;
  const refresh = () => {
    due = null; refreshed = Date.now();
    if (document.hidden || (document.getElementById("follow")?.checked ?? true) === false) return;
    htmx.trigger(live, "refresh");
  };
  const source = new EventSource(view ? `/live?name=${encodeURIComponent(view)}` : "/live");
  source.addEventListener("decided", async (event) => {
    root.dataset.decided = event.data;
    due ??= setTimeout(refresh, Math.max(0, 1000 - (Date.now() - refreshed)));
    if (!scoreChart) return;
    const after = points.length ? points.at(-1)[0] : 0;
    const answer = await fetch(`/view/points?name=${encodeURIComponent(view)}&after=${after}`);
    if (!answer.ok) return;
    const news = (await answer.json()).filter(([at]) => !points.length || at > points.at(-1)[0]);
    points = [...points, ...news].slice(-MOST_POINTS);
    if (news.length) drawScores();
  });
  addEventListener("pagehide", () => source.close());
}
