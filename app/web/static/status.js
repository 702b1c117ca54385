// Keeps the status board up to date: each event of /status/events brings points for the plots, and has
// the page fetched anew, whose parts marked data-live take the place of ours where they differ.
"use strict";

const LINES = {
  requests: [["requests_per_s", "--accent", "requests/s"], ["errors_per_s", "--bad", "errors/s"]],
  durations: [["p50_ms", "--accent", "ms (p50)"], ["p99_ms", "--gas", "ms (p99)"]],
};
// What is marked in red among what changed; the rest is marked, too.
const FAILURES = new Set(["worker died", "reload failed", "went back"]);
const dark = matchMedia("(prefers-color-scheme: dark)");
const SILENCE_MS = 5000;
const badge = document.getElementById("live");
const plots = new Map();
let series = null;
let changes = [];
let fetching = false;
let events = null;
let silence = 0;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const dataOf = (name) => [series.time, ...LINES[name].map(([column]) => series[column])];
const sizeOf = (place) => ({ width: place.clientWidth, height: place.clientHeight });

function say(text, tone) {
  badge.hidden = false;
  badge.className = `badge ${tone}`;
  if (badge.textContent !== text) badge.textContent = text;
}

// What was well a moment ago need not be now: until the page is had again, no verdict stands.
function doubt(text) {
  say(`${text}: trying again`, "warn");
  const verdict = document.getElementById("verdict");
  verdict.className = "verdict warn";
  const words = document.createElement("strong");
  words.textContent = "How it is now is not known";
  verdict.replaceChildren(words);
}

// A value between two gaps has no line by which it would be seen.
function lonePoints(plot, line) {
  const values = plot.data[line];
  return [...values.keys()].filter((at) => values[at] != null && values[at - 1] == null && values[at + 1] == null);
}

const changesUntil = (end) => changes.filter(({ at }) => at > end - series.step_s && at <= end).map(({ kind }) => kind);

function markChanges(plot) {
  const [first, last] = [plot.data[0][0], plot.data[0].at(-1)];
  const { top, height } = plot.bbox;
  plot.ctx.save();
  plot.ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
  plot.ctx.lineWidth = devicePixelRatio;
  const seen = changes.filter(({ at }) => at >= first && at <= last);
  // Failures last, so that nothing of the same moment covers them.
  for (const { at, kind } of seen.sort((one, other) => FAILURES.has(one.kind) - FAILURES.has(other.kind))) {
    const across = plot.valToPos(at, "x", true);
    plot.ctx.strokeStyle = colour(FAILURES.has(kind) ? "--bad" : "--edge");
    plot.ctx.beginPath();
    plot.ctx.moveTo(across, top);
    plot.ctx.lineTo(across, top + height);
    plot.ctx.stroke();
  }
  plot.ctx.restore();
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
      ...changesUntil(plot.data[0][at]),
    ].join("  ");
  };
  return {
    ...sizeOf(place), legend: { show: false }, hooks: { setCursor: [read], drawAxes: [markChanges] },
    cursor: { sync: { key: "status" }, drag: { x: false, y: false } },
    tzDate: (at) => uPlot.tzDate(new Date(at * 1e3), "Etc/UTC"),
    scales: { y: { range: (_plot, _low, high) => [0, (high || 1) * 1.08] } },
    axes: [
      { ...axis, size: 30, grid: { show: false }, values: (_plot, times) => times.map((at) => new Date(at * 1000).toISOString().slice(11, 16)) },
      { ...axis, size: 48 },
    ],
    series: [{}, ...LINES[name].map(([, variable]) => ({
      stroke: colour(variable), width: 2, points: { show: false, filter: lonePoints, fill: colour(variable), size: 5 },
    }))],
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
    const response = await fetch(location.href, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(SILENCE_MS) });
    if (!response.ok) throw new Error(`status ${response.status}`);
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
    doubt("no answer");
  } finally {
    fetching = false;
  }
}

function show(event) {
  ({ series, events: changes } = JSON.parse(event.data));
  awaitEvent();
  showPlots();
  showRest();
}

function listen() {
  events?.close();
  events = new EventSource("/status/events");
  events.addEventListener("board", show);
}

// An event comes about once a second. A stream that breaks off the browser asks for again by itself,
// but never after an answer other than 200, nor when nothing comes and nothing ends.
function awaitEvent() {
  clearTimeout(silence);
  silence = setTimeout(() => {
    doubt("not live");
    if (events.readyState !== EventSource.CONNECTING) listen();
    awaitEvent();
  }, SILENCE_MS);
}

listen();
awaitEvent();
addEventListener("pagehide", () => events.close());
dark.addEventListener("change", () => [...plots.keys()].forEach(draw));
