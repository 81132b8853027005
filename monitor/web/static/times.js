// Moments by the viewer's clocks; UTC stays in their titles.

const clocks = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

for (const time of document.querySelectorAll("time.local")) {
  time.textContent = clocks.format(new Date(time.dateTime));
}
