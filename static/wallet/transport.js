// The only door to the network: sockets of CBOR maps and HTTP, encrypted or on this machine. Python twin: wallets/agent/transport.py.
// A tab cannot set headers on a socket nor bound a frame before it has arrived; a frame that is too large cuts the line.

import * as cbor from "./cbor.js";
import {fromUtf8} from "./bytes.js";
import {WireError} from "./errors.js";
import {ServerRefused, Unreachable, WalletError, fault} from "./failures.js";
import {whole} from "./reading.js";

export const FRAME_BYTES = 64 * 1024, ROUND_FRAME_BYTES = 1024 * 1024, JSON_BYTES = 1024 * 1024, TIMEOUT_MS = 20_000;
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/** The url itself; WalletError `insecure_transport` unless it is encrypted or stays on this machine. @param {string} url */
export function checkUrl(url) {
  let parts;
  try {
    parts = new URL(url);
  } catch {
    throw new WalletError("bad_address", "This is not an address of a server.");
  }
  const plain = ["http:", "ws:"].includes(parts.protocol) && LOOPBACK.test(parts.hostname);
  if (plain || ["https:", "wss:"].includes(parts.protocol)) return url;
  throw new WalletError("insecure_transport", `The address ${parts.protocol}//${parts.hostname} is not encrypted. Use https or wss; `
    + "plain addresses work on this machine only.");
}

/** What arrives in order, and the failure that ends it. @template T */
export class Queue {
  /** @type {T[]} */ #items = [];
  /** @type {{resolve: (item: T) => void, reject: (error: Error) => void}[]} */ #waiting = [];
  /** @type {Error | null} */ #end = null;

  /** @param {T} item */
  put(item) {
    const first = this.#waiting.shift();
    if (first) first.resolve(item);
    else this.#items.push(item);
  }

  /** @param {Error} error for whoever asks once everything that arrived was taken */
  end(error) {
    this.#end ??= error;
    for (const {reject} of this.#waiting.splice(0)) reject(this.#end);
  }

  /** @returns {Promise<T>} */
  get() {
    if (this.#items.length) return Promise.resolve(/** @type {T} */ (this.#items.shift()));
    if (this.#end) return Promise.reject(this.#end);
    return new Promise((resolve, reject) => { this.#waiting.push({resolve, reject}); });
  }
}

/** One websocket carrying CBOR maps with a `t`. */
export class Socket {
  /** @param {WebSocket} raw open, binaryType "arraybuffer" @param {number} maxFrame */
  constructor(raw, maxFrame) {
    this.raw = raw;
    this.frames = new Queue();
    raw.onmessage = ({data}) => {
      try {
        this.frames.put(read(data, maxFrame));
      } catch (error) {
        this.frames.end(error);
        raw.close();
      }
    };
    raw.onclose = () => this.frames.end(cut());
    raw.onerror = () => this.frames.end(cut());
  }

  /** @param {any} message */
  send(message) {
    if (this.raw.readyState !== 1) throw cut();
    this.raw.send(cbor.encode(message));
  }

  /** The next map; Unreachable when the socket is gone or silent for so long, WalletError on anything that is no map. @returns {Promise<any>} */
  async receive(seconds = 0) {
    let timer;
    const silence = new Promise((_, reject) => {
      if (seconds) timer = setTimeout(() => reject(new Unreachable("The server went silent.", "silent")), seconds * 1000);
    });
    try {
      return await Promise.race([this.frames.get(), ...(seconds ? [silence] : [])]);
    } finally {
      clearTimeout(timer);
    }
  }

  close() {
    this.frames.end(cut());
    this.raw.onmessage = this.raw.onerror = this.raw.onclose = null;
    this.raw.close();
  }
}

const cut = () => new Unreachable("The connection was cut.", "cut");

function read(data, maxFrame) {
  if (!(data instanceof ArrayBuffer)) throw fault("The server sent text where the protocol has bytes.", "bad_frame");
  if (data.byteLength > maxFrame) throw fault("The server sent a larger frame than the protocol has.", "huge_frame");
  let message;
  try {
    message = cbor.decode(new Uint8Array(data));
  } catch (error) {
    if (error instanceof WireError) throw fault("The server sent a malformed frame.", "bad_frame");
    throw error;
  }
  if (typeof message !== "object" || message === null || typeof message.t !== "string") {
    throw fault("The server sent a frame without a type.", "bad_frame");
  }
  return message;
}

export class Transport {
  /** @param {{WebSocket?: any, fetch?: typeof fetch}} [platform] */
  constructor({WebSocket = globalThis.WebSocket, fetch = globalThis.fetch.bind(globalThis)} = {}) {
    this.WebSocket = WebSocket;
    this.fetch = fetch;
  }

  /** Open a websocket; Unreachable when nobody answers. @param {string} url @returns {Promise<Socket>} */
  async websocket(url, maxFrame = FRAME_BYTES) {
    const raw = new this.WebSocket(checkUrl(url));
    raw.binaryType = "arraybuffer";
    await new Promise((resolve, reject) => {
      const failed = () => {
        raw.onerror = raw.onclose = null; // closing what failed is told as a failure again, in Node at once
        raw.close();
        reject(new Unreachable(`No connection to ${new URL(url).host}. It is tried again.`));
      };
      const timer = setTimeout(failed, TIMEOUT_MS);
      raw.onopen = () => { clearTimeout(timer); resolve(null); };
      raw.onerror = raw.onclose = () => { clearTimeout(timer); failed(); };
    });
    return new Socket(raw, maxFrame);
  }

  /**
   * One HTTP exchange, without cookies and without following; Unreachable on network trouble, 429 and 5xx.
   * @param {string} method @param {string} url @param {{content?: Uint8Array, json?: any, most?: number}} [body]
   */
  async request(method, url, {content, json, most = JSON_BYTES} = {}) {
    const place = new URL(checkUrl(url)).host, headers = new Headers(json === undefined ? {} : {"content-type": "application/json"});
    let response, bytes;
    try {
      response = await this.fetch(url, {
        method, headers, body: json === undefined ? content : JSON.stringify(json), credentials: "omit", redirect: "manual", cache: "no-store",
        referrerPolicy: "no-referrer", signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      bytes = await whole(response.body, most, () => fault("The server sent more than it may.", "too_long"));
    } catch (error) {
      if (error instanceof WalletError) throw error;
      throw new Unreachable(`No answer from ${place}. It is tried again.`);
    }
    if (response.status === 429) throw new Unreachable(`${place} asks this wallet to slow down. It is tried again.`, "busy");
    if (response.status >= 500) throw new Unreachable(`${place} has a problem (${response.status}). It is tried again.`);
    return {status: response.type === "opaqueredirect" ? 302 : response.status, body: bytes};
  }

  /** A JSON call; ServerRefused with the server's own code and sentence on 4xx. @returns {Promise<any>} */
  async call(method, url, json = undefined) {
    const {status, body} = await this.request(method, url, {json});
    if (status >= 400) throw refusal(status, body);
    if (status >= 300) throw fault("The server points elsewhere, and a pinned server does not move.", "moved");
    try {
      return body.length ? JSON.parse(fromUtf8(body)) : {};
    } catch {
      throw fault("The server's answer is not JSON. Try again later.", "bad_answer");
    }
  }
}

function refusal(status, body) {
  try {
    const {code, detail} = JSON.parse(fromUtf8(body));
    if (typeof code === "string" && typeof detail === "string") return new ServerRefused(detail, code, status);
  } catch {/* not one of ours */}
  return new ServerRefused(`The server refused (${status}).`, "refused", status);
}
