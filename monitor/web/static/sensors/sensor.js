// One sensor's page: its current status and its history.

import { listBeats } from "./beats.js";
import { Chart } from "./chart.js";
import { keepLive } from "./live.js";
import { serverNow } from "../poll.js";
import { SPANS, between, bounds, moved, readAddress, writeAddress, zoomed } from "./range.js";
import { fromTo } from "./scale.js";
import { fill } from "./table.js";

const AGAIN_AFTER = 60_000, SETTLED_AFTER = 200, JUDGED_WITHIN = 30_000, REGISTERED_WITHIN = 10_000;

const at = (id) => document.getElementById(id);
const { mac, threshold } = at("sensor").dataset, address = `/api/v1/sensors/${mac}`;
const metrics = at("metric").querySelector("select"), table = at("table"), says = at("range");

let asked = readAddress(), told = null, question = null, settling = 0;


const chart = new Chart(at("plot"), at("readout"), {
  zoom: (from, to) => go(between(from, to, serverNow())),
  press,
});

function go(range) {
  asked.range = range;
  mark();
  clearTimeout(settling);
  settling = setTimeout(() => {
    writeAddress(asked);
    load();
  }, SETTLED_AFTER);
}

function press(event, moment) {
  const now = serverNow(), { range } = asked;
  const wanted = {
    "+": () => zoomed(range, 0.5, now, moment),
    "=": () => zoomed(range, 0.5, now, moment),
    "-": () => zoomed(range, 2, now, moment),
    "−": () => zoomed(range, 2, now, moment),
    ArrowLeft: () => event.shiftKey && moved(range, -0.25, now),
    ArrowRight: () => event.shiftKey && moved(range, 0.25, now),
    Escape: () => range.span === undefined && { span: "24h" },
  }[event.key]?.();
  if (!wanted) return;
  event.preventDefault();
  go(wanted);
}

async function load() {
  question?.abort();
  const mine = (question = new AbortController()), [from, to] = bounds(asked.range, serverNow());
  const query = new URLSearchParams({ from: new Date(from).toISOString(), to: new Date(to).toISOString(), points: chart.room });
  if (asked.metric) query.set("metrics", asked.metric);
  at("history").setAttribute("aria-busy", "true");
  try {
    const response = await fetch(`${address}/history?${query}`, { signal: mine.signal });
    const reply = await response.json();
    if (!response.ok) throw new Error(reply.detail ?? `The server answered with status ${response.status}.`);
    told = shaped(reply);
    offer(reply.available_metrics);
    const cut = told.from - from > told.every ? "; older data has been deleted" : "";
    says.textContent = `${fromTo(told.from, told.to)}${cut}`;
    chart.show(told);
    if (table.open) fill(table, told);
    at("plot").dataset.shown = `${told.from}-${told.to}`;
  } catch (error) {
    if (mine.signal.aborted) return;
    says.textContent = error instanceof TypeError ? "The server can't be reached. This chart may be out of date." : error.message;
  }
  if (question === mine) at("history").removeAttribute("aria-busy");
}

function shaped(reply) {
  const span = (kind) => (each) => ({ kind, from: Date.parse(each.from), to: Date.parse(each.to) });
  const silences = reply.silences.map((each) => span(each.verdict === "unknown" ? "unknown" : "down")(each));
  const [metric] = Object.keys(reply.metrics), to = Date.parse(reply.to);
  const windows = ["blind", "maintenance", "paused"].flatMap((kind) => reply[kind].map(span(kind)));
  // The last seconds are never judged yet.
  const fresh = (each) => each.kind === "blind" && each.to === to && to - each.from < JUDGED_WITHIN;
  return {
    from: Date.parse(reply.from),
    to,
    start: Date.parse(reply.start),
    every: reply.every_seconds * 1000,
    beats: reply.beats,
    metric,
    figures: reply.metrics[metric],
    threshold: threshold * 1000,
    silences,
    spans: [...silences, ...windows.filter((each) => !fresh(each))],
    incidents: reply.incidents.map((each) => ({ opened: Date.parse(each.opened_at) })),
  };
}

/** Fills the list of metrics. It always contains the selected one. */
function offer(names) {
  const all = [...new Set([...names, ...(asked.metric ? [asked.metric] : [])])].sort();
  at("metric").hidden = all.length === 0;
  if (metrics.dataset.offered === JSON.stringify(all)) return;
  metrics.dataset.offered = JSON.stringify(all);
  metrics.replaceChildren(new Option("none", ""), ...all.map((name) => new Option(name, name)));
  metrics.value = asked.metric;
}

function mark() {
  for (const button of document.querySelectorAll("[data-span]")) {
    button.setAttribute("aria-pressed", String(button.dataset.span === asked.range.span));
  }
  document.querySelector("[data-move=later]").disabled = asked.range.span !== undefined;
  metrics.value = asked.metric;
}

at("history").addEventListener("click", ({ target }) => {
  const { span, move } = target.closest("button")?.dataset ?? {}, now = serverNow();
  if (span in SPANS) go({ span });
  else if (move === "earlier") go(moved(asked.range, -0.5, now));
  else if (move === "later") go(moved(asked.range, 0.5, now));
  else if (move) go(zoomed(asked.range, move === "in" ? 0.5 : 2, now));
});
metrics.addEventListener("change", () => {
  asked.metric = metrics.value;
  go(asked.range);
});
table.addEventListener("toggle", () => table.open && told && fill(table, told));
window.addEventListener("popstate", () => {
  asked = readAddress();
  mark();
  load();
});

if ("new" in at("sensor").dataset) {
  setTimeout(() => location.reload(), REGISTERED_WITHIN);
} else {
  at("history").hidden = at("raw").hidden = false;
  mark();
  load();
  listBeats(at("beats"), address);
  setInterval(() => asked.range.span !== undefined && !document.hidden && load(), AGAIN_AFTER);
}
keepLive(mac);
