// @ts-check
/**
 * The text of a QR code from its modules (ISO/IEC 18004): format and mask, codewords in their order, Reed-Solomon, modes of text.
 *
 * A matrix is a list of rows of 0 (light) and 1 (dark), without the quiet zone. What is none, or is damaged beyond repair, gives null: a camera
 * sees a hundred of those before it sees one that is good.
 */

const LEVELS = "MLHQ"; // by the two bits of the format
const PER_BLOCK = {
  L: [7, 10, 15, 20, 26, 18, 20, 24, 30, 18, 20, 24, 26, 30, 22, 24, 28, 30, 28, 28, 28, 28, 30, 30, 26, 28, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30],
  M: [10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22, 22, 24, 24, 28, 28, 26, 26, 26, 26, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28],
  Q: [13, 22, 18, 26, 18, 24, 18, 22, 20, 24, 28, 26, 24, 20, 30, 24, 28, 28, 26, 30, 28, 30, 30, 30, 30, 28, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30],
  H: [17, 28, 22, 16, 22, 28, 26, 26, 24, 28, 24, 28, 22, 24, 24, 30, 28, 28, 26, 28, 30, 24, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30],
};
const BLOCKS = {
  L: [1, 1, 1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 4, 4, 6, 6, 6, 6, 7, 8, 8, 9, 9, 10, 12, 12, 12, 13, 14, 15, 16, 17, 18, 19, 19, 20, 21, 22, 24, 25],
  M: [1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10, 10, 11, 13, 14, 16, 17, 17, 18, 20, 21, 23, 25, 26, 28, 29, 31, 33, 35, 37, 38, 40, 43, 45, 47, 49],
  Q: [1, 1, 2, 2, 4, 4, 6, 6, 8, 8, 8, 10, 12, 16, 12, 17, 16, 18, 21, 20, 23, 23, 25, 27, 29, 34, 34, 35, 38, 40, 43, 45, 48, 51, 53, 56, 59, 62, 65, 68],
  H: [1, 1, 2, 4, 4, 4, 5, 6, 8, 8, 11, 11, 16, 16, 18, 16, 19, 21, 25, 25, 25, 34, 30, 32, 35, 37, 40, 42, 45, 48, 51, 54, 57, 60, 63, 66, 70, 74, 77, 81],
};
/** Which modules a mask turns over. @type {((row: number, column: number) => boolean)[]} */
const MASKS = [
  (i, j) => (i + j) % 2 === 0, (i) => i % 2 === 0, (i, j) => j % 3 === 0, (i, j) => (i + j) % 3 === 0,
  (i, j) => (Math.floor(i / 2) + Math.floor(j / 3)) % 2 === 0, (i, j) => ((i * j) % 2) + ((i * j) % 3) === 0,
  (i, j) => (((i * j) % 2) + ((i * j) % 3)) % 2 === 0, (i, j) => (((i + j) % 2) + ((i * j) % 3)) % 2 === 0,
];
const ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
const FORMAT_MASK = 0b101010000010010, FORMAT_POLYNOMIAL = 0b10100110111, MOST_WRONG_FORMAT_BITS = 3;

/** @param {number[][]} matrix @returns {string | null} */
export function decode(matrix) {
  const size = matrix.length, version = (size - 17) / 4;
  if (!Number.isInteger(version) || version < 1 || version > 40) return null;
  const format = formatOf(matrix);
  if (!format) return null;
  const data = corrected(codewords(matrix, version, MASKS[format.mask]), version, format.level);
  return data && textOf(data, version);
}

/** Level and mask stand twice, each with its own check; the nearest of the 32 possible words counts. @param {number[][]} matrix */
function formatOf(matrix) {
  const size = matrix.length;
  /** @type {[number, number][]} */
  const around = [0, 1, 2, 3, 4, 5, 7, 8].map((column) => [8, column]), down = [7, 5, 4, 3, 2, 1, 0].map((row) => [row, 8]);
  /** @type {[number, number][]} */
  const below = Array.from({ length: 7 }, (_, i) => [size - 1 - i, 8]), right = Array.from({ length: 8 }, (_, i) => [8, size - 8 + i]);
  const words = [[...around, ...down], [...below, ...right]].map((places) => places.reduce((word, [row, column]) => (word << 1) | matrix[row][column], 0));
  let best = { wrong: MOST_WRONG_FORMAT_BITS + 1, value: 0 };
  for (let value = 0; value < 32; value += 1) {
    const wrong = Math.min(...words.map((word) => ones(word ^ formatWord(value))));
    if (wrong < best.wrong) best = { wrong, value };
  }
  return best.wrong > MOST_WRONG_FORMAT_BITS ? null : { level: /** @type {"L" | "M" | "Q" | "H"} */ (LEVELS[best.value >> 3]), mask: best.value & 7 };
}

/** @param {number} value */
function formatWord(value) {
  let rest = value << 10;
  for (let bit = 14; bit >= 10; bit -= 1) if (rest >> bit & 1) rest ^= FORMAT_POLYNOMIAL << (bit - 10);
  return ((value << 10) | rest) ^ FORMAT_MASK;
}

/** @param {number} word */
function ones(word) {
  return word.toString(2).replaceAll("0", "").length;
}

/** Rows and columns in whose crossings alignment patterns stand. @param {number} version */
export function alignments(version) {
  if (version === 1) return [];
  const number = Math.floor(version / 7) + 2, last = version * 4 + 10;
  const step = version === 32 ? 26 : Math.ceil((version * 4 + 4) / (number * 2 - 2)) * 2;
  return [6, ...Array.from({ length: number - 1 }, (_, i) => last - (number - 2 - i) * step)];
}

/** Whether a module belongs to a pattern and not to the data. @param {number} version */
function reserved(version) {
  const size = version * 4 + 17, centres = alignments(version), last = size - 7;
  const corner = (/** @type {number} */ row, /** @type {number} */ column) => (row === 6 && column === 6) || (row === 6 && column === last) || (row === last && column === 6);
  const near = (/** @type {number} */ row, /** @type {number} */ column) => centres.some((i) => Math.abs(i - row) <= 2
    && centres.some((j) => Math.abs(j - column) <= 2 && !corner(i, j)));
  return (/** @type {number} */ row, /** @type {number} */ column) => (row < 9 && column < 9) || (row < 9 && column >= size - 8) || (row >= size - 8 && column < 9)
    || row === 6 || column === 6 || (version >= 7 && ((row < 6 && column >= size - 11) || (column < 6 && row >= size - 11))) || near(row, column);
}

/** The codewords in the order they were placed: two columns at a time from the right, up and down in turn.
 * @param {number[][]} matrix @param {number} version @param {(row: number, column: number) => boolean} mask */
function codewords(matrix, version, mask) {
  const size = matrix.length, taken = reserved(version);
  /** @type {number[]} */
  const found = [];
  let word = 0, bits = 0, up = true;
  for (let right = size - 1; right > 0; right -= 2, up = !up) {
    if (right === 6) right = 5; // the column of the timing pattern stands between the pairs
    for (let step = 0; step < size; step += 1) {
      const row = up ? size - 1 - step : step;
      for (const column of [right, right - 1]) {
        if (taken(row, column)) continue;
        word = (word << 1) | (matrix[row][column] ^ Number(mask(row, column)));
        bits += 1;
        if (bits % 8 === 0) {
          found.push(word);
          word = 0;
        }
      }
    }
  }
  return found;
}

/** The data of all blocks, each repaired; null when one cannot be.
 * @param {number[]} words @param {number} version @param {"L" | "M" | "Q" | "H"} level */
function corrected(words, version, level) {
  const number = BLOCKS[level][version - 1], check = PER_BLOCK[level][version - 1];
  const short = Math.floor(words.length / number) - check, longer = words.length % number;
  /** @type {number[][]} */
  const blocks = Array.from({ length: number }, () => []);
  const sizes = blocks.map((_, i) => short + (i >= number - longer ? 1 : 0));
  let next = 0;
  for (let i = 0; i <= short; i += 1) blocks.forEach((block, b) => { if (i < sizes[b]) block.push(words[next++]); });
  for (let i = 0; i < check; i += 1) for (const block of blocks) block.push(words[next++]);
  const whole = blocks.map((block) => repaired(block, check));
  return whole.every(Boolean) ? whole.flatMap((block, b) => /** @type {number[]} */ (block).slice(0, sizes[b])) : null;
}

// --- Reed-Solomon over GF(256), x^8 + x^4 + x^3 + x^2 + 1 -------------------------------------------------------------

const EXP = new Uint8Array(512), LOG = new Uint8Array(256);
for (let i = 0, x = 1; i < 255; i += 1) {
  EXP[i] = EXP[i + 255] = x;
  LOG[x] = i;
  x = x & 128 ? (x << 1) ^ 0x11d : x << 1;
}
const times = (/** @type {number} */ a, /** @type {number} */ b) => (a && b ? EXP[LOG[a] + LOG[b]] : 0);
const over = (/** @type {number} */ a, /** @type {number} */ b) => (a ? EXP[LOG[a] + 255 - LOG[b]] : 0);
/** A polynomial, constant first, at one place. @param {number[]} polynomial @param {number} x */
const at = (polynomial, x) => polynomial.reduceRight((sum, factor) => times(sum, x) ^ factor, 0);

/** All zero for a whole block. @param {number[]} block @param {number} check number of words of the check */
function syndromesOf(block, check) {
  return Array.from({ length: check }, (_, i) => block.reduce((sum, word) => times(sum, EXP[i]) ^ word, 0));
}

/** A block with its errors taken out, or null. @param {number[]} block @param {number} check */
function repaired(block, check) {
  const syndromes = syndromesOf(block, check);
  if (syndromes.every((one) => one === 0)) return block;
  const locator = located(syndromes);
  const wrong = locator.length - 1, last = block.length - 1;
  if (wrong * 2 > check) return null;
  const places = block.map((_, i) => i).filter((i) => at(locator, EXP[(255 - ((last - i) % 255)) % 255]) === 0);
  if (places.length !== wrong) return null;
  const evaluator = syndromes.map((_, i) => locator.slice(0, i + 1).reduce((sum, factor, j) => sum ^ times(factor, syndromes[i - j]), 0));
  const slope = locator.map((factor, i) => (i % 2 ? factor : 0)).slice(1);
  const fixed = [...block];
  for (const place of places) {
    const x = EXP[(last - place) % 255], inverse = over(1, x);
    fixed[place] ^= times(x, over(at(evaluator, inverse), at(slope, inverse)));
  }
  return syndromesOf(fixed, check).every((one) => one === 0) ? fixed : null;
}

/** The polynomial whose roots say where the errors are (Berlekamp and Massey). @param {number[]} syndromes */
function located(syndromes) {
  let current = [1], previous = [1], length = 0, shift = 1, base = 1;
  for (let n = 0; n < syndromes.length; n += 1) {
    const gap = current.slice(0, length + 1).reduce((sum, factor, i) => sum ^ times(factor, syndromes[n - i]), 0);
    if (gap === 0) {
      shift += 1;
      continue;
    }
    const before = current, scale = over(gap, base), moved = [...Array(shift).fill(0), ...previous.map((factor) => times(factor, scale))];
    current = Array.from({ length: Math.max(current.length, moved.length) }, (_, i) => (current[i] ?? 0) ^ (moved[i] ?? 0));
    if (2 * length > n) {
      shift += 1;
      continue;
    }
    [previous, base, length, shift] = [before, gap, n + 1 - length, 1];
  }
  return Array.from({ length: length + 1 }, (_, i) => current[i] ?? 0);
}

// --- modes ------------------------------------------------------------------------------------------------------------

/** @param {number[]} data @param {number} version @returns {string | null} */
function textOf(data, version) {
  const bits = bitsOf(data), wide = version < 10 ? 0 : version < 27 ? 1 : 2;
  /** @type {number[]} */
  const bytes = [];
  const say = (/** @type {string} */ text) => bytes.push(...new TextEncoder().encode(text));
  while (bits.left() >= 4) {
    const mode = bits.take(4);
    if (mode === 0) break;
    if (mode === 7) {
      if (!known(bits)) return null;
    } else if (mode === 1) numeric(bits, bits.take([10, 12, 14][wide]), say);
    else if (mode === 2) alphanumeric(bits, bits.take([9, 11, 13][wide]), say);
    else if (mode === 4) for (let n = bits.take([8, 16, 16][wide]); n > 0; n -= 1) bytes.push(bits.take(8));
    else return null; // kanji, parts of a series: no link is written so
    if (bits.left() < 0) return null;
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array(bytes));
  } catch {
    return null;
  }
}

/** Whether the code names an encoding that is UTF-8 for the characters of links. @param {ReturnType<typeof bitsOf>} bits */
function known(bits) {
  return [3, 26, 27].includes(bits.take(8));
}

/** @param {ReturnType<typeof bitsOf>} bits @param {number} count @param {(text: string) => void} say */
function numeric(bits, count, say) {
  for (let left = count; left > 0 && bits.left() > 0; left -= 3) {
    const digits = Math.min(left, 3);
    say(String(bits.take([0, 4, 7, 10][digits])).padStart(digits, "0"));
  }
}

/** @param {ReturnType<typeof bitsOf>} bits @param {number} count @param {(text: string) => void} say */
function alphanumeric(bits, count, say) {
  for (let left = count; left > 0 && bits.left() > 0; left -= 2) {
    const pair = left > 1, value = bits.take(pair ? 11 : 6);
    say((pair ? ALPHANUMERIC[Math.floor(value / 45)] ?? "" : "") + (ALPHANUMERIC[pair ? value % 45 : value] ?? ""));
  }
}

/** @param {number[]} data */
function bitsOf(data) {
  let place = 0;
  return {
    /** What is beyond the end is zero and makes `left` negative. @param {number} count */
    take(count) {
      let value = 0;
      for (let i = 0; i < count; i += 1, place += 1) value = (value << 1) | ((data[place >> 3] ?? 0) >> (7 - (place & 7)) & 1);
      return value;
    },
    left: () => data.length * 8 - place,
  };
}
