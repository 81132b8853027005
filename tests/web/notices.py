"""The notices that a browser shows.

Chromium forgets a notice if `getNotifications` is called while the notice is being shown. So tests
wait until `shown` lists it, and only then ask for `notices`.
"""

from playwright.sync_api import Page, Worker

RECORD = """(() => {
  self.shown = [];
  const show = ServiceWorkerRegistration.prototype.showNotification;
  ServiceWorkerRegistration.prototype.showNotification = async function (title, options) {
    await show.call(this, title, options);
    self.shown.push(title);
  };
})()"""
"""For `add_init_script` of a context, or `evaluate` of a service worker."""

_NOTICES = """async () => {
  const registration = await navigator.serviceWorker.ready;
  const shown = await registration.getNotifications();
  return shown.map(({ title, body, tag, data }) => ({ title, body, tag, url: data.url }));
}"""


def shown(*places: Page | Worker) -> list[str]:
    """The titles that these pages or workers have shown since `RECORD` ran there, sorted."""
    return sorted(title for place in places for title in place.evaluate("self.shown"))


def was_shown(place: Page | Worker, title: str) -> bool:
    """Whether `shown` lists a title."""
    return title in shown(place)


def notices(page: Page) -> list[dict[str, str]]:
    """Those that the browser shows now: title, body, tag, url."""
    found: list[dict[str, str]] = page.evaluate(_NOTICES)
    return found
