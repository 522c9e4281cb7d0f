// Answers that are no derivative: sums for a regression, the quality of a model, queries. Twin: collectives/training/statistics.py.
//
// Each is the mean over the wallet's records of one vector per record, of the length `outputLength` says. A symmetric matrix travels as its
// upper triangle, row by row, off-diagonal entries times √2, so that the vector's norm is the matrix's.

const KEPT_AWAY = 1e-7; // scores are kept this far from 0 and 1
const LOSS_UNIT = -Math.log(KEPT_AWAY);

/** @typedef {import("./manifest.js").Manifest} Manifest */
/** @typedef {ArrayLike<number>[]} Rows one row per record */

/**
 * Of encoded columns in [−1, 1]: their mean, their histograms, or φφᵀ with φ = (x, 1) / √(width + 1).
 * @param {Manifest} manifest @param {Rows} x
 */
export function query({kind, bins}, x) {
  const rows = x.map((row) => Array.from(row, (value) => Math.min(Math.max(value, -1), 1)));
  if (kind === "mean") return mean(rows);
  if (kind === "histogram") return mean(rows.map((row) => row.flatMap((value) => oneHot((value + 1) / 2, bins))));
  return mean(rows.map((row) => triangle(phi(row, true))));
}

/**
 * The triangle of φφᵀ, then φtᵀ row by row; φ = (features, 1 where the layer has a bias) / √k.
 * @param {Manifest} manifest @param {Rows} features @param {Rows} target
 */
export function regression({layers}, features, target) {
  const {bias} = layers[layers.length - 1];
  return mean(features.map((row, r) => {
    const own = phi(row, bias);
    return [...triangle(own), ...own.flatMap((value) => Array.from(target[r], (t) => value * t))];
  }));
}

/**
 * The quality of predictions; the parts of each vector stand in the Python twin.
 * @param {Manifest} manifest @param {Rows} scores @param {Rows} y
 */
export function evaluation({loss, bins}, scores, y) {
  return mean(scores.map((row, r) => {
    const p = Array.from(row);
    if (loss === "softmax-cross-entropy") return classes(p, y[r][0]);
    return p.flatMap((score, i) => (loss === "mse" ? number(score, y[r][i]) : yesOrNo(score, y[r][i] >= 0.5, bins)));
  }));
}

/** @param {number} score @param {number} y */
function number(score, y) {
  const error = Math.abs(score - y);
  return [Math.min(error * error, 1), Math.min(error, 1), y, y * y];
}

/** @param {number} score @param {boolean} yes @param {number} bins */
function yesOrNo(score, yes, bins) {
  const [hot, none] = [oneHot(score, bins), Array(bins).fill(0)];
  return [logLoss(yes ? score : 1 - score), Number(score >= 0.5 === yes), ...(yes ? hot : none), ...(yes ? none : hot)];
}

/** @param {number[]} p @param {number} answer */
function classes(p, answer) {
  const chosen = p.indexOf(Math.max(...p));
  const confusion = Array(p.length * p.length).fill(0);
  confusion[answer * p.length + chosen] = 1;
  return [logLoss(p[answer]), Number(chosen === answer), ...confusion];
}

/** Of the probability given to the right answer, in units of the largest loss there is. @param {number} p */
const logLoss = (p) => -Math.log(Math.min(Math.max(p, KEPT_AWAY), 1)) / LOSS_UNIT;

/** @param {number} share in [0, 1] @param {number} bins @returns {number[]} */
function oneHot(share, bins) {
  const place = Math.min(Math.max(Math.floor(share * bins), 0), bins - 1);
  return Array.from({length: bins}, (_, i) => Number(i === place));
}

/** @param {ArrayLike<number>} row @param {boolean} bias */
function phi(row, bias) {
  const whole = bias ? [...Array.from(row), 1] : Array.from(row);
  return whole.map((value) => value / Math.sqrt(whole.length));
}

/** The packed triangle of vvᵀ. @param {number[]} v */
const triangle = (v) => v.flatMap((a, i) => v.slice(i).map((b, j) => a * b * (j === 0 ? 1 : Math.SQRT2)));

/** @param {number[][]} rows */
const mean = (rows) => Float32Array.from(rows[0], (_, i) => rows.reduce((sum, row) => sum + row[i], 0) / rows.length);
