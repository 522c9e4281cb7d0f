// @ts-check
/** A QR code read with the camera or from a picture, in the page itself: nothing that is seen leaves it or is kept. */

import { button, h } from "./dom.js";
import { readCode } from "./qrcode.js";

const EVERY = 150;
const LONGEST = 60_000;
const CAMERA_PIXELS = 800;
const PICTURE_PIXELS = [2000, 1000, 500]; // a large picture of a small code first, then what is blurred or grainy

/**
 * A place with what can be done to read a code: the camera, where there is one that may be asked for, and a picture.
 * @param {(text: string) => void} found @param {(text: string) => void} say
 */
export function scanning(found, say) {
  const place = h("div", { class: "stack" }), picture = h("input", { type: "file", accept: "image/*", hidden: true });
  const camera = navigator.mediaDevices ? button("Scan the QR code", () => scan(place, told, say)) : null;
  const told = (/** @type {string} */ text) => {
    if (!text) return say("No QR code was seen. Paste the link instead.");
    found(text);
    return say("The code was read. Look at it and go on.");
  };
  picture.addEventListener("change", async () => {
    const [file] = picture.files;
    try {
      if (file) told(await fromPicture(file));
    } catch {
      say("This picture cannot be opened. Choose a photograph or a screenshot of the code.");
    }
    picture.value = ""; // the same file may be chosen again, and a field that holds one would stop the page from refreshing
  });
  place.append(h("div", { class: "row" }, camera, button("Read it from a picture", () => picture.click()), picture));
  return place;
}

/** @param {any} place @param {(text: string) => void} told @param {(text: string) => void} say */
async function scan(place, told, say) {
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1280 } } });
  } catch {
    return say("The camera cannot be used. Paste the link instead.");
  }
  let over = false;
  const video = h("video", { muted: true, playsinline: true, "aria-label": "Camera picture" });
  const stop = button("Stop the camera", () => { over = true; });
  place.append(video, h("div", {}, stop));
  try {
    video.srcObject = stream;
    video.muted = true;
    await video.play();
    stop.focus();
    const text = await watched(video, () => over);
    return over ? say("The camera is off.") : told(text);
  } finally {
    for (const track of stream.getTracks()) track.stop();
    const focused = stop === document.activeElement;
    video.remove();
    stop.parentElement.remove();
    if (focused) setTimeout(() => place.querySelector("button").focus()); // the button that began this is out of use until it is over
  }
}

/** The first code the camera shows, or nothing. @param {HTMLVideoElement} video @param {() => boolean} over */
async function watched(video, over) {
  const end = performance.now() + LONGEST;
  while (performance.now() < end && !over()) {
    const text = seen(video, video.videoWidth, video.videoHeight, CAMERA_PIXELS);
    if (text) return text;
    await new Promise((done) => setTimeout(done, EVERY));
  }
  return "";
}

/** @param {File} file */
async function fromPicture(file) {
  const bitmap = await createImageBitmap(file);
  try {
    for (const most of PICTURE_PIXELS) {
      const text = seen(bitmap, bitmap.width, bitmap.height, most);
      if (text) return text;
    }
    return "";
  } finally {
    bitmap.close();
  }
}

/** What a picture shows once its longer side has at most so many pixels. @param {CanvasImageSource} source @param {number} width @param {number} height @param {number} most */
function seen(source, width, height, most) {
  const scale = Math.min(1, most / Math.max(width, height)), canvas = h("canvas", { width: Math.round(width * scale), height: Math.round(height * scale) });
  if (!canvas.width || !canvas.height) return null; // a camera that has no picture yet
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  return readCode(context.getImageData(0, 0, canvas.width, canvas.height).data, canvas.width, canvas.height);
}
