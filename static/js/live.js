// The live page: the server sends the changed part over a socket; this puts it in place and says phase changes.
import { drawChart } from "./chart.js";

const place = document.getElementById("live");
const status = document.querySelector("[data-live-status]");
const pause = document.querySelector("[data-live-pause]");
const calm = 400;
let paused = false;
let waiting = null;
let lastPhase = "";
let tries = 0;
let timer = null;

function show(html) {
  if (paused) {
    waiting = html;
    return;
  }
  waiting = null; // older than this one, or this one itself
  const open = [...place.querySelectorAll("details")].map((d) => d.open);
  const successor = successorOf(document.activeElement);
  place.innerHTML = html;
  place.querySelectorAll("details").forEach((d, i) => (d.open = open[i] ?? d.open));
  successor?.()?.focus({ preventScroll: true });
  const part = place.firstElementChild;
  document.title = document.title.replace(/^[^·]*/, `${part.dataset.title} `);
  const phase = part.dataset.phase.replace(/, [^,]*$/, "");
  if (phase !== lastPhase) status.textContent = lastPhase = phase;
  const verbs = part.dataset.verbs.split(" ");
  for (const verb of document.querySelectorAll("[data-verb]")) verb.hidden = !verbs.includes(verb.dataset.verb);
  drawChart(place);
}

// Finds, in the new part, what stands where something with the focus stood: a link by its address, all else by its place.
function successorOf(focused) {
  if (!place.contains(focused)) return null;
  const href = focused.getAttribute("href");
  const all = () => [...place.querySelectorAll(href ? "a[href]" : "summary, [tabindex]")];
  const index = all().indexOf(focused);
  return () => (href ? all().find((link) => link.getAttribute("href") === href) : all()[index]);
}

// Many small changes in a moment become one.
function soon(html) {
  clearTimeout(timer);
  timer = setTimeout(() => show(html), calm);
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${location.host}${place.dataset.live}`);
  socket.addEventListener("message", (event) => {
    tries = 0;
    soon(event.data);
  });
  socket.addEventListener("close", () => {
    tries += 1;
    if (tries > 3) poll();
    else setTimeout(connect, 1000 * tries);
  });
}

// Where no socket gets through, ask now and then.
async function poll() {
  try {
    const answer = await fetch(place.dataset.fallback, { headers: { "X-Requested-With": "fetch" } });
    if (answer.ok) show(await answer.text());
  } finally {
    setTimeout(poll, 5000);
  }
}

pause.hidden = false;
const word = pause.textContent;
pause.addEventListener("click", () => {
  paused = !paused;
  pause.textContent = paused ? pause.dataset.resume : word;
  pause.setAttribute("aria-pressed", String(paused));
  if (!paused && waiting) show(waiting);
});

drawChart(place);
connect();
