// Draws one sensor's history as SVG. Can be read and zoomed with pointer and keyboard.

import { figure, figureMarks, fromTo, timeMarks } from "./scale.js";

const LEFT = 44, RIGHT = 8, TOP = 14, AXIS = 22, BEATS = 120, METRIC = 110, BETWEEN = 26;
const KINDS = { down: "down", unknown: "unknown", blind: "blind", maintenance: "maintenance", paused: "paused" };

export class Chart {
  #told = null;
  #cursor = null;
  #drag = null;

  /** Calls `zoom(from, to)` with moments, and `press(event, moment)` for keys it does not handle. */
  constructor(plot, readout, { zoom, press }) {
    this.plot = plot;
    this.readout = readout;
    this.zoom = zoom;
    this.svg = make("svg", { "aria-hidden": "true" });
    plot.append(this.svg);
    new ResizeObserver(() => this.#draw()).observe(plot);
    plot.addEventListener("pointerdown", (event) => this.#grab(event));
    plot.addEventListener("pointermove", (event) => this.#follow(event));
    plot.addEventListener("pointerup", (event) => this.#release(event));
    plot.addEventListener("pointercancel", () => this.#drop());
    plot.addEventListener("pointerleave", () => this.#drag || document.activeElement === plot || this.#point(null));
    plot.addEventListener("focus", () => this.#cursor ?? this.#point(this.#last));
    plot.addEventListener("blur", () => this.#point(null));
    plot.addEventListener("keydown", (event) => {
      if (event.altKey || event.ctrlKey || event.metaKey) return;
      const step = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageDown: -12, PageUp: 12, Home: -Infinity, End: Infinity }[event.key];
      if (step && this.#told && !event.shiftKey) {
        event.preventDefault();
        this.#point(Math.min(Math.max((this.#cursor ?? this.#last) + step, 0), this.#last));
      } else {
        press(event, this.#cursor === null ? undefined : this.#middle(this.#cursor));
      }
    });
  }

  /** The maximum number of buckets at the current width. */
  get room() {
    return Math.min(Math.max(Math.floor(this.#width / 3), 60), 400);
  }

  show(told) {
    this.#told = told;
    this.#cursor = null;
    this.#draw();
    const { plot } = this;
    plot.setAttribute("aria-valuemax", this.#last);
    plot.setAttribute("aria-valuenow", this.#last);
    plot.setAttribute("aria-valuetext", this.words(this.#last));
    this.#point(document.activeElement === plot ? this.#last : null);
  }

  /** The text for one bucket. */
  words(n) {
    const { start, every, beats, metric, figures } = this.#told, from = start + n * every;
    const parts = [`${beats[n].toLocaleString()} ${beats[n] === 1 ? "heartbeat" : "heartbeats"}`];
    if (metric && figures.mean[n] !== null) {
      const spread = figures.min[n] === figures.max[n] ? "" : ` (${figure(figures.min[n])} to ${figure(figures.max[n])})`;
      parts.push(`${metric} ${figure(figures.mean[n])}${spread}`);
    }
    const held = this.#told.spans.filter((each) => each.from < from + every && each.to > from);
    for (const kind of new Set(held.map((each) => each.kind))) parts.push(KINDS[kind]);
    return `${fromTo(from, from + every)}: ${parts.join(" · ")}`;
  }

  get #last() {
    return Math.max((this.#told?.beats.length ?? 0) - 1, 0);
  }

  get #width() {
    return Math.max(this.plot.clientWidth - LEFT - RIGHT, 60);
  }

  get #height() {
    return TOP + BEATS + (this.#told?.metric ? BETWEEN + METRIC : 0);
  }

  #x(moment) {
    const { from, to } = this.#told;
    return LEFT + (this.#width * (Math.min(Math.max(moment, from), to) - from)) / (to - from);
  }

  #at(x) {
    const { from, to } = this.#told;
    return from + (Math.min(Math.max((x - LEFT) / this.#width, 0), 1) * (to - from));
  }

  #middle(n) {
    const { start, every, from, to } = this.#told;
    return Math.min(Math.max(start + (n + 0.5) * every, from), to);
  }

  #draw() {
    if (!this.#told || this.plot.clientWidth === 0) return;
    const { svg } = this, width = this.plot.clientWidth, height = this.#height + AXIS;
    svg.setAttribute("width", width);
    svg.setAttribute("height", height);
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.brush = make("rect", { class: "brush", y: TOP, height: this.#height - TOP, visibility: "hidden" });
    this.line = make("path", { class: "cursor", visibility: "hidden" });
    svg.replaceChildren(...this.#shades(), ...this.#times(), ...this.#beats(), ...this.#metric(), ...this.#flags(), this.brush, this.line);
    this.#mark();
  }

  #shades() {
    const drawn = [];
    for (const { kind, from, to } of this.#told.spans) {
      const place = { x: round(this.#x(from)), width: round(Math.max(this.#x(to) - this.#x(from), 1.5)), y: TOP, height: this.#height - TOP };
      drawn.push(make("rect", { ...place, class: `shade ${kind}` }), make("rect", { ...place, class: "hatch", fill: `url(#of-${kind})` }));
    }
    return drawn;
  }

  #times() {
    const { from, to } = this.#told, drawn = [];
    for (const [at, words] of timeMarks(from, to, Math.max(this.#width / 70, 2))) {
      const x = round(this.#x(at));
      drawn.push(make("path", { class: "rule", d: `M${x} ${TOP}V${this.#height + 4}` }));
      if (x > LEFT + 12 && x < LEFT + this.#width - 16) {
        drawn.push(make("text", { x, y: this.#height + 17, "text-anchor": "middle" }, words));
      }
    }
    return drawn;
  }

  #beats() {
    const { start, every, beats } = this.#told, floor = TOP + BEATS, most = Math.max(...beats, 1);
    let path = "";
    beats.forEach((count, n) => {
      if (count === 0) return;
      const left = this.#x(start + n * every), wide = this.#x(start + (n + 1) * every) - left;
      const tall = Math.max((BEATS * count) / most, 1);
      path += `M${round(left)} ${floor}v${round(-tall)}h${round(Math.max(wide - (wide > 3 ? 1 : 0), 0.5))}V${floor}z`;
    });
    return [
      ...this.#figures(figureMarks(0, most, 3, true), (number) => floor - (BEATS * number) / most),
      make("path", { class: "beats", d: path }),
    ];
  }

  #metric() {
    const { metric, figures } = this.#told;
    if (!metric) return [];
    const top = TOP + BEATS + BETWEEN, known = (list) => list.filter((each) => each !== null);
    const name = make("text", { class: "name", x: LEFT, y: top - 7 }, metric);
    const lows = known(figures.min), highs = known(figures.max);
    if (lows.length === 0) return [name, make("text", { x: LEFT + 8, y: top + 20 }, "no data in this time range")];
    let low = Math.min(...lows), high = Math.max(...highs);
    if (low === high) [low, high] = [low - Math.max(Math.abs(low) * 0.1, 1), high + Math.max(Math.abs(high) * 0.1, 1)];
    const y = (number) => round(top + 4 + ((METRIC - 8) * (high - number)) / (high - low));
    const drawn = [name, ...this.#figures(figureMarks(low, high, 3), y)];
    for (const run of runs(figures.mean, (a, b) => this.#apart(a, b))) {
      const x = (n) => round(this.#x(this.#middle(n)));
      const upper = run.map((n) => `${x(n)} ${y(figures.max[n])}`), lower = run.map((n) => `${x(n)} ${y(figures.min[n])}`);
      drawn.push(make("path", { class: "band", d: `M${upper.join("L")}L${lower.reverse().join("L")}Z` }));
      const mean = run.map((n) => `${x(n)} ${y(figures.mean[n])}`);
      drawn.push(make("path", { class: "mean", d: run.length > 1 ? `M${mean.join("L")}` : `M${mean[0]}h0.01` }));
    }
    return drawn;
  }

  /** Whether the metric is unknown between these buckets, so that no line connects them. */
  #apart(a, b) {
    const { every, threshold, silences } = this.#told, from = this.#middle(a), to = this.#middle(b);
    const silent = silences.some((each) => Math.min(each.to, to) - Math.max(each.from, from) > every / 2);
    return silent || (b - a - 1) * every > threshold;
  }

  #figures(marks, y) {
    return marks.flatMap((number) => [
      make("path", { class: "rule", d: `M${LEFT} ${round(y(number))}h${this.#width}` }),
      make("text", { x: LEFT - 6, y: round(y(number)) + 4, "text-anchor": "end" }, figure(number)),
    ]);
  }

  #flags() {
    const { from, to, incidents } = this.#told;
    return incidents
      .filter(({ opened }) => opened >= from && opened <= to)
      .map(({ opened }) => make("path", { class: "flag", d: `M${round(this.#x(opened) - 5)} 2h10l-5 10z` }));
  }

  #point(n) {
    this.#cursor = n;
    if (!this.#told) return;
    const words = n === null ? "" : this.words(n);
    this.readout.textContent = words;
    if (n !== null) {
      this.plot.setAttribute("aria-valuenow", n);
      this.plot.setAttribute("aria-valuetext", words);
    }
    this.#mark();
  }

  #mark() {
    if (!this.line) return;
    this.line.setAttribute("visibility", this.#cursor === null ? "hidden" : "visible");
    if (this.#cursor !== null) this.line.setAttribute("d", `M${round(this.#x(this.#middle(this.#cursor)))} ${TOP}V${this.#height}`);
  }

  #grab(event) {
    if (event.button !== 0 || !this.#told) return;
    this.plot.setPointerCapture(event.pointerId);
    this.#drag = this.#place(event);
  }

  #follow(event) {
    if (!this.#told) return;
    const x = this.#place(event), { start, every } = this.#told;
    this.#point(Math.min(Math.max(Math.floor((this.#at(x) - start) / every), 0), this.#last));
    if (this.#drag === null) return;
    const left = Math.max(Math.min(this.#drag, x), LEFT), right = Math.min(Math.max(this.#drag, x), LEFT + this.#width);
    this.brush.setAttribute("x", left);
    this.brush.setAttribute("width", Math.max(right - left, 0));
    this.brush.setAttribute("visibility", "visible");
  }

  #release(event) {
    const from = this.#drag, to = this.#place(event);
    this.#drop();
    if (from !== null && Math.abs(to - from) >= 6) this.zoom(this.#at(Math.min(from, to)), this.#at(Math.max(from, to)));
  }

  #drop() {
    this.#drag = null;
    this.brush?.setAttribute("visibility", "hidden");
  }

  #place({ clientX }) {
    return clientX - this.plot.getBoundingClientRect().left;
  }
}

/** Indices of buckets with a value, in runs that a line connects. */
function runs(values, apart) {
  const found = [];
  let last = null;
  values.forEach((value, n) => {
    if (value === null) return;
    if (last === null || apart(last, n)) found.push([]);
    found.at(-1).push(n);
    last = n;
  });
  return found;
}

function make(name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

function round(number) {
  return Math.round(number * 10) / 10;
}
