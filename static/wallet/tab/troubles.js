// Why this wallet has no line to its server, in a sentence that says what to do. Twin: none; an agent's log says it in its own words.

import {REFUSALS} from "../refusals.js";

const TROUBLES = {
  clock: `${REFUSALS.clock_skew} Set the clock of this machine; your wallet then goes on by itself.`,
  peer_not_trusted: `${REFUSALS.wrong_server} Somebody may stand between you and the server: ask its operator before you go on.`,
  bad_frame: `${REFUSALS.malformed_frame} The line was cut; your wallet tries again by itself.`,
  huge_frame: `${REFUSALS.huge_frame} Your wallet tries again by itself.`,
  silent: "The server has gone silent. Your wallet tries again by itself.",
};
const DEFAULT = "The server does not answer. Your wallet tries again by itself; nothing is lost.";

/** @param {string} code of the failure that ended the line */
export const troubleOf = (code) => TROUBLES[code] ?? DEFAULT;
