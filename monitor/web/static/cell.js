// One sensor in the grid: an <li> whose text follows the sensor. Names are only ever text.

import { ago, statusAt } from "./words.js";

export class Cell {
  constructor(mac) {
    this.mac = mac;
    this.name = null;
    this.status = "";
    this.element = element("li", "cell");
    this.mark = element("span", "mark");
    this.mark.setAttribute("aria-hidden", "true");
    this.label = element("span", "name");
    this.seen = element("time", "seen");
    this.word = element("span", "status");
    this.site = document.createTextNode("");
    const about = element("span", "about");
    about.append(this.word, this.site);
    this.element.append(this.mark, this.label, about, this.seen);
  }

  /** Take over what the server says; true when the cell's place may have changed. */
  take(sensor) {
    const renamed = this.name !== sensor.name || this.sensor === undefined;
    if (renamed) {
      this.name = sensor.name;
      this.label.textContent = sensor.name ?? this.mac;
      this.label.classList.toggle("mac", sensor.name === null);
    }
    const site = sensor.site ? ` · ${sensor.site}` : "";
    if (this.site.data !== site) this.site.data = site;
    if (sensor.last_seen) this.seen.dateTime = sensor.last_seen;
    this.sensor = {
      status: sensor.status,
      lastSeen: sensor.last_seen === null ? null : Date.parse(sensor.last_seen),
      threshold: sensor.threshold_seconds * 1000,
    };
    return renamed;
  }

  /** Show the status of this moment; true when it changed. */
  judge(now) {
    const status = statusAt(this.sensor, now);
    if (status === this.status) return false;
    this.mark.className = `mark ${status}`;
    this.element.classList.remove(this.status || status);
    this.element.classList.add(status);
    this.word.textContent = status;
    this.status = status;
    return true;
  }

  tick(now) {
    const { lastSeen } = this.sensor;
    const text = lastSeen === null ? "never" : ago(now - lastSeen);
    if (this.seen.textContent !== text) this.seen.textContent = text;
  }
}

function element(tag, className) {
  const made = document.createElement(tag);
  made.className = className;
  return made;
}
