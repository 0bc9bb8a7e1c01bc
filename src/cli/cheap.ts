import type { Tariff } from '../cost/tariff.ts';
import { CheapWaits, type Wish } from '../kiln-waits.ts';
import type { JobRow, JobState, RunRow, Store } from '../ports.ts';
import { decimalOf, type EpochMillis } from '../units.ts';
import type { App } from './app.ts';
import { momentOf } from './pause.ts';
import { pricesOf } from './prices.ts';

export const ONE_PRICE = 'The tariff has one price; --when cheap changes nothing.';

/** What a job that waits for cheap electricity waits for: `the cheap zone: begins at 22:00 (0.18 EUR/kWh; now 0.34)`. */
export function zoneAt(tariff: Tariff, until: EpochMillis, now: EpochMillis): string {
  const prices = `${priceAt(tariff, until)} ${tariff.currency}/kWh; now ${priceAt(tariff, now)}`;
  return `the cheap zone: begins at ${momentOf(until, now)} (${prices})`;
}

/** To whoever has just submitted something that is to wait, by the tariff here; that of another host is known there. */
export function tellWait({ clock, loaded: { config }, io }: App, wish: Wish): void {
  const { tariff } = pricesOf(config);
  const waits = new CheapWaits({ clock, tariff, when: config.when, onOnePrice: () => io.err(ONE_PRICE) });
  const until = waits.until(wish);
  if (until !== null) io.err(`Waits for ${zoneAt(tariff, until, clock.now())}.`);
}

/** Which jobs wait, as commands tell it that make nothing themselves: by their own configuration. */
export class WaitsToTell {
  readonly #app: Pick<App, 'clock'>;
  readonly #tariff: Tariff;
  readonly #waits: CheapWaits;

  constructor(app: Pick<App, 'clock' | 'loaded'>, tariff: Tariff = pricesOf(app.loaded.config).tariff) {
    this.#app = app;
    this.#tariff = tariff;
    this.#waits = new CheapWaits({ clock: app.clock, tariff, when: app.loaded.config.when });
  }

  /** Until when a job waits; null for one that does not, or is not to be made any more. */
  until({ state, priority, when }: Pick<JobRow, 'state' | 'priority' | 'when'>): EpochMillis | null {
    return WAITING.has(state) ? this.#waits.until({ priority, when }) : null;
  }

  /** The same in short, for a table: `cheap from 22:00`. */
  short(row: JobRow): string | null {
    const until = this.until(row);
    return until === null ? null : `cheap from ${momentOf(until, this.#app.clock.now())}`;
  }

  /** As {@link zoneAt}. */
  zone(row: JobRow): string | null {
    const until = this.until(row);
    return until === null ? null : zoneAt(this.#tariff, until, this.#app.clock.now());
  }

  /** As {@link zoneAt}, where all that is left to make of the run waits. */
  async zoneOfRun(store: Pick<Store, 'jobsOf'>, { id, counts }: Pick<RunRow, 'id' | 'counts'>): Promise<string | null> {
    if (counts.running > 0) return null;
    const rows = (await store.jobsOf(id)).filter(({ state }) => WAITING.has(state));
    const [first] = rows;
    return first !== undefined && rows.every((row) => this.until(row) !== null) ? this.zone(first) : null;
  }
}

const WAITING: ReadonlySet<JobState> = new Set(['submitting', 'queued']);

/** With four decimals where cents do not say it all. */
function priceAt(tariff: Tariff, at: EpochMillis): string {
  const [slice] = tariff.slices({ from: at, to: at + 1 });
  if (slice === undefined) return '?';
  return decimalOf(slice.nano).toLocaleString('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 4 });
}
