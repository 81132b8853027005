// The fleet's data from /sensors, ordered by name.

import { order, searched } from "./find.js";
import { WORST_FIRST, statusAt } from "../words.js";

export class Fleet {
  /** Ordered by name. A sensor keeps the same object as long as it exists. */
  sensors = [];
  #byMac = new Map();

  /** Merges a reply. Returns the events of sensors that were known before. */
  take(reply) {
    const events = [];
    let disordered = false;
    const gone = new Set(reply.forgotten);
    if (reply.reset) {
      const kept = new Set(reply.sensors.map((told) => told.mac_address));
      for (const mac of this.#byMac.keys()) if (!kept.has(mac)) gone.add(mac);
    }
    for (const mac of gone) this.#byMac.delete(mac);
    for (const told of reply.sensors) {
      let sensor = this.#byMac.get(told.mac_address);
      if (sensor) {
        const event = happened(sensor, told);
        if (event) events.push(event);
      } else {
        sensor = { mac: told.mac_address, digits: told.mac_address.replaceAll(":", ""), status: "" };
        this.#byMac.set(sensor.mac, sensor);
        this.sensors.push(sensor);
        disordered = true;
      }
      disordered = take(sensor, told) || disordered;
    }
    if (gone.size > 0) this.sensors = this.sensors.filter(({ mac }) => this.#byMac.has(mac));
    if (disordered) this.sensors.sort((a, b) => (a.order < b.order ? -1 : 1));
    return { events, changed: disordered || gone.size > 0 };
  }

  /** Updates all statuses. Returns whether one changed. */
  judge(now) {
    let changed = false;
    for (const sensor of this.sensors) {
      const status = statusAt(sensor, now);
      if (status !== sensor.status) {
        sensor.status = status;
        changed = true;
      }
    }
    return changed;
  }

  counts() {
    const counts = Object.fromEntries(WORST_FIRST.map((status) => [status, 0]));
    for (const { status } of this.sensors) counts[status] += 1;
    return counts;
  }
}

/** Returns whether the sensor's position or searched text may have changed. */
function take(sensor, told) {
  const labels = JSON.stringify(told.labels);
  const described =
    sensor.name !== told.name || sensor.site !== told.site || sensor.labelsTold !== labels;
  if (described) {
    sensor.name = told.name;
    sensor.site = told.site;
    sensor.labels = told.labels;
    sensor.labelsTold = labels;
    sensor.order = order(sensor);
    sensor.text = searched(sensor);
  }
  sensor.told = told.status;
  sensor.lastSeen = told.last_seen === null ? null : Date.parse(told.last_seen);
  sensor.threshold = told.threshold_seconds * 1000;
  sensor.since = told.incident_since;
  sensor.acknowledged = told.acknowledged_at !== null;
  sensor.tag = told.tag ?? sensor.tag;
  sensor.silencedUntil = told.silenced_until === null ? null : Date.parse(told.silenced_until);
  sensor.silencedBy = told.silenced_by;
  return described;
}

function happened(sensor, told) {
  if (told.incident_since !== null && told.incident_since !== sensor.since) {
    return { kind: "down", sensor, since: told.incident_since };
  }
  if (sensor.since !== null && told.incident_since === null && told.status === "up") {
    return { kind: "recovered", sensor, since: sensor.since };
  }
  return null;
}
