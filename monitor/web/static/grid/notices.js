// Browser notifications when a sensor goes down or recovers. The bell turns them on. Each incident
// is shown only once, even if several pages are open.

import { subscribe, unsubscribe } from "./push.js";

const WANTED = "notices", TOLD = "notices-told";
const MOST_TOLD = 500, MOST_AT_ONCE = 3, MOST_NAMES = 8;

const SAYS = {
  impossible: "Browsers show notifications only for pages on https or localhost.",
  denied: "Your browser blocks notifications from this page. Allow them in the browser's settings for this page.",
  open: "You get a notification when a sensor goes down or recovers, while a page is open.",
  always: "You get a notification when a sensor goes down or recovers, even if no page is open.",
  off: "Notifications are off.",
};

export class Notices {
  #bell;
  #says;

  constructor(bell, says) {
    this.#bell = bell;
    this.#says = says;
    bell.hidden = false;
    bell.addEventListener("click", () => this.#toggle());
    window.addEventListener("storage", ({ key }) => key === WANTED && this.#show());
    document.addEventListener("click", ({ target }) => bell.contains(target) || this.#say(""));
    if (this.#show()) navigator.serviceWorker.register("/worker.js");
  }

  /** Shows the events from fleet.js, unless another page has shown them. */
  async tell(events) {
    if (!this.#on || events.length === 0) return;
    const now = Date.now();
    const loud = events.filter(({ sensor }) => !(sensor.silencedUntil > now));
    const claimed = await claim(loud);
    const { showNotification, registration } = await shower();
    for (const notice of notices(claimed)) showNotification.call(registration, notice.title, notice);
  }

  get #on() {
    return "Notification" in window && Notification.permission === "granted" &&
      localStorage.getItem(WANTED) === "on";
  }

  #show() {
    this.#bell.ariaPressed = this.#on;
    this.#bell.title = this.#on ? "Notifications are on" : "Turn on notifications";
    return this.#on;
  }

  #say(what) {
    this.#says.textContent = SAYS[what] ?? "";
  }

  async #toggle() {
    if (!("Notification" in window) || !navigator.serviceWorker) return this.#say("impossible");
    if (this.#on) {
      localStorage.setItem(WANTED, "off");
      this.#show();
      this.#say("off");
      return unsubscribe();
    }
    if ((await Notification.requestPermission()) !== "granted") return this.#say("denied");
    localStorage.setItem(WANTED, "on");
    this.#show();
    this.#say("open");
    const registration = await navigator.serviceWorker.register("/worker.js");
    if (await subscribe(registration)) this.#say("always");
  }
}

async function shower() {
  const registration = await navigator.serviceWorker.ready;
  return { registration, showNotification: registration.showNotification };
}

/** The events that no other page has shown. */
async function claim(events) {
  return navigator.locks.request(TOLD, () => {
    const told = new Set(JSON.parse(localStorage.getItem(TOLD) ?? "[]"));
    const fresh = events.filter((event) => !told.has(keyOf(event)));
    const kept = [...told, ...fresh.map(keyOf)].slice(-MOST_TOLD);
    localStorage.setItem(TOLD, JSON.stringify(kept));
    return fresh;
  });
}

function keyOf({ kind, sensor, since }) {
  return `${kind} ${sensor.mac} ${since}`;
}

/** One notification per tag and kind; if there are many, one per kind. */
function notices(events) {
  const made = [];
  for (const [kind, verb] of [["down", "down"], ["recovered", "up again"]]) {
    const matters = Map.groupBy(events.filter((event) => event.kind === kind), tagOf);
    const apart = matters.size <= MOST_AT_ONCE ? [...matters] : [[`many ${kind}`, [...matters.values()].flat()]];
    for (const [tag, group] of apart) made.push({ tag, renotify: true, ...words(group, verb) });
  }
  return made;
}

/** The same tag as in the push message, so that one notification replaces the other. */
function tagOf({ sensor }) {
  return sensor.tag ?? sensor.mac;
}

function words(group, verb) {
  const named = group.map(({ sensor }) => sensor.name ?? sensor.mac);
  const places = new Set(group.map(({ sensor }) => sensor.site).filter(Boolean));
  const where = places.size === 1 ? ` at ${[...places][0]}` : "";
  if (group.length === 1) {
    return { title: `${named[0]} is ${verb}${where}`, data: { url: `/sensors/${group[0].sensor.mac}` } };
  }
  const more = named.length > MOST_NAMES ? ` and ${named.length - MOST_NAMES} more` : "";
  return {
    title: `${named.length} sensors are ${verb}${where}`,
    body: named.slice(0, MOST_NAMES).join(", ") + more,
    data: { url: verb === "down" ? "/?status=down" : "/" },
  };
}
