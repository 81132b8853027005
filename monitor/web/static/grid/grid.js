// The grid: shows the data from /sensors, and a warning if it can't.

import { arrange } from "./arrange.js";
import { Filters } from "./filters.js";
import { natural } from "./find.js";
import { Fleet } from "./fleet.js";
import { followKeys } from "./keys.js";
import { Notices } from "./notices.js";
import { poll, serverNow } from "../poll.js";
import { Sheet } from "./sheet.js";
import { wantSparks } from "./sparks.js";
import { bothTimes, title, written } from "../words.js";

const BLIND_AFTER = 15_000, SILENT_AFTER = 15_000;

const at = (id) => document.getElementById(id);
const root = at("grid"), banner = at("banner"), warnings = at("warnings"), asOf = at("as-of"), icon = at("icon");
const counters = new Map(
  [...document.querySelectorAll("#filters .pill")].map((pill) => [pill.dataset.status, pill]),
);

const fleet = new Fleet();
const sheet = new Sheet(root, { group: at("group"), cell: at("cell") }, wantSparks);
const filters = new Filters(at("filters"), () => started && show(true));
const notices = new Notices(at("bell"), at("bell-says"));

let started = false;
let reachedAt = 0, answeredAt = 0;
let trouble = "";
let announced = null;

function receive(reply) {
  const { events, changed } = fleet.take(reply);
  reachedAt = serverNow();
  answeredAt = Date.now();
  trouble = troubleIn(reply);
  warn(reply.warnings);
  asOf.dateTime = reply.stale_since ?? reply.time;
  asOf.textContent = written(Date.parse(asOf.dateTime));
  if (started) notices.tell(events);
  else begin();
  if (changed) offer();
  show(changed);
}

/** Replaces the server's HTML with the grid. */
function begin() {
  started = true;
  root.replaceChildren();
  root.role = "grid";
  followKeys(root, sheet);
  show(true);
  window.scrollTo(0, history.state?.scrolled ?? window.scrollY);
  performance.mark("ready");
}

function fail(reason) {
  const since = started ? ` This page shows data from ${written(reachedAt)}.` : "";
  trouble = `${reason}${since}`;
  show(false);
}

function troubleIn({ time, horizon, hindrance, problem, stale_since: staleSince }) {
  const now = Date.parse(time);
  if (problem) {
    return `${problem} This page shows data from ${written(Date.parse(staleSince))}.`;
  }
  if (horizon === null) {
    return fleet.sensors.length > 0 ? `Monitoring has not started, so it is not known which sensors are down. ${hindrance}` : "";
  }
  const judged = Date.parse(horizon);
  if (now - judged <= BLIND_AFTER) return "";
  return `Monitoring has been behind since ${written(judged)}. Silent sensors can't be detected. ${hindrance}`;
}

/** Shows what needs attention although the page is live. */
function warn(sentences) {
  const shown = [...warnings.children].map((paragraph) => paragraph.textContent);
  warnings.hidden = sentences.length === 0;
  if (shown.join("\n") === sentences.join("\n")) return;
  warnings.replaceChildren(...sentences.map((sentence) => {
    const paragraph = document.createElement("p");
    paragraph.textContent = sentence;
    return paragraph;
  }));
}

/** A warning if there was no reply for some time: the computer slept or the request hangs. */
function overdue() {
  if (!started || document.hidden || Date.now() - answeredAt < SILENT_AFTER) return "";
  return `The server has not answered yet. This page shows data from ${written(reachedAt)}.`;
}

/** Updates the page: statuses, positions, times, counts, banner. */
function show(anew) {
  const now = serverNow(), wrong = trouble || overdue();
  if (started) {
    if (fleet.judge(now) || anew) {
      sheet.show(arrange(fleet.sensors, filters.read()), now, !wrong);
      count();
    } else {
      sheet.tick(now, !wrong);
    }
    document.title = `${wrong ? "⚠ " : ""}${title(fleet.counts())} · heartbeat-monitor`;
  }
  if (banner.textContent !== wrong) banner.textContent = wrong;
  banner.hidden = !wrong;
  document.documentElement.dataset.live = wrong ? "no" : "yes";
}

function count() {
  const counts = fleet.counts(), total = fleet.sensors.length;
  const shown = sheet.groups.reduce((sum, { sensors }) => sum + sensors.length, 0);
  for (const [status, pill] of counters) {
    pill.querySelector("b").textContent = counts[status].toLocaleString("en");
    pill.hidden = counts[status] === 0 && !pill.querySelector("input").checked;
  }
  at("shown").textContent = shown === total ? "" : `${shown.toLocaleString("en")} of ${total.toLocaleString("en")}`;
  at("empty").hidden = total > 0;
  at("none").hidden = total === 0 || shown > 0;
  // Announce only the number of sensors that are down, and only when it changes.
  if (counts.down === announced) return;
  if (announced !== null) at("announcement").textContent = `${counts.down} down`;
  announced = counts.down;
  icon.href = `/icon/${counts.down}.svg`;
}

function offer() {
  const sites = new Set(), labels = new Map();
  for (const { site, labels: own } of fleet.sensors) {
    if (site) sites.add(site);
    for (const [name, value] of Object.entries(own)) {
      if (!labels.has(name)) labels.set(name, new Set());
      labels.get(name).add(value);
    }
  }
  filters.offer(sorted(sites), sorted(labels.keys()).map((name) => [name, sorted(labels.get(name))]));
}

function sorted(texts) {
  return [...texts].map((text) => [natural(text), text]).sort(([a], [b]) => (a < b ? -1 : 1)).map(([, text]) => text);
}

root.addEventListener("pointerover", ({ target }) => {
  const time = target.closest("time");
  if (time?.dateTime && !time.title) time.title = bothTimes(Date.parse(time.dateTime));
});

new ResizeObserver(() => {
  const top = at("top"), { style } = document.documentElement;
  style.setProperty("--bar", `${top.firstElementChild.offsetHeight}px`);
  sheet.covered = top.offsetHeight + parseFloat(getComputedStyle(top).top);
  style.setProperty("--top", `${sheet.covered}px`);
}).observe(at("top"));

window.addEventListener("pagehide", () => {
  history.replaceState({ scrolled: window.scrollY }, "");
});
document.addEventListener("visibilitychange", () => document.hidden || show(false));
history.scrollRestoration = "manual";
setInterval(() => started && show(false), 1_000);
poll(receive, fail);
