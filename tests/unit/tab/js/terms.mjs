import { parseTerms, termsHash, wordsForAgreement } from "../../../../static/wallet/terms.js";
import { serve } from "./serve.mjs";

await serve({
  read: async ({ document }) => {
    const terms = await parseTerms(document);
    return { hash: await termsHash(terms), words: wordsForAgreement(terms) };
  },
});
