import type { LedgerRow, LedgerSpan, Mark } from '../ports.ts';
import type { EpochMillis, Millijoules } from '../units.ts';
import { HOUR, type HourSums, hourOf } from './audit-hours.ts';
import { type BatchMarks, MarksOfCard } from './audit-marks.ts';
import { RowsOfCard } from './audit-rows.ts';
import { momentText } from './clock-text.ts';
import type { WallClock } from './local-time.ts';

export interface AuditInput {
  /** UUID of the card. */
  readonly gpu: string;
  /** Its marks in the order of their times. */
  readonly marks: AsyncIterable<Mark>;
  /** Of the ledger, those whose time ended in the span; rows of other cards are passed over. */
  readonly rows: AsyncIterable<LedgerRow>;
  readonly span: LedgerSpan;
  /** By which the sentences tell times. */
  readonly clock: WallClock;
}

export interface AuditFault {
  /** Begin of the hour, UTC. */
  readonly hour: EpochMillis;
  readonly kind: 'total' | 'ours' | 'idle' | 'foreign' | 'unknown' | 'batch' | 'hole' | 'overlap' | 'mark';
  /** By the marks and by the rows; null where it is not about an amount. */
  readonly expected: Millijoules | null;
  readonly found: Millijoules | null;
  readonly sentence: string;
}

export interface AuditResult {
  readonly gpu: string;
  /** How many hours were looked at. */
  readonly hours: number;
  readonly faults: readonly AuditFault[];
  /** `counter` is what the marks say; the kinds of the ledger add up to it. */
  readonly totals: {
    readonly counter: Millijoules;
    readonly active: Millijoules;
    readonly overhead: Millijoules;
    readonly idle: Millijoules;
    readonly foreign: Millijoules;
    readonly unknown: Millijoules;
    /** Rows of which nobody knows what was burnt. They are in no sum. */
    readonly unread: number;
  };
}

/** Of an hour's or a day's energy. */
const TOLERANCE = 0.001;
/** Millijoules, for what was rounded. */
const ROUNDING = 10;

/**
 * Holds the ledger of a card against the marks of its meters, by another way than it was written. For each hour and day,
 * the energy of batches, idle, foreign and unknown energy, and all together, agree to a thousandth; an hour has besides
 * what stretches that reach over its ends may have burnt on either side. Each batch has what its windows took, its jobs no
 * more than was not a load's, nothing is booked as a batch's that names none, all time is booked once, no mark is missing.
 * What became of a job no meter knows: whether it was made, failed or was cancelled is not looked at.
 * It begins with the first mark at which no batch is under way, and ends with the last row.
 */
export async function audit({ gpu, marks, rows, span, clock }: AuditInput): Promise<AuditResult> {
  const stream = marks[Symbol.asyncIterator]();
  const first = await firstAtRest(stream);
  const booked = new RowsOfCard(gpu, first?.at ?? span.from);
  for await (const row of rows) booked.add(row);
  if (first === null) return resultOf(gpu, booked, null, []);
  const marked = new MarksOfCard(first, booked.last);
  for (let next = await stream.next(); next.done !== true; next = await stream.next()) marked.add(next.value);
  marked.close();
  const adopted = placeAdopted(booked, marked);
  const faults = [
    ...missingMarks(marked, first, clock),
    ...gaps(booked, first.at),
    ...wrongBatches(booked, marked),
    ...booked.homeless.map(({ id, kind, at }) =>
      faultOf('batch', at, null, null, `row ${id} is ${kind} and names no batch`),
    ),
    ...wrongSums(booked, marked, adopted),
  ];
  return resultOf(gpu, booked, marked, onceAnHour(faults, clock));
}

async function firstAtRest(marks: AsyncIterator<Mark>): Promise<Mark | null> {
  for (let next = await marks.next(); next.done !== true; next = await marks.next()) {
    const { after, batchId } = next.value;
    if (batchId === null && (after === 'rest' || after === 'resident' || after === 'off')) return next.value;
  }
  return null;
}

function resultOf(
  gpu: string,
  { kinds, unread, hours }: RowsOfCard,
  marked: MarksOfCard | null,
  faults: readonly AuditFault[],
): AuditResult {
  const [active, overhead] = [Math.round(kinds.active), Math.round(kinds.overhead)];
  const [idle, foreign, unknown] = [Math.round(kinds.idle), Math.round(kinds.foreign), Math.round(kinds.unknown)];
  const counter = Math.round(marked?.counter ?? 0);
  const looked = new Set([...hours.sums.keys(), ...(marked?.hours.sums.keys() ?? [])]);
  return { gpu, hours: looked.size, faults, totals: { counter, active, overhead, idle, foreign, unknown, unread } };
}

/**
 * Pictures that were found after a kill have no place in time of their own: theirs is that of their batch. Returns by
 * hour what they say over what was seen of their batch before the kill, which was burnt while nobody watched.
 */
function placeAdopted(booked: RowsOfCard, marked: MarksOfCard): ReadonlyMap<EpochMillis, Millijoules> {
  const over = new Map<EpochMillis, Millijoules>();
  for (const [id, rows] of booked.batches) {
    const batch = marked.batches.get(id);
    if (batch === undefined || rows.adopted === 0) continue;
    booked.hours.add('ours', rows.adopted, batch.from, batch.to);
    booked.kinds.active += rows.adopted;
    const excess = Math.max(0, rows.adopted + rows.millijoules - seenOf(batch));
    for (let hour = hourOf(batch.from); excess > 0 && hour < batch.watched; hour += HOUR)
      over.set(hour, (over.get(hour) ?? 0) + excess);
  }
  return over;
}

/** What its rows have to add up to. */
function seenOf({ told, windows, work }: BatchMarks): Millijoules {
  return told === null ? work : (windows ?? 0);
}

function missingMarks({ missing, judged }: MarksOfCard, first: Mark, clock: WallClock): AuditFault[] {
  return [...missing].flatMap(([number, at]) => {
    if (number <= first.number || number >= judged) return [];
    const sentence = `mark ${number} is missing before ${momentText(clock, at)}`;
    return [faultOf('mark', at, null, null, sentence)];
  });
}

/** All time is booked, and no time twice. */
function gaps({ spans }: RowsOfCard, first: EpochMillis): AuditFault[] {
  const faults: AuditFault[] = [];
  let [begun, reached] = [first, first];
  for (const [from, to] of spans.sort((a, b) => a[0] - b[0] || a[1] - b[1])) {
    if (to <= first || from === to) continue;
    const isSame = from === begun && to === reached;
    const seconds = (Math.abs(from - reached) / 1000).toFixed(1);
    if (from > reached) faults.push(faultOf('hole', reached, null, null, `${seconds} s are not booked`));
    if (from < reached && !isSame && from >= first)
      faults.push(faultOf('overlap', from, null, null, `${seconds} s are booked twice`));
    [begun, reached] = [from, Math.max(reached, to)];
  }
  return faults;
}

function wrongBatches(booked: RowsOfCard, marked: MarksOfCard): AuditFault[] {
  const ids = new Set([...marked.batches.keys(), ...booked.batches.keys()]);
  return [...ids].flatMap((id) => {
    const batch = marked.batches.get(id);
    const rows = booked.batches.get(id);
    if (batch === undefined) return rows === undefined || rows.early ? [] : strayBatch(id, rows.millijoules, rows.hour);
    if (batch.windows === null || rows?.early === true || batch.to > booked.last) return [];
    return wrongBatch(id, batch, rows ?? NO_ROWS);
  });
}

const NO_ROWS = { millijoules: 0, jobs: 0, adopted: 0 };

function wrongBatch(id: string, batch: BatchMarks, { millijoules, jobs, adopted }: typeof NO_ROWS): AuditFault[] {
  const isTold = batch.told !== null;
  const [expected, found] = [seenOf(batch), millijoules + adopted];
  const slack = isTold || adopted === 0 ? 0 : (batch.after ?? Number.POSITIVE_INFINITY);
  if (found - expected > slack + ROUNDING || expected - found > ROUNDING) {
    const sentence = `batch ${id} took ${joules(expected)} J and has ${joules(found)} J`;
    return [faultOf('batch', batch.from, expected, found, sentence)];
  }
  // What is lost or loads a model is no picture's; that of a batch that told of no window is lost.
  const onJobs = isTold ? jobs + adopted : jobs;
  if (onJobs <= batch.jobs + ROUNDING) return [];
  const sentence = `jobs of batch ${id} took ${joules(batch.jobs)} J and have ${joules(onJobs)} J`;
  return [faultOf('batch', batch.from, batch.jobs, onJobs, sentence)];
}

/** Adopted ones may be of another card. */
function strayBatch(id: string, found: Millijoules, hour: EpochMillis): AuditFault[] {
  if (Math.abs(found) <= ROUNDING) return [];
  return [faultOf('batch', hour, 0, found, `batch ${id} has ${joules(found)} J, and no mark says that it was there`)];
}

const SUMS = ['total', 'ours', 'idle', 'foreign', 'unknown'] as const;

function wrongSums(
  { hours: found }: RowsOfCard,
  { hours: expected }: MarksOfCard,
  adopted: ReadonlyMap<EpochMillis, Millijoules>,
): AuditFault[] {
  const faults: AuditFault[] = [];
  const hours = [...new Set([...found.sums.keys(), ...expected.sums.keys()])].sort((a, b) => a - b);
  const slackAt = (hour: EpochMillis) => (found.divided.get(hour) ?? 0) + (expected.divided.get(hour) ?? 0);
  for (const kind of SUMS) {
    const days = new Map<
      number,
      { expected: number; found: number; worst: number; hour: EpochMillis; slack: number }
    >();
    for (const hour of hours) {
      const [should, is] = [sumOf(expected.sums.get(hour), kind), sumOf(found.sums.get(hour), kind)];
      const extra = adopted.get(hour) ?? 0;
      const slack = slackAt(hour) + slackAt(hour + HOUR) + extra;
      if (differ(should, is, slack)) faults.push(faultOf(kind, hour, should, is, sumSentence(kind, should, is)));
      const day = Math.floor(hour / (24 * HOUR));
      const sum = days.get(day) ?? { expected: 0, found: 0, worst: 0, hour, slack: slackAt(day * 24 * HOUR) };
      const worse = Math.abs(should - is) > sum.worst ? { worst: Math.abs(should - is), hour } : {};
      const last = (day + 1) * 24 * HOUR === hour + HOUR ? slackAt(hour + HOUR) : 0;
      const all = { expected: sum.expected + should, found: sum.found + is, slack: sum.slack + extra + last };
      days.set(day, { ...sum, ...all, ...worse });
    }
    for (const { hour, slack, ...sum } of days.values())
      if (differ(sum.expected, sum.found, slack))
        faults.push(
          faultOf(kind, hour, sum.expected, sum.found, `its day: ${sumSentence(kind, sum.expected, sum.found)}`),
        );
  }
  return faults;
}

function sumOf(sums: HourSums | undefined, kind: (typeof SUMS)[number]): Millijoules {
  return sums?.[kind] ?? 0;
}

function differ(expected: number, found: number, slack: number): boolean {
  return Math.abs(expected - found) > Math.abs(expected) * TOLERANCE + slack + ROUNDING;
}

const NAMES: Readonly<Record<(typeof SUMS)[number], string>> = {
  total: 'all rows together',
  ours: 'energy of batches',
  idle: 'idle energy',
  foreign: 'foreign energy',
  unknown: 'unknown energy',
};

function sumSentence(kind: (typeof SUMS)[number], expected: Millijoules, found: Millijoules): string {
  const what = NAMES[kind];
  return `${what}: the marks say ${joules(expected)} J, the ledger has ${joules(found)} J`;
}

function joules(millijoules: Millijoules): string {
  return (millijoules / 1000).toFixed(3);
}

function faultOf(
  kind: AuditFault['kind'],
  at: EpochMillis,
  expected: Millijoules | null,
  found: Millijoules | null,
  sentence: string,
): AuditFault {
  return { hour: hourOf(at), kind, expected, found, sentence };
}

/** A fault of an hour is told once for each kind; in the order of the hours. */
function onceAnHour(faults: readonly AuditFault[], clock: WallClock): AuditFault[] {
  const once = new Map(faults.toReversed().map((fault) => [`${fault.hour} ${fault.kind}`, fault]));
  const dated = ({ hour, sentence }: AuditFault) => `${momentText(clock, hour)}: ${sentence}`;
  return [...once.values()].sort((a, b) => a.hour - b.hour).map((fault) => ({ ...fault, sentence: dated(fault) }));
}
