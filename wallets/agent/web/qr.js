// @ts-check
/** A QR code read with the camera, where the browser can do it itself. The picture stays in the page and is never kept. */

import { button, h } from "./dom.js";

const EVERY = 200;
const LONGEST = 60_000;

/**
 * A place with a scan button, or an empty one where this browser has no detector.
 * @param {(text: string) => void} found @param {(text: string) => void} say
 */
export function scanning(found, say) {
  const place = h("div", { class: "stack" });
  offered().then((can) => {
    if (can) place.replaceChildren(h("div", {}, button("Scan the QR code", () => scan(place, found, say))));
  });
  return place;
}

async function offered() {
  const Detector = /** @type {any} */ (globalThis).BarcodeDetector;
  if (!Detector || !navigator.mediaDevices?.getUserMedia) return false;
  return (await Detector.getSupportedFormats()).includes("qr_code");
}

/** @param {any} place @param {(text: string) => void} found @param {(text: string) => void} say */
async function scan(place, found, say) {
  const detector = new (/** @type {any} */ (globalThis).BarcodeDetector)({ formats: ["qr_code"] });
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch {
    return say("The camera cannot be used. Paste the link instead.");
  }
  const video = h("video", { muted: true, playsinline: true, "aria-label": "Camera picture" });
  place.append(video);
  try {
    video.srcObject = stream;
    video.muted = true;
    await video.play();
    const text = await read(detector, video);
    if (!text) return say("No QR code was seen. Paste the link instead.");
    found(text);
    return say("The code was read. Look at it and go on.");
  } finally {
    for (const track of stream.getTracks()) track.stop();
    video.remove();
  }
}

/** @param {any} detector @param {HTMLVideoElement} video */
async function read(detector, video) {
  for (let waited = 0; waited < LONGEST; waited += EVERY) {
    const [code] = await detector.detect(video);
    if (code) return code.rawValue;
    await new Promise((done) => setTimeout(done, EVERY));
  }
  return "";
}
