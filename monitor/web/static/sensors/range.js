// The chart's time range, kept in the URL: the last days up to now, or a fixed range.

const MINUTE = 60_000, DAY = 86_400_000;

export const SPANS = { "24h": DAY, "7d": 7 * DAY, "30d": 30 * DAY, "90d": 90 * DAY, "1y": 365 * DAY };
export const SHORTEST = 5 * MINUTE, LONGEST = 366 * DAY;
const USUAL = "24h";

/** The range, { span } or { from, to } in ms, and the metric from the URL. */
export function readAddress() {
  const asked = new URLSearchParams(location.search);
  const from = Date.parse(asked.get("from")), to = Date.parse(asked.get("to"));
  const range = to - from >= SHORTEST && to - from <= LONGEST
    ? { from, to }
    : { span: Object.hasOwn(SPANS, asked.get("span") ?? "") ? asked.get("span") : USUAL };
  return { range, metric: asked.get("metric") ?? "" };
}

export function writeAddress({ range, metric }) {
  const address = new URL(location.href);
  for (const name of ["span", "from", "to", "metric"]) address.searchParams.delete(name);
  if (range.span === undefined) {
    address.searchParams.set("from", new Date(range.from).toISOString());
    address.searchParams.set("to", new Date(range.to).toISOString());
  } else if (range.span !== USUAL) {
    address.searchParams.set("span", range.span);
  }
  if (metric) address.searchParams.set("metric", metric);
  if (address.href !== location.href) history.pushState(null, "", address);
}

/** [from, to] in ms, as of now. */
export function bounds(range, now) {
  return range.span === undefined ? [range.from, range.to] : [now - SPANS[range.span], now];
}

/** The range scaled by `factor` around its centre, or around the moment `about`. */
export function zoomed(range, factor, now, about) {
  const [from, to] = bounds(range, now);
  const centre = about ?? (from + to) / 2, share = (centre - from) / (to - from);
  const length = Math.min(Math.max((to - from) * factor, SHORTEST), LONGEST);
  return between(centre - share * length, centre + (1 - share) * length, now);
}

/** The range moved by this part of its length, but not beyond now. */
export function moved(range, part, now) {
  const [from, to] = bounds(range, now), step = (to - from) * part;
  return between(from + step, to + step, now);
}

/** A fixed range; if it ends in the future, it is moved back to end now. */
export function between(from, to, now) {
  if (to - from < SHORTEST) {
    const centre = (from + to) / 2;
    [from, to] = [centre - SHORTEST / 2, centre + SHORTEST / 2];
  }
  const over = Math.max(to - now, 0);
  return { from: Math.round(from - over), to: Math.round(to - over) };
}
