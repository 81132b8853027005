// Subscribes this browser to push messages, for when no page is open.

const ADDRESS = "/api/v1/webpush";

/** Returns whether the server can now send push messages to this browser. */
export async function subscribe({ pushManager }) {
  try {
    const answer = await fetch(`${ADDRESS}/key`);
    if (!answer.ok || !pushManager) return false;
    const { public_key: applicationServerKey } = await answer.json();
    const subscription = await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey });
    return (await send("POST", subscription)).ok;
  } catch {
    return false; // the push service or our server can't be reached
  }
}

export async function unsubscribe() {
  const registration = await navigator.serviceWorker.getRegistration("/");
  const subscription = await registration?.pushManager?.getSubscription();
  if (!subscription) return;
  await send("DELETE", { endpoint: subscription.endpoint });
  await subscription.unsubscribe();
}

function send(method, body) {
  const token = document.querySelector("meta[name=csrf-token]")?.content;
  return fetch(`${ADDRESS}/subscriptions`, {
    method,
    headers: { "Content-Type": "application/json", ...(token && { "X-CSRF-Token": token }) },
    body: JSON.stringify(body),
  });
}
