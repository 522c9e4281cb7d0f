// Where the rules of the issuer's desk come from, and how its form asks by them.

const UUID = /[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}/i;
const LARGEST_FILE = 128 * 1024;

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/** An object from JSON text, or null. */
export function parsed(text) {
  try {
    const found = JSON.parse(text);
    return isObject(found) ? found : null;
  } catch {
    return null;
  }
}

/** {rules, name} of the collective in a typed id or address, or null; `terms` is the address of somebody's terms. */
export async function ofCollective(typed, terms) {
  const [id] = typed.match(UUID) ?? [];
  try {
    const answer = id ? await fetch(terms.replace(UUID, id)) : null;
    const { document: found } = answer?.ok ? await answer.json() : {};
    return found ? { rules: found.requirement, name: found.name } : null;
  } catch {
    return null;
  }
}

/** {rules, name} of a file with a data requirement, or null. */
export async function ofFile(chosen) {
  const rules = chosen.size <= LARGEST_FILE ? parsed(await chosen.text()) : null;
  return rules && { rules, name: chosen.name };
}

/** The rules as the form asks by them: what is asked of this desk comes first, and nothing is required, for an issuer vouches for what it can. */
export function askable(rules, { did, asked }) {
  const isOurs = (spec) => (spec["x-issuers"] ?? []).includes(did);
  const noted = (spec) => (spec.description ? `${asked}. ${spec.description}` : asked);
  const fields = Object.entries(rules.properties);
  const ours = fields.filter(([, spec]) => isOurs(spec)).map(([name, spec]) => [name, { ...spec, description: noted(spec) }]);
  return { ...rules, required: [], properties: Object.fromEntries([...ours, ...fields.filter(([, spec]) => !isOurs(spec))]) };
}
