// Keeps a public page up to date, and shows a warning if it can't.

import { written } from "../words.js";

const EVERY = 30_000, AGAIN = 10_000, PATIENCE = 15_000, LATE = 75_000;

const at = (id) => document.getElementById(id);
const main = document.querySelector("main"), lost = at("lost"), told = new Map();

let answeredAt = Date.now(), trouble = "", timer = 0;
let said = document.querySelector(".summary").textContent.trim();

async function ask() {
  clearTimeout(timer);
  if (document.hidden) return;
  try {
    const response = await fetch(main.dataset.now, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
    trouble = response.ok ? "" : response.status === 404 ? "This page doesn't exist or its link was replaced." : "The server can't read the status right now.";
    if (response.ok) show(await response.text());
  } catch {
    trouble = "The server can't be reached.";
  }
  judge();
  timer = setTimeout(ask, trouble ? AGAIN : EVERY);
}

/** Replaces only changed sections, so that the scroll position stays the same. */
function show(text) {
  const board = at("board"), fresh = document.createElement("div");
  fresh.innerHTML = text;
  for (const section of [...board.children]) if (!fresh.querySelector(`#${section.id}`)) section.remove();
  for (const section of [...fresh.children]) {
    const old = at(section.id), was = told.get(section.id);
    told.set(section.id, section.outerHTML);
    if (old && was === section.outerHTML) continue;
    localise(section);
    if (old) old.replaceWith(section);
    else board.append(section);
  }
  answeredAt = Date.now();
  const summary = board.querySelector(".summary").textContent.trim();
  if (summary !== said) at("said").textContent = said = summary;
}

function judge() {
  const late = !trouble && Date.now() - answeredAt > LATE ? "The server has not answered yet." : trouble;
  const words = late && `${late} This page shows data from ${written(answeredAt)}.`;
  if (lost.textContent !== words) lost.textContent = words;
  lost.hidden = !words;
  document.documentElement.dataset.live = words ? "no" : "yes";
  document.title = `${words ? "⚠ " : ""}${said} · ${document.querySelector("h1").textContent}`;
}

function localise(element) {
  for (const time of element.querySelectorAll("time.local")) time.textContent = written(new Date(time.dateTime));
}

localise(main);
judge();
timer = setTimeout(ask, EVERY);
setInterval(judge, 1_000);
document.addEventListener("visibilitychange", ask);
window.addEventListener("pageshow", (event) => event.persisted && ask());
window.addEventListener("online", ask);
