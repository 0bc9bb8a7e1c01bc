import type { WallReading } from '../ports.ts';
import type { EpochMillis, Seconds, Watts } from '../units.ts';
import { Integral, type IntegralFigures } from './integral.ts';

export interface WallFigures {
  readonly seconds: Seconds;
  /** By the plug's counter where that moved far enough to be exact, else by its power. */
  readonly energy_j: number | null;
  readonly meter: 'plug_counter' | 'plug_power' | 'none';
  /** Of its power; null where the counter is taken. */
  readonly bound_j: number | null;
  readonly gaps: number;
  readonly missing_seconds: Seconds;
  readonly peak_w: Watts | null;
}

/** A plug is asked every two seconds, and its power is its own mean; so its gaps are longer. */
const LONGEST = { gap: 10_000, missing: 60_000 };
/** Plugs count in whole watt-hours at worst: at ten of them that is a tenth at most, and one in a hundred as a rule. */
const EXACT_WATT_HOURS = 10;
const JOULES_A_WATT_HOUR = 3600;

/** A plug at the wall. */
export class WallMeter {
  #first: EpochMillis | null = null;
  #last: EpochMillis = 0;
  #integral: Integral | null = null;
  #count: number | null = null;
  #risen = 0;
  #fell = false;

  add({ at, watts, wattHours }: WallReading): void {
    this.#first ??= at;
    this.#last = Math.max(this.#last, at);
    this.#integral ??= new Integral({ from: at, longest: LONGEST });
    this.#integral.add(at, watts);
    if (wattHours === null) return;
    const rise = wattHours - (this.#count ?? wattHours);
    if (rise < 0) this.#fell = true;
    else this.#risen += rise;
    this.#count = wattHours;
  }

  get figures(): WallFigures {
    const power = this.#integral?.upTo(this.#last) ?? null;
    return {
      seconds: (this.#last - (this.#first ?? 0)) / 1000,
      ...this.#energy(power),
      gaps: power?.gaps.count ?? 0,
      missing_seconds: power?.missing ?? 0,
      peak_w: power?.peak ?? null,
    };
  }

  #energy(power: IntegralFigures | null): Pick<WallFigures, 'energy_j' | 'meter' | 'bound_j'> {
    if (this.#risen >= EXACT_WATT_HOURS && !this.#fell)
      return { energy_j: this.#risen * JOULES_A_WATT_HOUR, meter: 'plug_counter', bound_j: null };
    if (power === null) return { energy_j: null, meter: 'none', bound_j: null };
    return { energy_j: power.millijoules / 1000, meter: 'plug_power', bound_j: power.bound / 1000 };
  }
}
