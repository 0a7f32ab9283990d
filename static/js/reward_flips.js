/**
 * Which pairs of siblings change places as weights move. Pure numbers, nothing of a page.
 *
 * A picture's total is Σ weight × contribution, so the order of a pair is the sign of the difference of two totals. Pictures of
 * another prompt are no siblings, and one that a reward has no value for takes part in no pair.
 */

/** Pictures of a prompt that are paired with one another; of more, the newest. */
const MOST_SIBLINGS = 24;
const Z95 = 1.959963984540054;

/** Every two siblings that have a value: [i, j, i, j, …]. @param {number[]} prompts prompt of each picture @param {(i: number) => boolean} known */
export function siblings(prompts, known) {
  const groups = new Map();
  prompts.forEach((prompt, i) => {
    if (!known(i)) return;
    const group = groups.get(prompt) ?? groups.set(prompt, []).get(prompt);
    if (group.length < MOST_SIBLINGS) group.push(i);
  });
  const pairs = [];
  for (const group of groups.values()) for (let a = 0; a < group.length; a += 1) for (let b = a + 1; b < group.length; b += 1) pairs.push(group[a], group[b]);
  return Int32Array.from(pairs);
}

/** Totals of all pictures. @param {(number|null)[][]} columns contribution of each reward @param {number[]} weights @returns {Float64Array} NaN where one is missing */
export function totals(columns, weights) {
  const out = new Float64Array(columns[0]?.length ?? 0);
  columns.forEach((column, k) => {
    if (weights[k] !== 0) column.forEach((value, i) => { out[i] += weights[k] * (value ?? Number.NaN); });
  });
  return out;
}

/** Numbers of the pairs whose order is another one: not those that were or are a draw. @param {Int32Array} pairs @param {Float64Array} before @param {Float64Array} after */
export function flipped(pairs, before, after) {
  const found = [];
  for (let p = 0; p < pairs.length; p += 2) {
    const [i, j] = [pairs[p], pairs[p + 1]];
    if ((before[i] - before[j]) * (after[i] - after[j]) < 0) found.push(p / 2);
  }
  return found;
}

/**
 * Share of pairs that are flipped against `before` as one weight takes each of `grid`, the others standing.
 * @param {Int32Array} pairs @param {Float64Array} before @param {(number|null)[][]} columns @param {number[]} weights @param {number} moved which reward @param {number[]} grid
 */
export function curve(pairs, before, columns, weights, moved, grid) {
  const rest = totals(columns, weights.map((w, k) => (k === moved ? 0 : w)));
  const column = columns[moved];
  const num = pairs.length / 2;
  const [was, fixed, slope] = [new Float64Array(num), new Float64Array(num), new Float64Array(num)];
  for (let p = 0; p < num; p += 1) {
    const [i, j] = [pairs[2 * p], pairs[2 * p + 1]];
    was[p] = before[i] - before[j];
    fixed[p] = rest[i] - rest[j];
    slope[p] = (column[i] ?? Number.NaN) - (column[j] ?? Number.NaN);
  }
  return grid.map((weight) => {
    let count = 0;
    for (let p = 0; p < num; p += 1) if (was[p] * (fixed[p] + weight * slope[p]) < 0) count += 1;
    return num ? count / num : 0;
  });
}

/**
 * How many of people's pairs the totals order as people did, a draw counting half, with Wilson's interval.
 * @param {[number, number, number][]} judged first, second, whether the first was chosen @param {Float64Array} total
 */
export function agreeing(judged, total) {
  let [hits, num] = [0, 0];
  for (const [i, j, won] of judged) {
    const apart = total[i] - total[j];
    if (!Number.isFinite(apart)) continue;
    num += 1;
    hits += apart === 0 ? 0.5 : Number(apart > 0 === Boolean(won));
  }
  if (!num) return { value: null, low: 0, high: 1, num };
  const whole = num + Z95 ** 2;
  const centre = (hits + Z95 ** 2 / 2) / whole;
  const half = (Z95 / whole) * Math.sqrt((hits * (num - hits)) / num + Z95 ** 2 / 4);
  return { value: hits / num, low: Math.max(0, centre - half), high: Math.min(1, centre + half), num };
}
