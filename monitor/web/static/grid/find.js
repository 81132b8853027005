// Search, filters and order of the grid. Must match monitor/web/grid/search.py.

const WHOLE_ENOUGH = 6;

/** In lower case and without accents. */
export function fold(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}

/** A sort key that puts 10 after 9. */
export function natural(text) {
  return fold(text).replace(/[0-9]+/g, (digits) => digits.replace(/^0+/, "").padStart(20, "0"));
}

/** A sort key: by name; sensors without a name come last, by MAC address. */
export function order(sensor) {
  return `${sensor.name === null ? "1" : `0${natural(sensor.name)}`}\0${sensor.mac}`;
}

/** The text that is searched. The MAC address is separate, because it has several formats. */
export function searched({ name, site, labels }) {
  return fold([name ?? "", site ?? "", ...Object.values(labels)].join("\n"));
}

/** Returns a function that checks whether a sensor passes all filters. */
export function passing({ query, statuses, site, label }) {
  const folded = fold(query);
  const words = folded.split(/\s+/).filter(Boolean).map((word) => [word, hexadecimal(word)]);
  const whole = hexadecimal(folded);
  const [name, value] = parted(label);
  const finds = ({ text, digits }) =>
    (whole.length >= WHOLE_ENOUGH && digits.includes(whole)) ||
    words.every(([word, part]) => text.includes(word) || (part && digits.includes(part)));
  return (sensor) =>
    (statuses.size === 0 || statuses.has(sensor.status)) &&
    (!site || sensor.site === site) &&
    (!name || (Object.hasOwn(sensor.labels, name) && sensor.labels[name] === value)) &&
    finds(sensor);
}

function hexadecimal(text) {
  const digits = text.replace(/[\s:.-]/g, "");
  return /^[0-9a-f]{2,}$/.test(digits) ? digits : "";
}

function parted(label) {
  const equals = label.indexOf("=");
  return equals < 0 ? ["", ""] : [label.slice(0, equals), label.slice(equals + 1)];
}
