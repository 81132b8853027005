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

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const calendar = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

/** The time of day in the viewer's time zone, with the date if it is not today. */
export function localTime(moment, now) {
  const sameDay = new Date(moment).toDateString() === new Date(now).toDateString();
  return (sameDay ? clock : calendar).format(moment);
}

export function bothTimes(moment) {
  const utc = new Date(moment).toISOString();
  return `${calendar.format(moment)} (${utc.slice(0, 10)} ${utc.slice(11, 19)} UTC)`;
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
