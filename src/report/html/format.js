// Quantities in words: three significant digits, a unit that fits, the same as in the terminal.

function threeDigits(value) {
  const decimals = value >= 100 ? 0 : value >= 10 ? 1 : 2;
  const text = value.toFixed(decimals);
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

function scaled(value, units, step) {
  let unit = 0;
  while (value >= step && unit + 1 < units.length) {
    value /= step;
    unit += 1;
  }
  return { number: threeDigits(value), unit: units[unit] };
}

const rateParts = (gbps) => scaled(gbps * 1e9, ["b/s", "kb/s", "Mb/s", "Gb/s", "Tb/s"], 1000);
const byteParts = (bytes) => scaled(bytes, ["B", "KiB", "MiB", "GiB", "TiB"], 1024);
const timeParts = (us) =>
  us < 1000 ? { number: threeDigits(us), unit: "µs" }
    : us < 1e6 ? { number: threeDigits(us / 1e3), unit: "ms" }
      : { number: threeDigits(us / 1e6), unit: "s" };

const inWords = (parts) => `${parts.number} ${parts.unit}`;
const rate = (gbps) => gbps === null ? null : inWords(rateParts(gbps));
const bytes = (count) => inWords(byteParts(count));
const time = (us) => us === null ? null : inWords(timeParts(us));
const seconds = (value) => `${value.toFixed(1)} s`;

// Rounded down: what falls short of the whole never reads as 100 %.
const share = (part, whole) =>
  part === null || !(whole > 0) ? null : `${Math.floor(part / whole * 100 + 1e-9)} %`;

const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

function listed(words) {
  return words.length < 2 ? words.join("")
    : `${words.slice(0, -1).join(", ")} and ${words[words.length - 1]}`;
}

// "2025-11-24T06:45:12Z" → "24 November 2025, 06:45 UTC"; anything else stays as it is.
function dateInWords(text) {
  const at = new Date(text);
  if (!/^\d{4}-\d\d-\d\dT/.test(text) || Number.isNaN(at.getTime())) return text;
  const day = new Intl.DateTimeFormat("en-GB", { dateStyle: "long", timeZone: "UTC" }).format(at);
  return `${day}, ${at.toISOString().slice(11, 16)} UTC`;
}
