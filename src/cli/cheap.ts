import { type HoursSetting, hoursOf, hoursOfAll } from '../batch/hours.ts';
import { cheapParts, DAYS_AHEAD, daysAhead, nextCheap, priceAt } from '../cost/cheap.ts';
import type { Tariff } from '../cost/tariff.ts';
import { CheapWaits, type Useless, type Wish } from '../kiln-waits.ts';
import type { Device, JobRow, JobState, RunRow, Store } from '../ports.ts';
import { decimalOf, type EpochMillis } from '../units.ts';
import type { App } from './app.ts';
import { momentOf } from './pause.ts';
import { pricesOf } from './prices.ts';
import { perKwh } from './tariff-words.ts';

export interface WaitsParts {
  readonly tariff: Tariff;
  /** Those that make the pictures, once they are known; none before, and then by the hours that all of them have. */
  devices(): readonly Device[];
  tell(sentence: string): void;
}

/** Which jobs wait, as configured. Where waiting does not do what was asked for, it is told. */
export function waitsOf(
  { clock, loaded: { config } }: Pick<App, 'clock' | 'loaded'>,
  { tariff, devices, tell }: WaitsParts,
): CheapWaits {
  const { when, hours } = config;
  return new CheapWaits({
    tariff,
    clock,
    when,
    hours: () => {
      const known = devices();
      return known.length === 0 ? [hoursOfAll(hours)] : known.map((device) => hoursOf(hours, device));
    },
    onUseless: (why) => tell(uselessText(why, { tariff, hours, now: clock.now() })),
  });
}

function uselessText(
  why: Useless,
  { tariff, hours, now }: { readonly tariff: Tariff; readonly hours: HoursSetting | null; readonly now: EpochMillis },
): string {
  if (why === 'one price')
    return `The price stays the same for the next ${DAYS_AHEAD} days; --when cheap changes nothing.`;
  if (why === 'not today') {
    const next = nextCheap(tariff, now);
    const later =
      next === null ? '' : `; it costs less from ${beginOf(tariff, next, now)} (${priceText(tariff, next)})`;
    const price = `${priceText(tariff, now)} ${tariff.currency}/kWh`;
    return `No price of the next 24 hours is lower than that of now, ${price}, so --when cheap does not wait${later}.`;
  }
  const next = cheapParts(tariff, daysAhead(now)).find(({ from }) => from > now);
  const zone = next === undefined ? '' : `, the cheap zone begins at ${beginOf(tariff, next.from, now)}`;
  return (
    `What is to wait for cheap electricity is not made in the next ${DAYS_AHEAD} days, in which the hours and the cheap ` +
    `zones do not meet: hours is ${hoursText(hours)}${zone}. Change hours or tariff.zones, or use --when now.`
  );
}

function hoursText(hours: HoursSetting | null): string {
  if (hours === null || typeof hours === 'string') return hours ?? 'not set';
  return Object.entries(hours)
    .map(([device, text]) => `${text} for ${device}`)
    .join(' and ');
}

/** What a job that waits for cheap electricity waits for: `the cheap zone: begins at 22:00 (0.18 EUR/kWh; now 0.34)`. */
export function zoneAt(tariff: Tariff, until: EpochMillis, now: EpochMillis): string {
  const prices = `${priceText(tariff, until)} ${tariff.currency}/kWh; now ${priceText(tariff, now)}`;
  return `the cheap zone: begins at ${beginOf(tariff, until, now)} (${prices})`;
}

/** The time of day by the clock of the tariff, with its time zone where it is another time here. */
export function beginOf({ clock }: Tariff, begin: EpochMillis, now: EpochMillis): string {
  const there = momentOf(begin, now, clock.timezone);
  return there === momentOf(begin, now) ? there : `${there} ${clock.timezone}`;
}

/** To whoever has just submitted something that is to wait, by the tariff here; that of another host is known there. */
export function tellWait(app: App, wish: Wish): void {
  const { clock, loaded, io } = app;
  const { tariff } = pricesOf(loaded.config);
  const until = waitsOf(app, { tariff, devices: () => [], tell: (sentence) => io.err(sentence) }).until(wish);
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
    return until === null ? null : `cheap from ${beginOf(this.#tariff, until, this.#app.clock.now())}`;
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

function priceText(tariff: Tariff, at: EpochMillis): string {
  return perKwh(decimalOf(priceAt(tariff, at)));
}
