/**
 * Figures by step, in columns of numbers: cheap to keep for a long run, to look up, to smooth and to thin out.
 * A missing value is NaN in a column and null in the points of a chart.
 */

/** @typedef {[number, number|null]} Point */
/** @typedef {Float64Array|(number|null)[]} Values   one a step, NaN or null where there is none */

/** What a value of a column is outside of it. @param {number|null} v */
export const known = (v) => (v === null || v !== v ? null : v);

export class Series {
  constructor() {
    /** @type {number[]} rising */
    this.steps = [];
    /** @type {Map<string, Float64Array>} longer than `steps`, so that they can grow */
    this.columns = new Map();
    this.room = 256;
    /** rises with everything that changes a figure */
    this.version = 0;
  }

  /** Lay rows over those that are known, from the first step of theirs on. @param {number[]} steps @param {Record<string, (number|null)[]>} columns */
  lay(steps, columns) {
    if (!steps.length) return;
    const from = this.place(steps[0]);
    this.version += 1;
    this.steps.length = from;
    for (const step of steps) this.steps.push(step);
    this.grow();
    for (const column of this.columns.values()) column.fill(NaN, from, from + steps.length);
    for (const [key, values] of Object.entries(columns)) {
      const column = this.column(key);
      for (let i = 0; i < values.length; i += 1) {
        const value = values[i];
        column[from + i] = typeof value === "number" && Number.isFinite(value) ? value : NaN;
      }
    }
  }

  /** Forget what came after a step. @param {number} step */
  rewind(step) {
    this.steps.length = this.place(step + 1);
    this.version += 1;
  }

  /** Where a step stands, or would stand. @param {number} step */
  place(step) {
    let [low, high] = [0, this.steps.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.steps[middle] < step) low = middle + 1; else high = middle;
    }
    return low;
  }

  /** @param {string} key @param {number} step @returns {number|null} the value at exactly that step */
  get(key, step) {
    const i = this.place(step);
    return this.steps[i] === step ? this.value(key, i) : null;
  }

  /** The value at a step or the newest before it, else the first there is. @param {string} key @param {number} step @returns {Point|null} */
  near(key, step) {
    const column = this.columns.get(key);
    if (!column) return null;
    let i = this.place(step + 1) - 1;
    while (i >= 0 && Number.isNaN(column[i])) i -= 1;
    if (i < 0) for (i = 0; i < this.steps.length && Number.isNaN(column[i]);) i += 1;
    return i < this.steps.length ? [this.steps[i], column[i]] : null;
  }

  /** @param {string} key @param {number} i @returns {number|null} */
  value(key, i) {
    const value = this.columns.get(key)?.[i] ?? NaN;
    return Number.isNaN(value) ? null : value;
  }

  /** @param {string} key @returns {Float64Array} in the order of `steps`, NaN where there is no value; not to be written to */
  values(key) {
    const column = this.columns.get(key);
    return column ? column.subarray(0, this.steps.length) : new Float64Array(this.steps.length).fill(NaN);
  }

  /** Whether any step has it. @param {string} key */
  has(key) {
    const column = this.columns.get(key);
    for (let i = 0; column && i < this.steps.length; i += 1) if (!Number.isNaN(column[i])) return true;
    return false;
  }

  /** @param {string} prefix */
  keys(prefix) {
    return [...this.columns.keys()].filter((key) => key.startsWith(prefix)).sort();
  }

  /** @param {string} key */
  column(key) {
    const known = this.columns.get(key);
    if (known) return known;
    const made = new Float64Array(this.room).fill(NaN);
    this.columns.set(key, made);
    return made;
  }

  grow() {
    if (this.steps.length <= this.room) return;
    while (this.room < this.steps.length) this.room *= 2;
    for (const [key, old] of this.columns) {
      const made = new Float64Array(this.room).fill(NaN);
      made.set(old);
      this.columns.set(key, made);
    }
  }
}

const MANY = 3000;
const BINS = 1200;

/**
 * Places of the values that a chart of `values` needs, and no more than it can show.
 * @param {number[]} steps @param {Values} values @param {[number, number]|null} [range] steps that are shown
 * @returns {number[]}
 */
export function shown(steps, values, range = null) {
  let [first, end] = [0, steps.length];
  if (range) {
    while (first < end && steps[first] < range[0]) first += 1;
    while (end > first && steps[end - 1] > range[1]) end -= 1;
  }
  if (end - first <= MANY) return Array.from({ length: end - first }, (_, i) => first + i);
  const [from, span] = [steps[first], steps[end - 1] - steps[first] || 1];
  const column = (/** @type {number} */ i) => Math.floor(((steps[first + i] - from) / span) * BINS);
  return kept(end - first, (i) => values[first + i], column).map((i) => first + i);
}

/** Keep, of every pixel column, the first, lowest, highest and last point (gaps are kept too). */
export function thin(points, x) {
  if (points.length < 1500) return points;
  return kept(points.length, (i) => points[i][1], (i) => Math.floor(x(points[i][0]))).map((i) => points[i]);
}

/** A band with no more points than pixels tell apart; each covers all that it stands for. @param {[number, number, number][]} band */
export function thinBand(band, x) {
  if (band.length < 1500) return band;
  /** @type {[number, number, number][]} */
  const out = [];
  let at = NaN;
  for (const [step, low, high] of band) {
    const column = Math.floor(x(step));
    const last = out[out.length - 1];
    if (column !== at) { out.push([step, low, high]); at = column; continue; }
    if (low < last[1]) last[1] = low;
    if (high > last[2]) last[2] = high;
  }
  return out;
}

/**
 * Of `length` values, the places of those that a chart needs: of every column the first, lowest, highest and last,
 * and the first of every gap. One pass, no sorting.
 * @param {number} length @param {(i: number) => number|null} value @param {(i: number) => number} column
 */
export function kept(length, value, column) {
  const out = [];
  let [at, first, low, high, last, open] = [NaN, -1, -1, -1, -1, false];
  const flush = () => {
    if (first < 0) return;
    const [a, b] = low < high ? [low, high] : [high, low];
    out.push(first);
    if (a !== first) out.push(a);
    if (b !== a && b !== first) out.push(b);
    if (last !== b && last !== first) out.push(last);
    first = -1;
  };
  for (let i = 0; i < length; i += 1) {
    const v = value(i);
    if (v === null || !Number.isFinite(v)) {
      flush();
      if (!open) out.push(i);
      open = true;
      continue;
    }
    open = false;
    const c = column(i);
    if (c !== at || first < 0) { flush(); at = c; first = low = high = last = i; continue; }
    if (v < /** @type {number} */ (value(low))) low = i;
    if (v > /** @type {number} */ (value(high))) high = i;
    last = i;
  }
  flush();
  return out;
}

/** The point of a series nearest to a step at or before it, else its first. */
export function at(points, step) {
  let found = null;
  for (const point of points) {
    if (point[1] === null) continue;
    if (point[0] <= step || found === null) found = point;
    if (point[0] > step) break;
  }
  return found;
}

/**
 * Trailing mean over `window` values with the standard error of that mean; NaN where there is no value.
 * @param {Values} values @param {Values|null} errors @param {number} window
 * @returns {{mean: Float64Array, se: Float64Array}}
 */
export function smooth(values, errors, window) {
  const mean = new Float64Array(values.length).fill(NaN);
  const se = new Float64Array(values.length).fill(NaN);
  const whole = running(values, window, (v) => v);
  const square = errors ? running(errors, window, (v) => v * v) : null;
  for (let i = 0; i < values.length; i += 1) {
    if (known(values[i]) === null || !whole.count[i]) continue;
    mean[i] = whole.sum[i] / whole.count[i];
    if (square && square.count[i] > 0) se[i] = Math.sqrt(Math.max(0, square.sum[i])) / square.count[i];
  }
  return { mean, se };
}

/** Sum and count of the finite values in a trailing window, summed anew now and then so that no error piles up. */
function running(values, window, of) {
  const sum = new Float64Array(values.length);
  const count = new Float64Array(values.length);
  const one = (/** @type {number} */ i) => { const v = values[i]; return v !== null && Number.isFinite(v) ? of(v) : NaN; };
  let [s, n] = [0, 0];
  for (let i = 0; i < values.length; i += 1) {
    if (i % 4096 === 0) {
      [s, n] = [0, 0];
      for (let j = Math.max(0, i - window + 1); j < i; j += 1) { const v = one(j); if (v === v) { s += v; n += 1; } }
    } else if (i >= window) { const old = one(i - window); if (old === old) { s -= old; n -= 1; } }
    const v = one(i);
    if (v === v) { s += v; n += 1; }
    [sum[i], count[i]] = [s, n];
  }
  return { sum, count };
}
