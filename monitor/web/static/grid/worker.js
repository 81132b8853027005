// Shows what is pushed while no page is open, and opens what a notice is about.

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("push", (event) => {
  const { title, body, tag, url } = event.data.json();
  event.waitUntil((async () => {
    // If a page is open, it has shown the notice already: then this one only replaces it.
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
