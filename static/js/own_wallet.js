// Adding funds from a wallet of one's own: the browser's wallet (EIP-1193) signs a permit (EIP-712), the platform carries it.
// No library: three questions to the wallet, two to this site. The sentences stand in the page, so they are translated there.
const form = document.querySelector("[data-own-wallet]");
const status = form.querySelector("[data-own-wallet-status]");
const words = form.dataset;
const REFUSED = 4001;

function say(text, kind) {
  status.textContent = text;
  status.dataset.kind = kind;
}

async function post(address, fields) {
  const body = new FormData(form);
  for (const [name, value] of Object.entries(fields)) body.set(name, value);
  let answer;
  try {
    answer = await fetch(address, { method: "POST", body, headers: { Accept: "application/json" } });
    answer = await answer.json();
  } catch {
    throw new Problem(words.offline);
  }
  if (answer.problem) throw new Problem(answer.problem);
  return answer;
}

class Problem extends Error {}

// The wallet's chain may be changed at any moment, so it is asked before and after the signature.
async function sameChain(wallet) {
  const has = Number(await wallet.request({ method: "eth_chainId" }));
  if (has !== Number(words.chain)) throw new Problem(words.otherChain.replace("{has}", has));
}

async function bring() {
  const wallet = window.ethereum;
  if (!wallet) throw new Problem(words.noWallet);
  say(words.asking, "wait");
  const [owner] = await wallet.request({ method: "eth_requestAccounts" });
  if (!owner) throw new Problem(words.refused);
  await sameChain(wallet);
  const { typed } = await post(words.permit, { owner });
  say(words.signing, "wait");
  const signature = await wallet.request({ method: "eth_signTypedData_v4", params: [owner, JSON.stringify(typed)] });
  await sameChain(wallet);
  const { nonce, deadline } = typed.message;
  const done = await post(words.bring, { owner, nonce, deadline, signature });
  location.assign(done.next);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  try {
    await bring();
  } catch (error) {
    const refused = error.code === REFUSED ? words.refused : words.failed.replace("{why}", error.message);
    say(error instanceof Problem ? error.message : refused, "bad");
    button.disabled = false;
  }
});
form.hidden = false;
