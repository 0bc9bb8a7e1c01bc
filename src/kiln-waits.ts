import { Timetable } from './batch/timetable.ts';
import { cheapParts, daysAhead } from './cost/cheap.ts';
import { CheapWait } from './cost/cheap-wait.ts';
import { DAY_MS, MINUTE_MS } from './cost/local-time.ts';
import type { Tariff } from './cost/tariff.ts';
import type { Hours } from './hours.ts';
import type { Clock, Priority, When } from './ports.ts';
import type { EpochMillis } from './units.ts';

export interface CheapWaitsOptions {
  readonly tariff: Tariff;
  readonly clock: Pick<Clock, 'now'>;
  /** For a job whose run does not say when. */
  readonly when: When;
  /** Of each device that makes them, null where it always works; left out where that is nobody's concern. */
  hours?(): readonly (Hours | null)[];
  /** Told where somebody wants to wait, and again where it has come to be so. */
  onUseless?(why: Useless): void;
}

/**
 * The price never changes; it does and gets lower, but stays for a day as it is, so that nothing waits; or devices rest
 * in all cheap times, so that what waits is never made.
 */
export type Useless = 'one price' | 'not today' | 'never';

/** What of a job says when it is to be made. */
export interface Wish {
  readonly priority: Priority;
  readonly when?: When | undefined;
}

/** Which jobs are not made now because electricity is to cost less later, by the tariff of whoever makes them. */
export class CheapWaits {
  readonly #options: CheapWaitsOptions;
  readonly #wait: CheapWait;
  #lookedIn = Number.NaN;
  #useless: Useless | null = null;

  constructor(options: CheapWaitsOptions) {
    this.#options = options;
    this.#wait = new CheapWait(options.tariff);
  }

  /** To be called once the devices are known: where all are to wait, what there is to tell is told before the first one comes. */
  begin(): void {
    if (this.#options.when === 'cheap') this.#look(this.#options.clock.now());
  }

  /** When a job may be made; null: now. */
  until({ priority, when = this.#options.when }: Wish): EpochMillis | null {
    if (priority !== 'bulk' || when !== 'cheap') return null;
    const now = this.#options.clock.now();
    this.#look(now);
    return this.#wait.until(now);
  }

  /** Once an hour: prices of the days that come into sight may differ. */
  #look(now: EpochMillis): void {
    const hour = Math.floor(now / (60 * MINUTE_MS));
    if (hour === this.#lookedIn) return;
    this.#lookedIn = hour;
    const before = this.#useless;
    this.#useless = this.#uselessFrom(now);
    if (this.#useless !== null && this.#useless !== before) this.#options.onUseless?.(this.#useless);
  }

  #uselessFrom(now: EpochMillis): Useless | null {
    const { tariff, hours } = this.#options;
    const [first, ...later] = tariff.slices(daysAhead(now));
    const changes = later.filter(({ nano }) => nano !== first?.nano);
    if (first === undefined || changes.length === 0) return 'one price';
    const isSame = changes.every(({ from }) => from > now + DAY_MS);
    if (isSame && changes.some(({ nano }) => nano < first.nano)) return 'not today';
    const devices = hours?.() ?? [];
    return devices.length > 0 && !devices.some((device) => meets(tariff, device, now)) ? 'never' : null;
  }
}

/** Whether a device works in any cheap part of the days that come. */
function meets(tariff: Tariff, hours: Hours | null, now: EpochMillis): boolean {
  const timetable = new Timetable(hours);
  return cheapParts(tariff, daysAhead(now)).some(({ from, to }) => from + timetable.restsFor(from) < to);
}
