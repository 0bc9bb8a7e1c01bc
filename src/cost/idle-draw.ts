import type { Watts } from '../units.ts';

/**
 * What a card draws while no kernel runs on it: the 10th percentile of its power at a utilisation of 0, so that neither
 * the moments in which it falls asleep nor the tail of work that has just ended is taken for it. As large as the number of
 * different readings, however long it goes on.
 */
export class IdleDraw {
  readonly #counts = new Map<Watts, number>();
  #total = 0;

  /** What is null is none. */
  add({ watts, utilization }: { readonly watts: Watts | null; readonly utilization: number | null }): void {
    if (watts === null || utilization !== 0) return;
    this.#counts.set(watts, (this.#counts.get(watts) ?? 0) + 1);
    this.#total += 1;
  }

  /** Null where the card was never seen idle. */
  get watts(): Watts | null {
    let below = 0;
    for (const [watts, count] of [...this.#counts].sort(([one], [two]) => one - two)) {
      below += count;
      if (below >= this.#total * PART) return watts;
    }
    return null;
  }
}

const PART = 0.1;
