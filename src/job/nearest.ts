/** `; did you mean X?`, or nothing; `prefix` goes before the name. */
export function suggestion(typed: string, known: readonly string[], prefix = ''): string {
  const name = nearest(typed, known);
  return name === undefined ? '' : `; did you mean ${prefix}${name}?`;
}

/** The known name that a mistyped one most likely meant, or undefined where none is near. */
export function nearest(typed: string, known: readonly string[]): string | undefined {
  const limit = Math.max(1, Math.floor(typed.length / 3));
  let best: { readonly name: string; readonly distance: number } | undefined;
  for (const name of known) {
    const distance = editDistance(typed.toLowerCase(), name.toLowerCase());
    if (distance <= limit && distance < (best?.distance ?? Number.POSITIVE_INFINITY)) best = { name, distance };
  }
  return best?.name;
}

/** How many letters must be put in, taken out, changed, or swapped with their neighbour. */
function editDistance(from: string, to: string): number {
  let before: number[] = [];
  let row = Array.from({ length: to.length + 1 }, (_, at) => at);
  for (let i = 0; i < from.length; i += 1) {
    const next = [i + 1];
    for (let j = 0; j < to.length; j += 1) {
      const changed = cell(row, j) + (to[j] === from[i] ? 0 : 1);
      const swaps = i > 0 && j > 0 && to[j] === from[i - 1] && to[j - 1] === from[i];
      const swapped = swaps ? cell(before, j - 1) + 1 : changed;
      next.push(Math.min(changed, swapped, cell(row, j + 1) + 1, cell(next, j) + 1));
    }
    before = row;
    row = next;
  }
  return cell(row, to.length);
}

function cell(row: readonly number[], at: number): number {
  return row[at] ?? Number.POSITIVE_INFINITY;
}
