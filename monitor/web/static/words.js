// Texts about sensors, and their order. Must match monitor/web/grid/cells.py.

export const WORST_FIRST = ["down", "unknown", "waiting", "up", "paused"];

const SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR;

export function ago(duration) {
  if (duration < MINUTE) return `${Math.floor(Math.max(duration, 0) / SECOND)} s ago`;
  if (duration < HOUR) return `${Math.floor(duration / MINUTE)} min ago`;
  if (duration < 2 * DAY) return `${Math.floor(duration / HOUR)} h ago`;
  return `${Math.floor(duration / DAY)} d ago`;
}

/** The status now. A silent sensor changes from up to unknown here; only the server sets down. */
export function statusAt(sensor, now) {
  if (sensor.told !== "up" && sensor.told !== "unknown") return sensor.told;
  return now - sensor.lastSeen > sensor.threshold ? "unknown" : "up";
}

const clock = new Intl.DateTimeFormat("en", {
  year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit",
  second: "2-digit", hourCycle: "h23", timeZoneName: "short",
});

/** In the viewer's time zone: 2026-11-23 14:03:12 GMT+1. The same format as on the server. */
export function written(moment) {
  const part = Object.fromEntries(clock.formatToParts(moment).map(({ type, value }) => [type, value]));
  return `${part.year}-${part.month}-${part.day} ${part.hour}:${part.minute}:${part.second} ${part.timeZoneName}`;
}

/** The time of day, or the date if it is not today, where there is no room for both. */
export function brief(moment, now) {
  const text = written(moment);
  return text.slice(0, 10) === written(now).slice(0, 10) ? text.slice(11, 19) : text.slice(0, 10);
}

export function bothTimes(moment) {
  const utc = new Date(moment).toISOString();
  return `${written(moment)} (${utc.slice(0, 10)} ${utc.slice(11, 19)} UTC)`;
}

export function summary(counts) {
  const parts = WORST_FIRST.filter((status) => counts[status]);
  return parts.map((status) => `${counts[status]} ${status}`).join(", ") || "no sensors";
}

/** A short text for the browser's tab: only problems, if there are any. */
export function title(counts) {
  const wrong = { down: counts.down, unknown: counts.unknown };
  return summary(wrong.down || wrong.unknown ? wrong : counts);
}
