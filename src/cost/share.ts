/**
 * Divides a whole amount in proportion to the weights. The shares are whole and add up to the amount
 * exactly: what rounding down leaves over goes to the largest remainders, the earlier place first.
 *
 * @param total a safe integer, not negative
 * @param weights safe integers, not negative; where all are 0 every place weighs the same
 */
export function share(total: number, weights: readonly number[]): readonly number[] {
  if (weights.length === 0) return [];
  const sum = weights.reduce((all, weight) => all + BigInt(weight), 0n);
  if (sum === 0n)
    return share(
      total,
      weights.map(() => 1),
    );
  const parts = weights.map((weight, place) => {
    const product = BigInt(total) * BigInt(weight);
    return { place, whole: product / sum, remainder: product % sum };
  });
  const left = BigInt(total) - parts.reduce((all, part) => all + part.whole, 0n);
  const favoured = parts.toSorted(byRemainder).slice(0, Number(left));
  const raised = new Set(favoured.map((part) => part.place));
  return parts.map(({ place, whole }) => Number(whole) + (raised.has(place) ? 1 : 0));
}

interface Part {
  readonly place: number;
  readonly remainder: bigint;
}

function byRemainder(a: Part, b: Part): number {
  if (a.remainder === b.remainder) return a.place - b.place;
  return a.remainder > b.remainder ? -1 : 1;
}
