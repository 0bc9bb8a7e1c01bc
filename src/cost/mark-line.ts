import type { Doing, NewMark } from '../ports.ts';
import type { Millijoules, Millis, Watts } from '../units.ts';
import type { BookMoment } from './book-time.ts';
import { SILENCE, STUCK } from './chain.ts';
import { QUARTER_MS } from './local-days.ts';
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

/** Between two marks. */
export interface Seen {
  /** Who computed, while ours rested. */
  readonly resting: Look['resting'];
  /** A list of processes told who was there. */
  readonly listed: boolean;
}

export interface LineOptions {
  readonly gpu: string;
  readonly launch: string;
  readonly samples: PowerSamples;
  /** In force on the card; null where it does not tell. */
  limit(): Watts | null;
  /** A new mark, and the one before it in time. */
  onMark(mark: NewMark, before: NewMark | null, seen: Seen): void;
  /** A quarter of an hour is over at the last mark. */
  onQuarter(): void;
}

/** Ticks in a row that see the same of others before it is believed: a desktop flickers. */
const BELIEVED = 2;
/** Without a limit told: more than any card draws. */
const MOST: Watts = 2_000;
/** As a part of the limit in force, and with a second for steps of the counter: more is no reading. */
const PLAUSIBLE = { factor: 1.3, slack: 1_000 };
/** Where a counter was never seen to move, it is dead when it stands still for so long. */
const STEP: Millis = 500;
/** A counter may be so much older than its time says; what it then lacks is no fall. */
const STALE: Millis = 100;

/**
 * Sets the marks of a card, from tick to tick: at most ten seconds apart, at each quarter of an hour, at both ends of a
 * silence or of a jump of the counter, and where what others do begins or ends.
 */
export class MarkLine {
  readonly #options: LineOptions;
  #state: State = { after: 'rest', batchId: null };
  #last: NewMark | null;
  /** The lag of the last mark, and of the last tick. */
  #lastLag: Millis = 0;
  #lag: Millis = 0;
  /** The counter was seen to rise since its driver was loaded, or since it was last found to be dead. */
  #moves = false;
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
    this.#lastLag = this.#lag;
    this.#tick = null;
    this.#beside = new Beside();
    this.#begin(mark === null ? this.#state : { after: mark.after, batchId: mark.batchId });
  }

  take(reading: Tick): void {
    const tick = this.#current(reading);
    this.#space(tick);
    this.look(tick);
  }

  /** Without setting marks. */
  look(reading: Tick): void {
    const tick = this.#current(reading);
    const known = this.#tick?.counter ?? null;
    if (known !== null && tick.counter !== null && tick.counter !== known) this.#moves = tick.counter > known;
    this.#lag = tick.lag;
    if (this.#rests) this.#resting ??= tick.look.resting;
    const from = this.#newest;
    if (from !== null) this.#beside.add(from, tick);
    this.#tick = tick;
  }

  /** A mark at a moment; a counter that cannot be believed is left out, and begins anew. */
  set(moment: Point, state = this.#state): NewMark {
    const counter = this.#isBelieved(moment) ? moment.counter : null;
    if (counter !== moment.counter) this.#put({ ...moment, counter }, passing(state));
    return this.#put(moment, state);
  }

  #put({ at, counter, lag = this.#lag }: Point, state: State): NewMark {
    const { gpu, launch, samples, onMark } = this.#options;
    const before = this.#last;
    const integral = before === null || before.launch !== launch ? null : samples.integral(before.at, at);
    const mark = { gpu, at, launch, counter, integral, foreign: this.#foreign(), ...state };
    const seen = { resting: this.#resting ?? 'none', listed: this.#beside.listed };
    this.#last = mark;
    this.#lastLag = lag;
    this.#beside = new Beside();
    onMark(mark, before, seen);
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
    const before = this.#tick === null || this.#tick.at < last.at ? { ...last, lag: this.#lastLag } : this.#tick;
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
    } else if (this.#since(tick) > SILENCE) this.#upTo(before);
  }

  /** What truly passed since the last mark. */
  #since({ at, lag = this.#lag }: Point): Millis {
    return this.#last === null ? 0 : at - this.#last.at + lag - this.#lastLag;
  }

  /** Without a fall that is only of a reading that came late. */
  #current(tick: Tick): Tick {
    const before = this.#newest?.counter ?? null;
    if (before === null || tick.counter === null || tick.counter >= before) return tick;
    const late = before - tick.counter <= (this.#options.limit() ?? MOST) * PLAUSIBLE.factor * STALE;
    return late ? { ...tick, counter: before } : tick;
  }

  get #newest(): Pick<NewMark, 'at' | 'counter'> | null {
    const [last, tick] = [this.#last, this.#tick];
    return tick === null || (last !== null && tick.at < last.at) ? last : tick;
  }

  #upTo(moment: Point): void {
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

  #isBelieved(moment: Point): boolean {
    const last = this.#last;
    const { counter } = moment;
    if (last === null || last.counter === null || counter === null || counter < last.counter) return true;
    const passed = this.#since(moment);
    // A clock was set back while nobody watched: how long that was, nobody knows.
    if (last.launch !== this.#options.launch && passed <= 1) return true;
    if (exceeds(counter - last.counter, passed, this.#options.limit())) return false;
    if (counter > last.counter) return true;
    if (passed >= STUCK) this.#moves = false;
    return this.#moves || passed < STEP;
  }
}

/** Where a mark may stand. Without its own lag, that of the last tick. */
type Point = Pick<Tick, 'at' | 'counter'> & Partial<BookMoment>;

function jumps(before: Pick<Tick, 'counter'> & BookMoment, { at, lag, counter }: Tick, limit: Watts | null): boolean {
  if (before.counter === null || counter === null) return false;
  const passed = at - before.at + lag - before.lag;
  return counter < before.counter || exceeds(counter - before.counter, passed, limit);
}

function exceeds(rise: Millijoules, time: Millis, limit: Watts | null): boolean {
  return rise > (limit ?? MOST) * PLAUSIBLE.factor * (time + PLAUSIBLE.slack);
}

function quarterOf(at: number): number {
  return Math.floor(at / QUARTER_MS);
}
