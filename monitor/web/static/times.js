// Shows times in the viewer's time zone. Their titles keep UTC.

const clocks = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

for (const time of document.querySelectorAll("time.local")) {
  time.textContent = clocks.format(new Date(time.dateTime));
}
