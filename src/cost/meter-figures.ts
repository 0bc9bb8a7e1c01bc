import type { LostReading, PackageReading, Reading } from '../ports.ts';
import type { EpochMillis, Seconds } from '../units.ts';
import { type CardFigures, CardMeter } from './card-meter.ts';
import { type WallFigures, WallMeter } from './wall-meter.ts';

/** What the meters told of a time, as it leaves through a door. What was not told is null, and never 0. */
export interface TelemetryFigures {
  readonly gpus: readonly (CardFigures & {
    readonly uuid: string;
    readonly name: string | null;
    /** How often the meters of cards fell silent. */
    readonly lost: number;
  })[];
  readonly wall: WallFigures | null;
  /** Of the processors. */
  readonly package: { readonly seconds: Seconds; readonly energy_j: number } | null;
  readonly lost: readonly { readonly at: EpochMillis; readonly source: string; readonly reason: string }[];
}

/** Adds up readings as they come, of a recording or live; what it keeps does not grow with time. */
export class MeterFigures {
  readonly #names: ReadonlyMap<string, string>;
  readonly #cards = new Map<string, CardMeter>();
  readonly #lost: LostReading[] = [];
  #wall: WallMeter | null = null;
  #package: PackageMeter | null = null;

  /** @param names of the cards, by UUID */
  constructor(names: ReadonlyMap<string, string> = new Map()) {
    this.#names = names;
  }

  add(reading: Reading): void {
    if (reading.kind === 'power') this.#card(reading.gpu).power(reading);
    if (reading.kind === 'counter') this.#card(reading.gpu).counter(reading);
    if (reading.kind === 'wall') {
      this.#wall ??= new WallMeter();
      this.#wall.add(reading);
    }
    if (reading.kind === 'package') {
      this.#package ??= new PackageMeter();
      this.#package.add(reading);
    }
    if (reading.kind === 'lost' && this.#lost.length < MOST_LOST) this.#lost.push(reading);
  }

  /** Up to the last reading of each. */
  get figures(): TelemetryFigures {
    const lost = this.#lost.filter(({ source }) => source === 'nvidia-smi' || source === 'nvml').length;
    return {
      gpus: [...this.#cards].map(([uuid, card]) => ({
        uuid,
        name: this.#names.get(uuid) ?? null,
        ...card.figures,
        lost,
      })),
      wall: this.#wall?.figures ?? null,
      package: this.#package?.figures ?? null,
      lost: this.#lost.map(({ at, source, reason }) => ({ at, source, reason })),
    };
  }

  #card(uuid: string): CardMeter {
    const card = this.#cards.get(uuid) ?? new CardMeter();
    this.#cards.set(uuid, card);
    return card;
  }
}

/** A meter that comes and goes all day is told of so often. */
const MOST_LOST = 1000;

/** The sum of its rises: where it begins again, what was burnt in between is not known. */
class PackageMeter {
  #first: EpochMillis | null = null;
  #last: PackageReading | null = null;
  #millijoules = 0;

  add(reading: PackageReading): void {
    this.#first ??= reading.at;
    if (this.#last !== null) this.#millijoules += Math.max(0, reading.millijoules - this.#last.millijoules);
    this.#last = reading;
  }

  get figures(): TelemetryFigures['package'] {
    const seconds = ((this.#last?.at ?? 0) - (this.#first ?? 0)) / 1000;
    return { seconds, energy_j: this.#millijoules / 1000 };
  }
}
