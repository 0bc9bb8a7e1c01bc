import type { Doing, NewMark } from '../ports.ts';
import type { Millijoules, Millis, Watts } from '../units.ts';
import { SILENCE } from './chain.ts';
import type { PowerSamples } from './power-samples.ts';
import type { Look } from './strangers.ts';
import { Beside, type Tick } from './ticks.ts';

/** What a line of marks is about now. */
export interface State {
  readonly after: Doing;
  readonly batchId: string | null;
}

/** Of a mark that another one follows in the same moment, whose counter begins anew: two equal ones are one in the ledger. */
export function passing({ after, batchId }: State): State {
  return { after: after === 'resident' ? 'rest' : 'resident', batchId };
}

export interface LineOptions {
  readonly gpu: string;
  readonly launch: string;
  readonly samples: PowerSamples;
  /** In force on the card; null where it does not tell. */
  limit(): Watts | null;
  /** A new mark, and the one before it in time. `resting`: who computed in between, while ours rested. */
  onMark(mark: NewMark, before: NewMark | null, resting: Look['resting']): void;
  /** A quarter of an hour is over at the last mark. */
  onQuarter(): void;
}

const QUARTER: Millis = 900_000;
/** Ticks in a row that see the same of others before it is believed: a desktop flickers. */
const BELIEVED = 2;
/** Without a limit told: more than any card draws. */
const MOST: Watts = 2_000;
/** As a part of the limit in force, and with a second for steps of the counter: more is no reading. */
const PLAUSIBLE = { factor: 1.3, slack: 1_000 };
/** A counter that stood still for so long while power was drawn is dead. */
const STUCK: Millis = 5_000;

/**
 * Sets the marks of a card, from tick to tick: at most ten seconds apart, at each quarter of an hour, at both ends of a
 * silence or of a jump of the counter, and where what others do begins or ends.
 */
export class MarkLine {
  readonly #options: LineOptions;
  #state: State = { after: 'rest', batchId: null };
  #last: NewMark | null;
  #tick: Tick | null = null;
  /** Who computes while ours rests, since the last mark; null until it was looked. */
  #resting: Look['resting'] | null = null;
  /** What is seen to have changed, and at which tick it began. */
  #turn: { readonly to: Look['resting']; readonly at: Tick; count: number } | null = null;
  /** Since the last mark: what others had of what was burnt. */
  #beside = new Beside();

  constructor(last: NewMark | null, options: LineOptions) {
    this.#last = last;
    this.#options = options;
  }

  get last(): NewMark | null {
    return this.#last;
  }

  /** The last one; null where none was since the line began, or was moved. */
  get tick(): Tick | null {
    return this.#tick;
  }

  /** A mark at the last tick, or where there is none later, at the last mark once more; null where there is neither. */
  turnTo(state: State): NewMark | null {
    const [last, tick] = [this.#last, this.#tick];
    const late = tick !== null && (last === null || tick.at >= last.at) ? tick : last;
    const mark =
      late === null || (late === last && last.launch !== this.#options.launch) ? null : this.set(late, state);
    this.#begin(state);
    return mark;
  }

  /** Goes on from a mark that somebody else set; null: from where nothing is known of. */
  moveTo(mark: NewMark | null): void {
    this.#last = mark;
    this.#tick = null;
    this.#beside = new Beside();
    this.#begin(mark === null ? this.#state : { after: mark.after, batchId: mark.batchId });
  }

  take(tick: Tick): void {
    this.#space(tick);
    this.look(tick);
  }

  /** Without setting marks. */
  look(tick: Tick): void {
    if (this.#rests) this.#resting ??= tick.look.resting;
    const [last, before] = [this.#last, this.#tick];
    const from = before === null || (last !== null && before.at < last.at) ? last : before;
    if (from !== null) this.#beside.add(from, tick);
    this.#tick = tick;
  }

  /** A mark at a moment; a counter that cannot be believed is left out, and begins anew. */
  set(moment: Pick<Tick, 'at' | 'counter'>, state = this.#state): NewMark {
    const counter = this.#isBelieved(moment) ? moment.counter : null;
    if (counter !== moment.counter) this.#put({ at: moment.at, counter }, passing(state));
    return this.#put(moment, state);
  }

  #put({ at, counter }: Pick<Tick, 'at' | 'counter'>, state: State): NewMark {
    const { gpu, launch, samples, onMark } = this.#options;
    const before = this.#last;
    const integral = before === null || before.launch !== launch ? null : samples.integral(before.at, at);
    const mark = { gpu, at, launch, counter, integral, foreign: this.#foreign(), ...state };
    this.#last = mark;
    this.#beside = new Beside();
    onMark(mark, before, this.#resting ?? 'none');
    return mark;
  }

  #begin(state: State): void {
    this.#state = state;
    this.#resting = null;
    this.#turn = null;
  }

  /** Sets the marks that are due before a tick, and at it. */
  #space(tick: Tick): void {
    const last = this.#last;
    if (last === null) {
      this.set(tick);
      return;
    }
    const before = this.#tick === null || this.#tick.at < last.at ? last : this.#tick;
    if (last.launch !== this.#options.launch || tick.at - before.at > SILENCE) {
      this.#upTo(before);
      this.#resting = null;
      this.set(tick);
      return;
    }
    this.#turnWith(tick);
    if (jumps(before, tick, this.#options.limit())) {
      this.#upTo(before);
      this.set(tick);
    } else if (quarterOf(before.at) !== quarterOf(tick.at)) {
      this.#upTo(before);
      this.#options.onQuarter();
    } else if (tick.at - (this.#last ?? last).at > SILENCE) this.#upTo(before);
  }

  #upTo(moment: Pick<Tick, 'at' | 'counter'>): void {
    if (this.#last !== null && moment.at > this.#last.at) this.set(moment);
  }

  /** Sets a mark where others began or ended, once that is believed. */
  #turnWith({ look: { resting } }: Tick): void {
    if (!this.#rests || this.#resting === null || this.#tick === null || resting === this.#resting) {
      this.#turn = null;
      return;
    }
    if (this.#turn?.to !== resting) this.#turn = { to: resting, at: this.#tick, count: 0 };
    this.#turn.count += 1;
    if (this.#turn.count < BELIEVED) return;
    this.#upTo(this.#turn.at);
    this.#resting = resting;
    this.#turn = null;
  }

  get #rests(): boolean {
    const { after, batchId } = this.#state;
    return batchId === null && (after === 'rest' || after === 'resident');
  }

  #foreign(): number | null {
    if (!this.#rests) return this.#beside.share;
    if (this.#resting === 'untold') return null;
    return this.#resting === 'process' || this.#resting === 'load' ? 1 : 0;
  }

  #isBelieved({ at, counter }: Pick<Tick, 'at' | 'counter'>): boolean {
    const last = this.#last;
    if (last === null || last.counter === null || counter === null || counter < last.counter) return true;
    if (exceeds(counter - last.counter, at - last.at, this.#options.limit())) return false;
    if (counter > last.counter || at - last.at < STUCK || last.launch !== this.#options.launch) return true;
    const integral = this.#options.samples.integral(last.at, at);
    return integral === null || integral.millijoules <= integral.bound;
  }
}

function jumps(before: Pick<Tick, 'at' | 'counter'>, { at, counter }: Tick, limit: Watts | null): boolean {
  if (before.counter === null || counter === null) return false;
  return counter < before.counter || exceeds(counter - before.counter, at - before.at, limit);
}

function exceeds(rise: Millijoules, time: Millis, limit: Watts | null): boolean {
  return rise > (limit ?? MOST) * PLAUSIBLE.factor * (time + PLAUSIBLE.slack);
}

function quarterOf(at: number): number {
  return Math.floor(at / QUARTER);
}
