import { Timetable } from './batch/timetable.ts';
import { cheapParts, DAYS_AHEAD, nextCheap } from './cost/cheap.ts';
import { CheapWait } from './cost/cheap-wait.ts';
import { DAY_MS } from './cost/local-time.ts';
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

/** No day that comes has a cheaper part; or devices rest in all of them, so that what waits is never made. */
export type Useless = 'one price' | 'never';

/** What of a job says when it is to be made. */
export interface Wish {
  readonly priority: Priority;
  readonly when?: When | undefined;
}

/** Which jobs are not made now because electricity is to cost less later, by the tariff of whoever makes them. */
export class CheapWaits {
  readonly #options: CheapWaitsOptions;
  readonly #wait: CheapWait;
  #lookedOn = Number.NaN;
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

  /** Once a day: prices of the days that come into sight may differ. */
  #look(now: EpochMillis): void {
    const day = Math.floor(now / DAY_MS);
    if (day === this.#lookedOn) return;
    this.#lookedOn = day;
    const before = this.#useless;
    this.#useless = this.#uselessFrom(now);
    if (this.#useless !== null && this.#useless !== before) this.#options.onUseless?.(this.#useless);
  }

  #uselessFrom(now: EpochMillis): Useless | null {
    const { tariff, hours } = this.#options;
    if (nextCheap(tariff, now) === null) return 'one price';
    const devices = hours?.() ?? [];
    return devices.length > 0 && !devices.some((device) => meets(tariff, device, now)) ? 'never' : null;
  }
}

/** Whether a device works in any cheap part of the days that come. */
function meets(tariff: Tariff, hours: Hours | null, now: EpochMillis): boolean {
  const timetable = new Timetable(hours);
  let day = tariff.day(now);
  for (let ahead = 0; ahead < DAYS_AHEAD; ahead += 1) {
    for (const { from, to } of cheapParts(tariff, day.from)) {
      const begin = Math.max(from, now);
      if (begin + timetable.restsFor(begin) < to) return true;
    }
    day = tariff.day(day.to);
  }
  return false;
}
