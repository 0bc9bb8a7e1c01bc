/** Rows in memory, of which those of one device can be forgotten; a new one takes the place of one with equal key parts. */
export class RowsOfDevices<Row extends { readonly device: string }> {
  readonly #keyOf: (row: Row) => readonly (string | number)[];
  readonly #rows = new Map<string, Row>();

  constructor(keyOf: (row: Row) => readonly (string | number)[]) {
    this.#keyOf = keyOf;
  }

  all(): readonly Row[] {
    return [...this.#rows.values()];
  }

  put(row: Row): void {
    this.#rows.set(JSON.stringify(this.#keyOf(row)), row);
  }

  /** Null: those of all devices. Returns how many that were. */
  forget(device: string | null): number {
    const gone = [...this.#rows].filter(([, row]) => device === null || row.device === device);
    for (const [key] of gone) this.#rows.delete(key);
    return gone.length;
  }
}
