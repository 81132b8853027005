// Keeps a sensor's status and "last seen" up to date, and shows a warning if it can't.

import { poll, serverNow } from "../poll.js";
import { ago, bothTimes, statusAt, written } from "../words.js";

const BLIND_AFTER = 15_000, SILENT_AFTER = 15_000;

export function keepLive(mac) {
  const at = (id) => document.getElementById(id);
  const banner = at("banner"), asOf = document.querySelector(".as-of time"), seen = at("seen"), status = at("status");
  const label = document.querySelector("main h2").textContent;
  let sensor = null, trouble = "", answeredAt = Date.now();

  function receive(reply) {
    const [told] = reply.sensors, now = Date.parse(reply.time);
    answeredAt = Date.now();
    sensor = {
      told: told.status,
      lastSeen: told.last_seen === null ? null : Date.parse(told.last_seen),
      threshold: told.threshold_seconds * 1000,
    };
    asOf.dateTime = reply.stale_since ?? reply.time;
    asOf.textContent = written(Date.parse(asOf.dateTime));
    asOf.title = bothTimes(Date.parse(asOf.dateTime));
    trouble = troubleIn(reply, now);
    show();
  }

  function fail(reason) {
    trouble = reason;
    show();
  }

  function show() {
    const now = serverNow(), silent = sensor && !document.hidden && Date.now() - answeredAt > SILENT_AFTER;
    const wrong = trouble || (silent ? "The server has not answered yet." : "");
    set(banner, wrong);
    banner.hidden = !wrong;
    document.documentElement.dataset.live = wrong ? "no" : "yes";
    if (!sensor) return;
    const word = statusAt(sensor, now);
    if (status.children[1].textContent !== word) {
      status.children[0].className = `mark ${word}`;
      status.children[1].textContent = word;
      status.children[2].textContent = status.dataset[word];
    }
    document.title = `${wrong ? "⚠ " : ""}${label} ${word} · heartbeat-monitor`;
    if (sensor.lastSeen === null) return;
    if (!seen.querySelector("time")) seen.replaceChildren(document.createElement("time"), ", ", document.createElement("span"));
    const [time, passed] = seen.children, told = new Date(sensor.lastSeen).toISOString();
    if (time.dateTime !== told || !time.dataset.local) {
      time.dateTime = told;
      time.dataset.local = "yes";
      time.textContent = written(sensor.lastSeen);
      time.title = bothTimes(sensor.lastSeen);
    }
    set(passed, wrong ? "at the last update" : ago(now - sensor.lastSeen));
  }

  document.addEventListener("visibilitychange", () => document.hidden || show());
  setInterval(show, 1_000);
  poll(receive, fail, `/sensors/${mac}/now`);
}

function troubleIn({ horizon, hindrance, problem, stale_since: staleSince }, now) {
  if (problem) return `${problem} This page shows data from ${written(Date.parse(staleSince))}.`;
  if (horizon === null) return `Monitoring has not started, so it is not known which sensors are down. ${hindrance}`;
  const judged = Date.parse(horizon);
  if (now - judged <= BLIND_AFTER) return "";
  return `Monitoring has been behind since ${written(judged)}. Silent sensors can't be detected. ${hindrance}`;
}

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
