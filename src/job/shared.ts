/**
 * For what ten thousand jobs of a run say alike, and would each keep a copy of once they have been read: the first object
 * of equal content that came by. It is frozen, and so must be all that it holds.
 * @param value plain JSON, whose names come in the same order wherever it is written
 */
export function shared<Value extends object>(value: Value): Value {
  const content = JSON.stringify(value);
  const known = KNOWN.get(content);
  if (known !== undefined) return known as Value;
  if (KNOWN.size >= MOST) KNOWN.clear();
  KNOWN.set(content, frozen(value));
  return value;
}

/** Of models and sets of LoRAs there are few; what was forgotten is only kept twice. */
const MOST = 200;
const KNOWN = new Map<string, object>();

function frozen<Value extends object>(value: Value): Value {
  for (const part of Object.values(value)) if (typeof part === 'object' && part !== null) frozen(part);
  return Object.freeze(value);
}
