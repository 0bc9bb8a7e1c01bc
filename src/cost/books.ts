import type { BatchBooking, BatchResult, Chain, MeterBooking, NewMark } from '../ports.ts';
import type { EpochMillis, Millijoules, Millis } from '../units.ts';
import { BookTime } from './book-time.ts';
import { MarkLine, type Seen, type State } from './mark-line.ts';
import { type Circumstances, type Piece, piecesOf } from './pieces.ts';
import { PowerSamples } from './power-samples.ts';
import { recovered } from './recovered.ts';
import { flagged, Stretches, type StretchesOptions, stretchOf } from './stretches.ts';
import { AFTERGLOW, type CardReading, type Tick, Ticks } from './ticks.ts';
import { withoutWarmUp } from './warm-up.ts';
import { counterIn, endMarks, noWindow, shareIn } from './window-marks.ts';
import { inBookTime, type Moment, type ToldWindow, windowsOf } from './windows.ts';

/** A batch that the card has. */
interface Work {
  readonly batchId: string;
  /** The mark that it began at, or the last one before. */
  readonly base: NewMark | null;
  readonly marks: { readonly mark: NewMark; readonly seen: Seen }[];
  readonly ticks: Tick[];
}

/** A batch that has ended, until it is known whether the ledger has taken it. */
interface Ended {
  readonly booking: MeterBooking;
  /** The ends of each of its windows. */
  readonly windows: readonly (readonly [NewMark, NewMark])[];
}

/**
 * The books of one card. Its time is cut into stretches by marks, and each is booked as one thing, once: what a batch's
 * windows took is for its entries; all else is a stretch of the ledger. Readings go in, bookings come out.
 */
export class CardBooks {
  readonly #options: StretchesOptions;
  readonly #time: BookTime;
  readonly #samples = new PowerSamples();
  readonly #ticks = new Ticks(this.#samples);
  readonly #stretches: Stretches;
  readonly #line: MarkLine;
  readonly #marks: NewMark[] = [];
  #work: Work | null = null;
  #ended: Ended | null = null;
  /** Pids of our workers on the card. */
  #ours: readonly number[] = [];
  /** Since when no batch is under way. */
  #quietFrom: EpochMillis = 0;
  /** What is booked as active, and was burnt while nobody watched. */
  #adopted: Millijoules;

  /**
   * @param chain where an earlier launch left off; null for a card that was never marked
   * @param booked by batch, of those that the chain left open
   */
  constructor(options: StretchesOptions, chain: Chain | null, booked: ReadonlyMap<string, BatchBooking>) {
    const { gpu, launch } = options;
    const before = chain === null ? null : recovered(chain, booked);
    this.#options = options;
    this.#time = new BookTime(before?.last?.at ?? null);
    this.#stretches = new Stretches(options);
    this.#line = new MarkLine(before?.last ?? null, {
      gpu,
      launch,
      samples: this.#samples,
      limit: () => this.#ticks.limit,
      onMark: (mark, last, seen) => this.#marked(mark, last, seen),
      onQuarter: () => this.#stretches.close(),
    });
    for (const piece of before?.pieces ?? []) this.#stretches.add(piece);
    this.#stretches.close();
    this.#adopted = before?.excess ?? 0;
  }

  /**
   * @param ours pids of our workers on the card, now
   * @param mono when the reading came, by the monotonic clock
   */
  read(reading: CardReading, ours: readonly number[], mono: Millis): void {
    if (reading.kind === 'lost') {
      if (reading.source === 'nvml') this.#ticks.lost();
      return;
    }
    const rests = this.#work === null;
    const moment = this.#time.take(reading.kind, reading.at, mono, rests);
    const tick = this.#ticks.read({ ...reading, ...moment }, ours, rests ? this.#quietFrom : null);
    if (tick === null) return;
    const came = ours.length > 0 !== this.#ours.length > 0;
    this.#ours = ours;
    if (came && this.#work === null) this.#line.turnTo(this.#atRest);
    this.#work?.ticks.push(tick);
    this.#line.take(tick);
    if (this.#work === null) this.#samples.forget(this.#line.last?.at ?? tick.at);
  }

  /** The card has a batch from now on. One before it that was not settled is lost. */
  begin(batchId: string): void {
    this.gaveUp();
    this.#time.begin();
    const { last, tick } = this.#line;
    const mark = this.#line.turnTo({ after: 'work', batchId });
    this.#stretches.close();
    this.#work = { batchId, base: mark ?? last, marks: [], ticks: tick === null ? [] : [tick] };
  }

  /**
   * The batch has ended. Its booking is for the settlement; until {@link settled}, or {@link gaveUp}, nothing further can
   * be taken. Null where there was nothing to mark it with.
   * @param ours pids of our workers on the card, now
   */
  end(
    told: BatchResult,
    ours: readonly number[],
  ): { readonly result: BatchResult; readonly meter: MeterBooking | null } {
    const work = this.#work;
    if (work === null) return { result: told, meter: null };
    this.#work = null;
    this.#ours = ours;
    const timed = inBookTime(told, (wall) => this.#time.of(wall));
    const { result, windows } = windowsOf(timed, this.#witnessOf(work, timed), this.#options.gpu);
    const from = this.#isOwn(work.base) ? work.base : work.ticks[0];
    const marked = windows.length > 0 || from === undefined ? windows : [noWindow(this.#options.gpu, from)];
    if (marked.length === 0) {
      this.#line.turnTo(this.#atRest);
      return { result, meter: null };
    }
    const pairs = this.#rewrite(work, marked);
    const booking = { marks: this.#marks.splice(0), stretches: this.#stretches.take() };
    this.#ended = { booking, windows: pairs };
    const { result: warm, piece } = withoutWarmUp(result, work.batchId);
    const first = piece === null ? [] : [stretchOf(piece, this.#options)];
    return { result: warm, meter: { ...booking, stretches: [...booking.stretches, ...first] } };
  }

  /** The ledger has taken what the last batch left behind. */
  settled(): void {
    this.#ended = null;
  }

  /** The last batch will not be settled, unless it was: what it took is lost. */
  gaveUp(): void {
    if (this.#work !== null) this.#loseWork(this.#work);
    if (this.#ended === null) return;
    const { booking, windows } = this.#ended;
    const lost = new Stretches(this.#options);
    for (const [begin, end] of windows)
      for (const piece of piecesOf(begin, end, { settled: false, others: 'load' }))
        if (piece.cause === 'lost' || piece.cause === 'unread') lost.add(piece);
    lost.close();
    this.#ended = null;
    this.#marks.unshift(...booking.marks);
    this.#stretches.putBack([...booking.stretches, ...lost.take()]);
  }

  /** Nobody watches from here on. */
  stop(): void {
    this.gaveUp();
    this.#line.turnTo({ after: 'off', batchId: null });
    this.#stretches.close();
  }

  /** What is to be written now, in one transaction; null where there is nothing. */
  take(): MeterBooking | null {
    // While it is not known whether the last batch was settled, what comes after it waits; a kill finds its marks.
    const stretches = this.#ended === null ? this.#stretches.take() : [];
    if (this.#marks.length === 0 && stretches.length === 0) return null;
    return { marks: this.#marks.splice(0), stretches };
  }

  get #atRest(): State {
    return { after: this.#ours.length > 0 ? 'resident' : 'rest', batchId: null };
  }

  #isOwn(mark: NewMark | null): mark is NewMark {
    return mark !== null && mark.launch === this.#options.launch;
  }

  #witnessOf({ base, ticks }: Work, told: BatchResult) {
    const anyTold = [...told.overhead, told.shared].some(({ energy }) => energy.window !== undefined);
    const early: Moment = { at: base?.at ?? 0, counter: null };
    const begin = this.#isOwn(base) ? base : anyTold ? early : (ticks[0] ?? early);
    const integral = this.#samples.integral.bind(this.#samples);
    const counterAt = counterIn([begin, ...ticks.filter(({ at }) => at > begin.at)]);
    return { begin, last: ticks.at(-1) ?? null, integral, counterAt, share: shareIn(ticks) };
  }

  /** Sets the marks anew from the begin of a batch, now that its windows are told. */
  #rewrite({ batchId, base, marks, ticks }: Work, windows: readonly ToldWindow[]): Ended['windows'] {
    const first = windows[0]?.window.from ?? 0;
    const kept = marks.filter(({ mark }) => mark.at <= first);
    const start = kept.at(-1)?.mark ?? base;
    this.#bookAll(base, kept, IN_BATCH);
    this.#line.moveTo(start);
    for (const tick of ticks) if (start === null || (tick.at > start.at && tick.at <= first)) this.#line.look(tick);
    const ends = windows.map((one, place) => {
      const next = windows[place + 1];
      const pair = this.#setWindow(one, batchId, next === undefined);
      const { to } = one.window;
      for (const tick of ticks) {
        if (tick.at <= to || tick.at > (next?.window.from ?? tick.at)) continue;
        this.#line.take(withoutGlow(tick, to));
      }
      return pair;
    });
    // Up to the last reading, so that nothing that was marked before is left open.
    if ((this.#line.tick?.at ?? 0) > (this.#line.last?.at ?? 0)) this.#line.turnTo(this.#atRest);
    this.#stretches.close();
    return ends;
  }

  #setWindow(told: ToldWindow, batchId: string, isLast: boolean): Ended['windows'][number] {
    const { gpu, launch } = this.#options;
    const { from, to, counter } = told.window;
    const begin = this.#line.set({ at: from, counter: counter?.from ?? null }, { after: told.cause, batchId });
    const [end, ...anew] = endMarks(told, { gpu, launch }, isLast ? this.#atRest : { after: 'resident', batchId });
    this.#book(begin, end, IN_BATCH, WINDOW);
    this.#marks.push(end, ...anew);
    this.#line.moveTo(anew.at(-1) ?? end);
    if (isLast) this.#quietFrom = to;
    return [begin, end];
  }

  #loseWork({ base, marks }: Work): void {
    this.#line.turnTo(this.#atRest);
    this.#work = null;
    this.#quietFrom = this.#line.last?.at ?? 0;
    this.#bookAll(base, marks, { settled: false, others: 'load' });
    this.#stretches.close();
  }

  #marked(mark: NewMark, last: NewMark | null, seen: Seen): void {
    this.#marks.push(mark);
    if (this.#work !== null) this.#work.marks.push({ mark, seen });
    else this.#book(last, mark, { settled: true, others: seen.resting === 'process' ? 'process' : 'load' }, seen);
  }

  #bookAll(base: NewMark | null, marks: Work['marks'], circumstances: Circumstances): void {
    let before = base;
    for (const { mark, seen } of marks) {
      this.#book(before, mark, circumstances, seen);
      before = mark;
    }
  }

  #book(begin: NewMark | null, end: NewMark, circumstances: Circumstances, { listed }: Pick<Seen, 'listed'>): void {
    if (begin === null) return;
    for (const piece of piecesOf(begin, end, circumstances)) this.#stretches.add(this.#asSeen(piece, listed));
  }

  #asSeen(piece: Piece, listed: boolean): Piece {
    const { burnt, kind, cause } = piece;
    if (kind === 'idle' && !listed) return flagged(piece, 'sharing_unknown');
    if (cause !== 'off' || burnt.millijoules === null || this.#adopted === 0) return piece;
    const taken = Math.min(this.#adopted, burnt.millijoules);
    this.#adopted -= taken;
    return { ...piece, burnt: { ...burnt, millijoules: burnt.millijoules - taken } };
  }
}

/** Just after a window, use tells of what our own batch did. */
function withoutGlow(tick: Tick, windowEnd: EpochMillis): Tick {
  const isGlow = tick.at < windowEnd + AFTERGLOW && tick.look.resting === 'load';
  return isGlow ? { ...tick, look: { ...tick.look, resting: 'none' } } : tick;
}

const IN_BATCH: Circumstances = { settled: true, others: 'load' };
/** Its worker looked who was there. */
const WINDOW = { listed: true };
