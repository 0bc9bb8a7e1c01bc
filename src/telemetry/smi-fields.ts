/** What is wanted, each with its spellings, newest first. */
export type Wishes<Wish extends string> = readonly (readonly [Wish, readonly string[]])[];

/**
 * Of each wish the first spelling that this nvidia-smi lists, in the order of the wishes: a field that it does not list
 * makes the whole query fail.
 * @param help what `--help-query-gpu` prints
 */
export function chooseFields<Wish extends string>(help: string, wishes: Wishes<Wish>): Map<Wish, string> {
  const listed = new Set(
    help
      .split('\n')
      .filter((line) => line.startsWith('"'))
      .flatMap((line) => [...line.matchAll(/"([\w.]+)"/g)].map((match) => match[1])),
  );
  const fields = new Map<Wish, string>();
  for (const [wish, spellings] of wishes) {
    const spelling = spellings.find((candidate) => listed.has(candidate));
    if (spelling !== undefined) fields.set(wish, spelling);
  }
  return fields;
}

/** The cells of a row of `--format=csv,noheader,nounits`. */
export function cellsOf(row: string): readonly string[] {
  return row.split(',').map((cell) => cell.trim());
}

/** Null for an empty cell and for what nvidia-smi says instead of a value: `[N/A]`, `[Not Supported]`, `ERR!`. */
export function textOf(cell: string | undefined): string | null {
  return cell === undefined || cell === '' || /^\[.*\]$|^n\/a$|^err!$/i.test(cell) ? null : cell;
}

/** Null for anything but a plain number; a real 0 is 0. */
export function numberOf(cell: string | null): number | null {
  return cell !== null && /^\d+(\.\d+)?$/.test(cell) ? Number(cell) : null;
}

/** Without units, nvidia-smi means MiB. */
export function bytesOf(mebibytes: string | null): number | null {
  const number = numberOf(mebibytes);
  return number === null ? null : number * 1024 * 1024;
}

export function isUuid(text: string | null): text is string {
  return text !== null && /^GPU-[\w-]+$/.test(text);
}
