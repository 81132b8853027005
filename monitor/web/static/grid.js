// The grid: keeps the cells as /sensors says, in order, and says so when it can't.

import { Cell } from "./cell.js";
import { poll, serverNow } from "./poll.js";
import { WORST_FIRST, bothTimes, compare, localTime, summary, title } from "./words.js";

const BLIND_AFTER = 15_000;

const list = document.getElementById("grid");
const banner = document.getElementById("banner");
const announcement = document.getElementById("announcement");
const asOf = document.getElementById("as-of");
const counters = new Map(
  [...document.querySelectorAll("#counts > li")].map((item) => [item.dataset.status, item]),
);

const cells = new Map();
const cellOf = new WeakMap();
const visible = new Set();
let order = [];
let begun = false;
let reachedAt = 0;
let trouble = "";
let counted = "";
let announced = "";

// Only cells on the screen tick.
const sight = new IntersectionObserver((changes) => {
  for (const { target, isIntersecting } of changes) {
    const cell = cellOf.get(target);
    if (isIntersecting && cells.get(cell.mac) === cell) {
      visible.add(cell);
      cell.tick(serverNow());
    } else {
      visible.delete(cell);
    }
  }
});

function receive(reply) {
  const moved = new Set();
  const gone = new Set(reply.forgotten);
  if (reply.reset) {
    const kept = new Set(reply.sensors.map((sensor) => sensor.mac_address));
    for (const mac of cells.keys()) if (!kept.has(mac)) gone.add(mac);
  }
  for (const mac of gone) drop(mac);
  for (const sensor of reply.sensors) {
    const cell = cells.get(sensor.mac_address) ?? add(sensor.mac_address);
    if (cell.take(sensor)) moved.add(cell);
  }
  if (!begun) list.replaceChildren();
  begun = true;
  reachedAt = serverNow();
  trouble = troubleIn(reply);
  show(moved, gone.size > 0);
  document.getElementById("empty").hidden = cells.size > 0;
  asOf.dateTime = reply.stale_since ?? reply.time;
  asOf.textContent = localTime(Date.parse(asOf.dateTime), reachedAt);
}

function fail(reason) {
  const since = begun ? ` What you see is from ${localTime(reachedAt, serverNow())}.` : "";
  trouble = `${reason}${since}`;
  show(new Set(), false);
}

function troubleIn({ time, horizon, problem, stale_since: staleSince }) {
  const now = Date.parse(time);
  if (problem) {
    return `${problem} What you see is from ${localTime(Date.parse(staleSince), now)}.`;
  }
  if (horizon === null) {
    return cells.size > 0 ? "Monitoring has not begun: nothing was judged yet." : "";
  }
  const judged = Date.parse(horizon);
  if (now - judged <= BLIND_AFTER) return "";
  return `Monitoring is blind since ${localTime(judged, now)}: silence proves nothing now.`;
}

function add(mac) {
  const cell = new Cell(mac);
  if (begun) cell.element.classList.add("new");
  cells.set(mac, cell);
  cellOf.set(cell.element, cell);
  order.push(cell);
  sight.observe(cell.element);
  return cell;
}

function drop(mac) {
  const cell = cells.get(mac);
  if (!cell) return;
  cells.delete(mac);
  visible.delete(cell);
  sight.unobserve(cell.element);
  cell.element.remove();
}

/** Bring the page to this moment: statuses, places, times, counts, banner. */
function show(moved, dropped) {
  const now = serverNow();
  for (const cell of cells.values()) if (cell.judge(now)) moved.add(cell);
  if (dropped) order = order.filter((cell) => cells.get(cell.mac) === cell);
  if (moved.size > 0) place(moved);
  for (const cell of visible) cell.tick(now);
  count();
  if (banner.textContent !== trouble) banner.textContent = trouble;
  banner.hidden = !trouble;
  document.documentElement.dataset.live = trouble ? "no" : "yes";
}

function place(moved) {
  for (const cell of moved) cell.element.remove();
  order.sort(compare);
  let next = list.firstElementChild;
  for (const { element } of order) {
    if (element === next) next = next.nextElementSibling;
    else list.insertBefore(element, next);
  }
}

function count() {
  if (!begun) return;
  const counts = Object.fromEntries(WORST_FIRST.map((status) => [status, 0]));
  for (const { status } of cells.values()) counts[status] += 1;
  document.title = `${trouble ? "⚠ " : ""}${title(counts)} · heartbeat-monitor`;
  const all = summary(counts);
  if (all === counted) return;
  counted = all;
  for (const [status, item] of counters) {
    item.querySelector("b").textContent = counts[status];
    item.hidden = counts[status] === 0;
  }
  // Read aloud only what is wrong, and only when that changes.
  const wrong = `${counts.down} down, ${counts.unknown} unknown`;
  if (announced && wrong !== announced) announcement.textContent = all;
  announced = wrong;
}

list.addEventListener("pointerover", ({ target }) => {
  const time = target.closest("time");
  if (time?.dateTime) time.title = bothTimes(Date.parse(time.dateTime));
});

setInterval(() => begun && show(new Set(), false), 1_000);
poll(receive, fail);
