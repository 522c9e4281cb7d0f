// Reads codes with the pages' own modules: {"matrices": [rows of "0" and "1"], "pictures": [{width, height, grey: base64}]} in, their texts out.
import { readFileSync } from "node:fs";
import { readCode } from "../../../../wallets/agent/web/qrcode.js";
import { decode } from "../../../../wallets/agent/web/qrdecode.js";

const { matrices = [], pictures = [] } = JSON.parse(readFileSync(0, "utf8"));
const rgba = (grey) => Uint8ClampedArray.from({ length: grey.length * 4 }, (_, i) => (i % 4 === 3 ? 255 : grey[i >> 2]));
process.stdout.write(JSON.stringify({
  matrices: matrices.map((rows) => decode(rows.map((row) => [...row].map(Number)))),
  pictures: pictures.map(({ width, height, grey }) => readCode(rgba(Buffer.from(grey, "base64")), width, height)),
}));
