// The person's ledger of the tab, one call at a time.
import {budgetsOf, charge, costMicro, epsilon, rhoMicro, spent} from "../../../../static/wallet/ledger.js";
import {read} from "../../../../static/wallet/messages.js";
import {bytes, serve} from "./serve.mjs";

await serve({
  charge: async ({ledger, settings, header, ...what}) => charge(ledger, budgetsOf(settings), {header: read("header", bytes(header)), ...what}),
  spent: async ({ledger, now, which}) => spent(ledger, now, which),
  costs: async ({header, wallets}) => wallets.map((many) => costMicro(read("header", bytes(header)), many)),
  epsilon: async ({micro}) => epsilon(micro),
  rho: async ({limit}) => rhoMicro(limit),
});
