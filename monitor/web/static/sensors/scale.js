// Positions and labels of the marks on the axes.

import { written } from "../words.js";

const SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
const STEPS = [
  ...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE),
  ...[1, 2, 3, 6, 12].map((n) => n * HOUR),
  ...[1, 2, 3, 7, 14, 28, 56, 91].map((n) => n * DAY),
];

/** [moment, label] of at most `most` marks, at round times in the viewer's time zone. */
export function timeMarks(start, stop, most) {
  const step = STEPS.find((each) => (stop - start) / each <= most) ?? STEPS.at(-1);
  const marks = [];
  for (let at = localFloor(start, step); at < stop; at = localFloor(at + step + HOUR * (step >= DAY ? 2 : 0), step)) {
    if (at < start) continue;
    const midnight = new Date(at).getHours() === 0 && new Date(at).getMinutes() === 0;
    marks.push([at, midnight ? written(at).slice(5, 10) : written(at).slice(11, 16)]);
  }
  return marks;
}

function localFloor(moment, step) {
  const zone = new Date(moment).getTimezoneOffset() * MINUTE;
  const floored = Math.floor((moment - zone) / step) * step + zone;
  const shift = new Date(floored).getTimezoneOffset() * MINUTE - zone;
  return floored + (step >= HOUR ? shift : 0);
}

/** About `most` round numbers, or fewer, from `low` to `high`. */
export function figureMarks(low, high, most, whole = false) {
  const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough));
  let step = [1, 2, 5, 10].map((n) => n * power).find((each) => each >= rough);
  if (whole) step = Math.max(1, Math.round(step));
  const marks = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n += 1) marks.push(n * step);
  return marks;
}

export function figure(number) {
  return Number(number.toPrecision(4)).toLocaleString();
}

export function fromTo(from, to) {
  return `${written(from)} to ${written(to)}`;
}

/** The duration in its two largest units, in the same format as on the server. */
export function duration(length) {
  const units = [[DAY, "d"], [HOUR, "h"], [MINUTE, "min"], [SECOND, "s"]];
  for (const [n, [unit, symbol]] of units.slice(0, -1).entries()) {
    if (length < unit) continue;
    const [smaller, name] = units[n + 1], rest = Math.floor((length % unit) / smaller);
    return `${Math.floor(length / unit)} ${symbol}${rest ? ` ${rest} ${name}` : ""}`;
  }
  return `${Math.floor(length / SECOND)} s`;
}
