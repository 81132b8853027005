// The chart's data as tables, created when they are opened.

import { duration, figure } from "./scale.js";
import { written } from "../words.js";

const KINDS = { down: "Down", unknown: "Unknown", blind: "Blind", maintenance: "Maintenance", paused: "Paused" };
const MOST = 60;

export function fill(details, told) {
  const spans = [...told.spans].sort((a, b) => a.from - b.from).map(({ kind, from, to }) => [KINDS[kind], written(from), written(to), duration(to - from)]);
  const tables = [];
  if (spans.length > 0) tables.push(table("Time that was not up", ["Status", "From", "To", "Duration"], spans));
  tables.push(table("Heartbeats by time", told.metric ? ["From", "Heartbeats", `${told.metric}: minimum`, "mean", "maximum"] : ["From", "Heartbeats"], rows(told)));
  details.replaceChildren(details.firstElementChild, ...tables);
}

/** Several buckets per row, to limit the number of rows. */
function rows({ start, every, beats, metric, figures }) {
  const each = Math.ceil(beats.length / MOST), made = [];
  for (let n = 0; n < beats.length; n += each) {
    const counts = beats.slice(n, n + each), row = [written(start + n * every), counts.reduce((a, b) => a + b, 0).toLocaleString()];
    if (metric) row.push(...summary(figures, n, n + each).map((number) => (number === null ? "–" : figure(number))));
    made.push(row);
  }
  return made;
}

function summary({ min, mean, max }, first, end) {
  const known = (list) => list.slice(first, end).filter((each) => each !== null);
  const means = known(mean);
  if (means.length === 0) return [null, null, null];
  return [Math.min(...known(min)), means.reduce((a, b) => a + b, 0) / means.length, Math.max(...known(max))];
}

function table(title, heads, rows) {
  const made = document.createElement("table"), body = made.createTBody();
  made.createCaption().textContent = title;
  const head = made.createTHead().insertRow();
  for (const text of heads) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = text;
    head.append(cell);
  }
  for (const row of rows) {
    const line = body.insertRow();
    for (const text of row) line.insertCell().textContent = text;
  }
  const scroll = document.createElement("div");
  scroll.className = "scroll";
  scroll.tabIndex = 0;
  scroll.role = "region";
  scroll.ariaLabel = title;
  scroll.append(made);
  return scroll;
}
