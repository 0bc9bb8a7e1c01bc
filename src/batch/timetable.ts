import { type Hours, isOpen } from '../hours.ts';
import type { EpochMillis, Millis } from '../units.ts';
import { type LocalTime, localTimeIn, nextChange } from './hours.ts';

/** How long a device is to rest now. The next change is looked for once, because that takes a walk through the minutes. */
export class Timetable {
  readonly #hours: Hours | null;
  readonly #local: LocalTime;
  /** What was found out at the one holds up to the other, unless the clock is set. */
  #from: EpochMillis = Number.POSITIVE_INFINITY;
  #until: EpochMillis = Number.NEGATIVE_INFINITY;
  #rests = false;

  /** @param hours null for a device that always works */
  constructor(hours: Hours | null, local: LocalTime = localTimeIn()) {
    this.#hours = hours;
    this.#local = local;
  }

  /** 0 while it works. */
  restsFor(now: EpochMillis): Millis {
    if (this.#hours === null) return 0;
    if (now < this.#from || now >= this.#until) {
      this.#from = now;
      this.#rests = !isOpen(this.#hours, this.#local(now));
      this.#until = nextChange(this.#hours, now, this.#local) ?? Number.POSITIVE_INFINITY;
    }
    return this.#rests ? this.#until - now : 0;
  }
}
