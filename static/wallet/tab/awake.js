// Whether this worker was stopped for a while: a frozen tab, a laptop that slept. No twin: an agent is not stopped by whoever hosts it.

const LOOK_MS = 2000;
const ASLEEP_SECONDS = 75; // a hidden page's timers may come once a minute, and then nothing is wrong

/**
 * Calls `slept` with the seconds in which nothing could run. A clock that is set forward looks the same; then a line is opened anew in vain.
 * @param {(seconds: number) => void} slept
 */
export function watchSleep(slept, clock = Date.now) {
  let last = clock();
  return setInterval(() => {
    const now = clock(), seconds = Math.round((now - last) / 1000);
    last = now;
    if (seconds >= ASLEEP_SECONDS) slept(seconds);
  }, LOOK_MS);
}
