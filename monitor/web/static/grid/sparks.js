// Sparklines of the visible sensors: loaded in one request, cached for some minutes.

const PAUSE = 150, KEPT_FOR = 5 * 60_000, AGAIN_AFTER = 60_000, MOST = 200, MOST_KEPT = 3_000;

const known = new Map();
let timer = 0, asking = false, wanted = [];

/** Draws cached sparklines, and loads the others when the scrolling has stopped. */
export function wantSparks(cells) {
  wanted = cells;
  for (const cell of cells) {
    const kept = known.get(cell.sensor.mac);
    if (kept) cell.draw(kept.counts);
  }
  clearTimeout(timer);
  timer = setTimeout(ask, PAUSE);
}

async function ask() {
  const now = performance.now();
  const macs = wanted.map(({ sensor }) => sensor.mac).filter((mac) => !(known.get(mac)?.until > now));
  if (asking || macs.length === 0 || document.hidden) return;
  asking = true;
  const asked = macs.slice(0, MOST);
  let told = null;
  try {
    const macs = asked.map((mac) => mac.replaceAll(":", "")).join(",");
    const response = await fetch(`/api/v1/sparklines?macs=${macs}&hours=24`);
    if (response.ok) told = await response.json();
  } catch {
    // poll.js reports that the server can't be reached.
  }
  asking = false;
  const until = performance.now() + (told ? KEPT_FOR : AGAIN_AFTER);
  for (const mac of asked) {
    const counts = told ? shown(told, mac) : known.get(mac)?.counts ?? null;
    known.delete(mac);
    known.set(mac, { counts, until });
  }
  for (const mac of known.keys()) {
    if (known.size <= MOST_KEPT) break;
    known.delete(mac);
  }
  wantSparks(wanted);
}

/** The counts; the last, incomplete bucket is extrapolated to its full length. */
function shown({ start, every_seconds: every, beats }, mac) {
  const counts = beats[mac]?.slice() ?? null;
  if (counts === null || counts.length < 2) return null;
  const last = counts.length - 1;
  const passed = (Date.now() - Date.parse(start)) / (every * 1000) - last;
  const most = Math.max(...counts.slice(0, last));
  if (passed < 1) counts[last] = passed < 0.2 ? counts[last - 1] : Math.min(most, counts[last] / passed);
  return counts;
}
