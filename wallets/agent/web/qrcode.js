// @ts-check
/**
 * A QR code found in a picture: what is dark, three finder patterns, the fourth corner, the modules between them. `qrdecode.js` reads the modules.
 *
 * Pictures are as a canvas gives them, four bytes to a pixel. Two ways to tell dark from light are tried, because a screen's picture and a
 * camera's ask for different ones: by the whole picture, and by what surrounds each pixel.
 */

import { decode } from "./qrdecode.js";

const MOST_CANDIDATES = 12; // beyond that the picture is noise, and all triples of it would take long
const AROUND = 1 / 8; // of the longer side: what a pixel is compared with
const DARKER = 0.92;
const TIMED = 0.8;
const RUNS = [1, 1, 3, 1, 1];

/** @typedef {{dark: Uint8Array, width: number, height: number}} Picture 1 for a dark pixel */
/** @typedef {{x: number, y: number}} Point pixels from the top left, the middle of the first one at 0.5 */
/** @typedef {Point & {module: number, seen: number}} Finder `module`: the width of one module in pixels; `seen`: in how many lines */

/** The text of the QR code in a picture, or null. @param {Uint8ClampedArray} rgba @param {number} width @param {number} height @returns {string | null} */
export function readCode(rgba, width, height) {
  const grey = greyOf(rgba, width * height);
  for (const separate of [globally, locally]) {
    const picture = { dark: separate(grey, width, height), width, height };
    for (const three of triples(finders(picture))) {
      const text = fromTriple(picture, three);
      if (text !== null) return text;
    }
  }
  return null;
}

/** @param {Uint8ClampedArray} rgba @param {number} pixels */
function greyOf(rgba, pixels) {
  const grey = new Uint8Array(pixels);
  for (let i = 0; i < pixels; i += 1) grey[i] = (rgba[4 * i] * 77 + rgba[4 * i + 1] * 151 + rgba[4 * i + 2] * 28) >> 8;
  return grey;
}

/** The threshold that separates two groups best (Otsu). @param {Uint8Array} grey */
function globally(grey) {
  const counts = new Array(256).fill(0);
  for (const value of grey) counts[value] += 1;
  const all = counts.reduce((sum, count, value) => sum + count * value, 0);
  let below = 0, sum = 0, best = -1, threshold = 128;
  for (let value = 0; value < 255; value += 1) {
    below += counts[value];
    sum += counts[value] * value;
    const above = grey.length - below;
    if (!below || !above) continue;
    const apart = below * above * (sum / below - (all - sum) / above) ** 2;
    if (apart > best) [best, threshold] = [apart, value];
  }
  return grey.map((value) => Number(value <= threshold));
}

/** Darker than what surrounds it, by sums over rectangles. @param {Uint8Array} grey @param {number} width @param {number} height */
function locally(grey, width, height) {
  const wide = width + 1, sums = new Float64Array(wide * (height + 1));
  for (let y = 0; y < height; y += 1) {
    for (let x = 0, row = 0; x < width; x += 1) {
      row += grey[y * width + x];
      sums[(y + 1) * wide + x + 1] = sums[y * wide + x + 1] + row;
    }
  }
  const reach = Math.max(4, Math.round(Math.max(width, height) * AROUND / 2)), dark = new Uint8Array(grey.length);
  for (let y = 0; y < height; y += 1) {
    const top = Math.max(0, y - reach), bottom = Math.min(height, y + reach + 1);
    for (let x = 0; x < width; x += 1) {
      const left = Math.max(0, x - reach), right = Math.min(width, x + reach + 1);
      const sum = sums[bottom * wide + right] - sums[top * wide + right] - sums[bottom * wide + left] + sums[top * wide + left];
      dark[y * width + x] = Number(grey[y * width + x] < DARKER * sum / ((bottom - top) * (right - left)));
    }
  }
  return dark;
}

// --- finder patterns: dark, light, dark, light, dark as 1 : 1 : 3 : 1 : 1 in every direction -------------------------------

/** @param {Picture} picture @returns {Finder[]} the likeliest first */
function finders(picture) {
  /** @type {Finder[]} */
  const found = [];
  for (let y = 0; y < picture.height; y += 1) {
    for (const middle of patterns(picture, y)) {
      const one = confirmed(picture, middle, y);
      if (one) merge(found, one);
    }
  }
  return found.filter((one) => one.seen > 1).sort((a, b) => b.seen - a.seen).slice(0, MOST_CANDIDATES);
}

/** Where a line of the picture crosses what may be a finder pattern: the middles of the dark run of three. @param {Picture} picture @param {number} y */
function patterns({ dark, width }, y) {
  /** @type {number[]} */
  const found = [], ends = [];
  for (let x = 1, from = y * width; x <= width; x += 1) {
    if (x < width && dark[from + x] === dark[from + x - 1]) continue;
    ends.push(x);
    if (!dark[from + x - 1] || ends.length < 5) continue;
    const [start, ...last] = [ends.at(-6) ?? 0, ...ends.slice(-5)];
    if (moduleOf(last.map((end, i) => end - (i ? last[i - 1] : start)))) found.push((last[1] + last[2]) / 2);
  }
  return found;
}

/** The module's width when five runs are a finder's, else 0. @param {number[]} runs */
function moduleOf(runs) {
  const module = runs.reduce((sum, run) => sum + run, 0) / 7;
  return module >= 1 && runs.every((run, i) => Math.abs(run - RUNS[i] * module) < RUNS[i] * module * 0.5 + 0.5) ? module : 0;
}

/** The pattern around a point, crossed upright and then level again through its true middle. @param {Picture} picture @param {number} x @param {number} y @returns {Finder | null} */
function confirmed(picture, x, y) {
  const upright = crossing(picture, x, y, 0, 1);
  if (!upright) return null;
  const level = crossing(picture, x, upright.y, 1, 0);
  if (!level || level.module > 2 * upright.module || upright.module > 2 * level.module) return null;
  return { x: level.x, y: upright.y, module: (level.module + upright.module) / 2, seen: 1 };
}

/** The five runs through a point along a direction, their middle and their module.
 * @param {Picture} picture @param {number} x @param {number} y @param {number} dx @param {number} dy */
function crossing(picture, x, y, dx, dy) {
  const px = Math.floor(x), py = Math.floor(y);
  const runs = (/** @type {number} */ way) => {
    let at = way === 1 ? 0 : 1; // the pixel itself counts once
    return [1, 0, 1].map((dark) => {
      const from = at;
      while (pixel(picture, px + way * at * dx, py + way * at * dy) === dark) at += 1;
      return at - from;
    });
  };
  const [ahead, lightAhead, darkAhead] = runs(1), [behind, lightBehind, darkBehind] = runs(-1);
  const module = moduleOf([darkBehind, lightBehind, ahead + behind, lightAhead, darkAhead]), shift = (ahead - behind) / 2;
  return module ? { x: dx ? px + shift : x, y: dy ? py + shift : y, module } : null;
}

/** 1 dark, 0 light, -1 outside. @param {Picture} picture @param {number} x @param {number} y */
function pixel({ dark, width, height }, x, y) {
  return x >= 0 && y >= 0 && x < width && y < height ? dark[y * width + x] : -1;
}

/** One pattern is crossed by many lines: they are one. @param {Finder[]} found @param {Finder} one */
function merge(found, one) {
  const same = found.find((other) => Math.hypot(other.x - one.x, other.y - one.y) < 2 * other.module && Math.abs(other.module - one.module) <= other.module / 2 + 0.5);
  if (!same) {
    found.push(one);
    return;
  }
  const mean = (/** @type {number} */ a, /** @type {number} */ b) => (a * same.seen + b) / (same.seen + 1);
  Object.assign(same, { x: mean(same.x, one.x), y: mean(same.y, one.y), module: mean(same.module, one.module), seen: same.seen + 1 });
}

/** Three that may be the corners of one code, the likeliest first: alike in size, two sides of one length, square to each other.
 * @param {Finder[]} found @returns {{corner: Finder, right: Finder, below: Finder}[]} */
function triples(found) {
  /** @type {{wrong: number, three: {corner: Finder, right: Finder, below: Finder}}[]} */
  const scored = [];
  found.forEach((a, i) => found.slice(i + 1).forEach((b, j) => found.slice(i + j + 2).forEach((c) => {
    for (const [corner, one, other] of [[a, b, c], [b, a, c], [c, a, b]]) {
      const u = { x: one.x - corner.x, y: one.y - corner.y }, v = { x: other.x - corner.x, y: other.y - corner.y };
      const long = Math.hypot(u.x, u.y), wide = Math.hypot(v.x, v.y), module = (corner.module + one.module + other.module) / 3;
      const skew = Math.abs(u.x * v.x + u.y * v.y) / (long * wide), uneven = Math.abs(long - wide) / Math.max(long, wide);
      const unlike = Math.max(...[corner, one, other].map((finder) => Math.abs(finder.module - module))) / module;
      if (skew > 0.5 || uneven > 0.5 || unlike > 0.5 || Math.min(long, wide) < 12 * module) continue;
      const turned = u.x * v.y - u.y * v.x > 0;
      scored.push({ wrong: skew + uneven + unlike, three: { corner, right: turned ? one : other, below: turned ? other : one } });
    }
  })));
  return scored.sort((a, b) => a.wrong - b.wrong).slice(0, MOST_CANDIDATES).map(({ three }) => three);
}

// --- modules -----------------------------------------------------------------------------------------------------------

/** @param {Picture} picture @param {{corner: Finder, right: Finder, below: Finder}} three */
function fromTriple(picture, { corner, right, below }) {
  const sides = [[corner, right], [corner, below]];
  const module = sides.reduce((sum, [a, b]) => sum + between(picture, a, b) + between(picture, b, a), 0) / 4;
  const across = sides.reduce((sum, [a, b]) => sum + Math.hypot(b.x - a.x, b.y - a.y), 0) / 2 / module;
  const likely = Math.round((across + 7 - 17) / 4);
  for (const version of [likely, likely - 1, likely + 1]) {
    if (version < 1 || version > 40) continue;
    const size = version * 4 + 17;
    for (const fourth of fourths(picture, corner, right, below, size, module)) {
      const place = mapping(size, corner, right, below, fourth);
      if (!timed(picture, size, place)) continue;
      const matrix = sampled(picture, size, place);
      const text = decode(matrix) ?? decode(matrix[0].map((_, column) => matrix.map((row) => row[column]))); // or a mirror's picture
      if (text !== null) return text;
    }
  }
  return null;
}

/** A module's width along the line from one finder to another, which a turned code's rows do not tell: seven modules lie between the finder's edges.
 * @param {Picture} picture @param {Finder} finder @param {Finder} other */
function between(picture, finder, other) {
  const far = Math.hypot(other.x - finder.x, other.y - finder.y), step = 0.25;
  const edge = (/** @type {number} */ way) => {
    const dx = way * (other.x - finder.x) / far, dy = way * (other.y - finder.y) / far;
    let gone = 0, expected = 1;
    for (let turns = 0; turns < 3; gone += step) {
      if (gone > 8 * finder.module) return 3.5 * finder.module;
      if (pixel(picture, Math.floor(finder.x + gone * dx), Math.floor(finder.y + gone * dy)) === expected) continue;
      turns += 1;
      expected = 1 - expected;
    }
    return gone;
  };
  return (edge(1) + edge(-1)) / 7;
}

/** The fourth point and where it stands in the code: the last alignment pattern where it is seen, else the corner of the parallelogram.
 * @param {Picture} picture @param {Point} corner @param {Point} right @param {Point} below @param {number} size @param {number} module
 * @returns {{point: Point, place: number}[]} */
function fourths(picture, corner, right, below, size, module) {
  const far = { x: right.x + below.x - corner.x, y: right.y + below.y - corner.y };
  const plain = { point: far, place: size - 3.5 };
  if (size < 25) return [plain];
  const share = 3 / (size - 7), guess = { x: far.x + (corner.x - far.x) * share, y: far.y + (corner.y - far.y) * share };
  return [...aligned(picture, guess, module).map((point) => ({ point, place: size - 6.5 })), plain];
}

/** Middles of what looks like an alignment pattern near a guess: a dark module in a light ring in a dark one. The nearest first.
 * @param {Picture} picture @param {Point} guess @param {number} module @returns {Point[]} */
function aligned(picture, guess, module) {
  const reach = Math.ceil(module * 6);
  /** @type {{point: Point, far: number}[]} */
  const found = [];
  for (let dy = -reach; dy <= reach; dy += 1) {
    for (let dx = -reach; dx <= reach; dx += 1) {
      const x = Math.floor(guess.x) + dx, y = Math.floor(guess.y) + dy;
      if (pixel(picture, x, y) !== 1) continue;
      const level = ringed(picture, x, y, 1, 0, module), upright = ringed(picture, x, y, 0, 1, module);
      if (level === null || upright === null) continue;
      const point = { x: x + level, y: y + upright };
      if (!found.some((other) => Math.hypot(other.point.x - point.x, other.point.y - point.y) < module)) found.push({ point, far: Math.hypot(dx, dy) });
    }
  }
  return found.sort((a, b) => a.far - b.far).slice(0, 4).map(({ point }) => point);
}

/** How far the middle of the dark run at a pixel is from the pixel's beginning, when it is one module long and has a light one on both sides; else null.
 * @param {Picture} picture @param {number} x @param {number} y @param {number} dx @param {number} dy @param {number} module */
function ringed(picture, x, y, dx, dy, module) {
  const reach = [1, -1].map((way) => {
    let at = 1;
    while (at < 3 * module && pixel(picture, x + way * at * dx, y + way * at * dy) === 1) at += 1;
    const dark = at;
    while (at < 6 * module && pixel(picture, x + way * at * dx, y + way * at * dy) === 0) at += 1;
    return { dark, light: at - dark };
  });
  const middle = reach[0].dark + reach[1].dark - 1;
  const fits = (/** @type {number} */ run) => Math.abs(run - module) <= module * 0.6 + 0.5;
  return fits(middle) && reach.every(({ light }) => fits(light)) ? (reach[0].dark - reach[1].dark + 1) / 2 : null;
}

/** From the code's modules to the picture's pixels: the projection that takes four points of the one to four of the other.
 * @param {number} size @param {Point} corner @param {Point} right @param {Point} below @param {{point: Point, place: number}} fourth */
function mapping(size, corner, right, below, { point, place }) {
  const from = [[3.5, 3.5], [size - 3.5, 3.5], [3.5, size - 3.5], [place, place]], to = [corner, right, below, point];
  const rows = from.flatMap(([u, v], i) => [[u, v, 1, 0, 0, 0, -u * to[i].x, -v * to[i].x, to[i].x], [0, 0, 0, u, v, 1, -u * to[i].y, -v * to[i].y, to[i].y]]);
  const [a, b, c, d, e, f, g, h] = solved(rows);
  return (/** @type {number} */ u, /** @type {number} */ v) => ({ x: (a * u + b * v + c) / (g * u + h * v + 1), y: (d * u + e * v + f) / (g * u + h * v + 1) });
}

/** Linear equations, each row with its right side at the end (Gauss, the largest pivot first). @param {number[][]} rows */
function solved(rows) {
  const n = rows.length;
  for (let column = 0; column < n; column += 1) {
    const best = rows.slice(column).reduce((most, row, i) => (Math.abs(row[column]) > Math.abs(rows[most][column]) ? column + i : most), column);
    [rows[column], rows[best]] = [rows[best], rows[column]];
    for (let row = 0; row < n; row += 1) {
      if (row === column) continue;
      const share = rows[row][column] / rows[column][column];
      rows[row] = rows[row].map((value, i) => value - share * rows[column][i]);
    }
  }
  return rows.map((row, i) => row[n] / row[i]);
}

/** Whether dark and light alternate between the finders, as they do in every code: what is none is put aside before it is read in full.
 * @param {Picture} picture @param {number} size @param {(u: number, v: number) => Point} place */
function timed(picture, size, place) {
  const between = Array.from({ length: size - 16 }, (_, i) => i + 8);
  const fits = (/** @type {Point} */ { x, y }, /** @type {number} */ i) => pixel(picture, Math.floor(x), Math.floor(y)) === (i + 1) % 2;
  const right = between.filter((i) => fits(place(i + 0.5, 6.5), i)).length + between.filter((i) => fits(place(6.5, i + 0.5), i)).length;
  return right >= TIMED * 2 * between.length;
}

/** Each module by the majority of five places in it. @param {Picture} picture @param {number} size @param {(u: number, v: number) => Point} place */
function sampled(picture, size, place) {
  const spots = [[0.5, 0.5], [0.35, 0.5], [0.65, 0.5], [0.5, 0.35], [0.5, 0.65]];
  return Array.from({ length: size }, (_, row) => Array.from({ length: size }, (__, column) => {
    const dark = spots.filter(([u, v]) => {
      const { x, y } = place(column + u, row + v);
      return pixel(picture, Math.floor(x), Math.floor(y)) === 1;
    });
    return Number(dark.length > 2);
  }));
}
