// One sensor in the grid. Names are inserted as text, never as HTML.

import { ago, brief } from "../words.js";

const WIDTH = 96, HEIGHT = 20, STEPS = 4;

export class Cell {
  #shown = {};

  constructor(template, sensor) {
    this.sensor = sensor;
    this.element = template.content.firstElementChild.cloneNode(true);
    this.link = this.element.querySelector("a");
    this.link.href = `/sensors/${sensor.mac}`;
    for (const part of ["mark", "name", "seen", "status", "where", "known", "hush", "spark"]) {
      this[part] = this.element.querySelector(`.${part}`);
    }
  }

  /** Updates the cell; `live`: whether the data is current. */
  show(now, live, withSite) {
    const { mac, name, site, status, lastSeen, acknowledged, silencedUntil, silencedBy } = this.sensor;
    const hush = silencedUntil !== null && silencedUntil > now ? silencedBy : "";
    this.#set("name", name ?? mac, (text) => {
      this.name.textContent = text;
      this.name.classList.toggle("mac", name === null);
    });
    this.#set("class", `cell ${status}${acknowledged || hush ? " answered" : ""}`, (text) => {
      this.element.className = text;
    });
    this.#set("status", status, (text) => {
      this.mark.className = `mark ${text}`;
      this.status.textContent = text;
    });
    this.#set("site", withSite && site ? ` · ${site}` : "", (text) => (this.where.textContent = text));
    this.#set("known", acknowledged, (is) => (this.known.hidden = !is));
    this.#set("hush", hush, (text) => {
      this.hush.hidden = !text;
      this.hush.title = text;
    });
    this.#set("lastSeen", lastSeen, (moment) => {
      this.seen.removeAttribute("title");
      this.seen.dateTime = moment === null ? "" : new Date(moment).toISOString();
    });
    this.#set("seen", seen(lastSeen, now, live), (text) => (this.seen.textContent = text));
    return this;
  }

  /** Draws the heartbeats of the last day; null if unknown. */
  draw(history) {
    this.#set("spark", history, (known) => {
      this.spark.classList.toggle("known", known !== null);
      this.spark.firstElementChild.setAttribute("d", known ? path(known) : "");
    });
  }

  #set(part, value, apply) {
    if (this.#shown[part] === value) return;
    this.#shown[part] = value;
    apply(value);
  }
}

/** The age of last seen; if the data is not current, the time instead. */
function seen(lastSeen, now, live) {
  if (lastSeen === null) return "never";
  return live ? ago(now - lastSeen) : brief(lastSeen, now);
}

/** The SVG path, in steps of a quarter of the height. Buckets without heartbeats are left out. */
function path(counts) {
  const most = Math.max(...counts, 1);
  const steps = counts.map((count) => Math.ceil((STEPS * count) / most));
  let drawn = "";
  steps.forEach((step, n) => {
    const before = steps[n - 1] ?? 0;
    if (step === before) return;
    const x = round((n * WIDTH) / steps.length), y = round(HEIGHT - 1 - ((HEIGHT - 2) * step) / STEPS);
    if (before > 0) drawn += `H${x}`;
    else drawn += `M${x} ${HEIGHT}`;
    drawn += step > 0 ? `V${y}` : `V${HEIGHT}Z`;
  });
  return steps.at(-1) > 0 ? `${drawn}H${WIDTH}V${HEIGHT}Z` : drawn;
}

function round(number) {
  return Math.round(number * 10) / 10;
}
