// Keeps the status board up to date: each event of /status/events brings points for the plots, and has
// the page fetched anew, whose parts marked data-live take the place of ours where they differ.
"use strict";

const LINES = {
  requests: [["requests_per_s", "--accent", "requests/s"], ["errors_per_s", "--bad", "errors/s"]],
  durations: [["p50_ms", "--accent", "ms (half)"], ["p99_ms", "--gas", "ms (99 of 100)"]],
};
const dark = matchMedia("(prefers-color-scheme: dark)");
const badge = document.getElementById("live");
const plots = new Map();
let series = null;
let fetching = false;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const dataOf = (name) => [series.time, ...LINES[name].map(([column]) => series[column])];
const sizeOf = (place) => ({ width: place.clientWidth, height: place.clientHeight });

function say(text, tone) {
  badge.hidden = false;
  badge.className = `badge ${tone}`;
  if (badge.textContent !== text) badge.textContent = text;
}

function optionsOf(name, place) {
  const axis = {
    stroke: colour("--quiet"), font: "12px Figtree, sans-serif",
    grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false },
  };
  const reading = place.parentElement.querySelector(".reading");
  const read = (plot) => {
    const at = plot.cursor.idx;
    reading.textContent = at == null ? "" : [
      `${new Date(plot.data[0][at] * 1000).toISOString().slice(11, 19)}:`,
      ...LINES[name].map(([, , unit], line) => `${plot.data[line + 1][at] ?? "–"} ${unit}`),
    ].join("  ");
  };
  return {
    ...sizeOf(place), legend: { show: false }, hooks: { setCursor: [read] },
    cursor: { sync: { key: "status" }, drag: { x: false, y: false } },
    tzDate: (at) => uPlot.tzDate(new Date(at * 1e3), "Etc/UTC"),
    scales: { y: { range: (_plot, _low, high) => [0, (high || 1) * 1.08] } },
    axes: [
      { ...axis, size: 30, grid: { show: false }, values: (_plot, times) => times.map((at) => new Date(at * 1000).toISOString().slice(11, 16)) },
      { ...axis, size: 48 },
    ],
    series: [{}, ...LINES[name].map(([, variable]) => ({ stroke: colour(variable), width: 2, points: { show: false } }))],
  };
}

function draw(name) {
  const place = document.querySelector(`[data-plot=${name}]`);
  plots.get(name)?.destroy();
  const drawn = place.querySelector("svg, p");
  if (drawn) {
    place.setAttribute("role", "img");
    place.setAttribute("aria-label", drawn.getAttribute("aria-label") || `${name} in the last hour`);
    drawn.remove();
    new ResizeObserver(() => plots.get(name).setSize(sizeOf(place))).observe(place);
  }
  plots.set(name, new uPlot(optionsOf(name, place), dataOf(name), place));
}

function showPlots() {
  if (series.time.length < 2) return;
  for (const name of Object.keys(LINES)) {
    if (plots.has(name)) plots.get(name).setData(dataOf(name));
    else draw(name);
  }
}

async function showRest() {
  if (fetching) return;
  fetching = true;
  try {
    const response = await fetch(location.href, { headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const ours of document.querySelectorAll("[data-live]")) {
      const fresh = page.getElementById(ours.id);
      if (!fresh) continue;
      if (ours.className !== fresh.className) ours.className = fresh.className;
      if (ours.innerHTML !== fresh.innerHTML) {
        ours.replaceChildren(...document.importNode(fresh, true).childNodes);
      }
    }
    say("live", "ok");
  } catch {
    say("no answer: trying again", "warn");
  } finally {
    fetching = false;
  }
}

function show(event) {
  series = JSON.parse(event.data).series;
  showPlots();
  showRest();
}

const events = new EventSource("/status/events");
events.addEventListener("message", show);
events.addEventListener("board", show);
events.addEventListener("error", () => say("not live: trying again", "warn"));
addEventListener("pagehide", () => events.close());
dark.addEventListener("change", () => [...plots.keys()].forEach(draw));
