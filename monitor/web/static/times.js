// Shows times in the viewer's time zone. Their titles keep UTC.

import { written } from "./words.js";

for (const time of document.querySelectorAll("time.local")) {
  time.textContent = written(new Date(time.dateTime));
}
