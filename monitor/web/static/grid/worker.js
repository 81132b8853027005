// The service worker: shows push messages, and opens the page of a clicked notification.

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("push", (event) => {
  const { title, body, tag, url } = event.data.json();
  event.waitUntil((async () => {
    // An open page has shown a notification with the same tag: replace it without a new alert.
    const pages = await self.clients.matchAll({ type: "window" });
    await self.registration.showNotification(title, {
      body, tag, renotify: pages.length === 0, data: { url },
    });
  })());
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const address = new URL(event.notification.data?.url ?? "/", self.location.origin).href;
  event.waitUntil((async () => {
    const pages = await self.clients.matchAll({ type: "window" });
    const open = pages.find(({ url }) => url === address);
    await (open ? open.focus() : self.clients.openWindow(address));
  })());
});
