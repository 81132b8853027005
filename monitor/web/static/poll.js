// Polls the server for changes, and tracks the server's time.

const SHOWN = 5_000, HIDDEN = 30_000, FIRST_RETRY = 2_000, LAST_RETRY = 30_000, PATIENCE = 15_000;

let epoch = Date.now() - performance.now();

/** The server's time, even if this computer's clock is wrong or is changed. */
export function serverNow() {
  return epoch + performance.now();
}

/** Polls until the page is closed. Calls `receive(reply)` or `fail(reason)` each time. */
export function poll(receive, fail, address = "/sensors") {
  let cursor = "", failures = 0, timer = 0, asking = false;

  async function ask() {
    clearTimeout(timer);
    if (asking) return;
    asking = true;
    try {
      const reply = await fetchSensors(address, cursor);
      failures = 0;
      receive(reply);
      cursor = reply.cursor; // only now: if `receive` throws, the same changes are requested again
    } catch (error) {
      if (!(error instanceof Unreachable)) throw error;
      failures += 1;
      fail(error.message);
    } finally {
      asking = false;
      timer = setTimeout(ask, pause());
    }
  }

  function pause() {
    if (failures) {
      const retry = Math.min(FIRST_RETRY * 2 ** (failures - 1), LAST_RETRY);
      return retry * (0.8 + 0.4 * Math.random());
    }
    return document.hidden ? HIDDEN : SHOWN;
  }

  document.addEventListener("visibilitychange", () => document.hidden || ask());
  window.addEventListener("pageshow", (event) => event.persisted && ask());
  window.addEventListener("online", ask);
  ask();
}

class Unreachable extends Error {}

async function fetchSensors(address, cursor) {
  const sent = performance.now();
  let response, reply;
  try {
    response = await fetch(cursor ? `${address}?since=${cursor}` : address, {
      signal: AbortSignal.timeout(PATIENCE),
    });
    reply = await response.json();
  } catch {
    throw new Unreachable(response && !response.ok ? `The server answered with status ${response.status}.` : "The server can't be reached.");
  }
  if (response.status === 401) throw new Unreachable("You are logged out. Reload this page to log in again.");
  if (!response.ok) throw new Unreachable(reply.detail ?? `The server answered with status ${response.status}.`);
  epoch = Date.parse(reply.time) - (sent + performance.now()) / 2;
  return reply;
}
