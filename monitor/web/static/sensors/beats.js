// The list of heartbeats, loaded page by page when the user opens it.

import { duration, figure } from "./scale.js";
import { bothTimes, written } from "../words.js";

const PAGE = 50;

export function listBeats(details, address) {
  const body = details.querySelector("tbody"), more = details.querySelector(".more"), says = details.querySelector("[role=status]");
  let before = "", asking = false;

  async function ask() {
    if (asking) return;
    asking = true;
    says.textContent = "";
    try {
      const response = await fetch(`${address}/heartbeats?limit=${PAGE}${before && `&before=${encodeURIComponent(before)}`}`);
      if (!response.ok) throw new Error(`The server answered with status ${response.status}.`);
      const { heartbeats, next_before: next } = await response.json();
      for (const beat of heartbeats) body.append(row(beat));
      more.hidden = next === null;
      before = next ?? before;
      if (body.rows.length === 0) says.textContent = "No heartbeats.";
    } catch (error) {
      says.textContent = error instanceof TypeError ? "The server can't be reached." : error.message;
      more.hidden = false;
    } finally {
      asking = false;
    }
  }

  details.addEventListener("toggle", () => details.open && body.rows.length === 0 && ask());
  more.addEventListener("click", ask);
}

function row({ time, received, live, metrics }) {
  const line = document.createElement("tr"), at = Date.parse(time), shown = document.createElement("time");
  shown.dateTime = time;
  shown.title = bothTimes(at);
  shown.textContent = written(at);
  line.insertCell().append(shown);
  line.insertCell().textContent = live ? duration(Math.max(Date.parse(received) - at, 0)) : "sent as history";
  line.insertCell().textContent = Object.entries(metrics).map(([name, value]) => `${name} ${figure(value)}`).join(", ") || "–";
  return line;
}
