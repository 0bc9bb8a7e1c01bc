import type { LedgerRow, LedgerSpan, Mark } from '../ports.ts';
import type { EpochMillis, Millijoules } from '../units.ts';

export interface AuditInput {
  /** UUID of the card. */
  readonly gpu: string;
  readonly marks: AsyncIterable<Mark>;
  readonly rows: AsyncIterable<LedgerRow>;
  readonly span: LedgerSpan;
}

export interface AuditResult {
  readonly gpu: string;
  readonly hours: number;
  readonly faults: readonly { readonly hour: EpochMillis; readonly sentence: string }[];
  readonly totals: Readonly<Record<'counter' | 'active' | 'overhead' | 'idle' | 'foreign' | 'unknown', Millijoules>> & {
    readonly unread: number;
  };
}

/** Whether the rows of a card add up to what its counter says. */
export async function audit({ gpu, marks, rows, span }: AuditInput): Promise<AuditResult> {
  const totals = { counter: 0, active: 0, overhead: 0, idle: 0, foreign: 0, unknown: 0, unread: 0 };
  let last: number | null = null;
  for await (const { counter, integral } of marks) {
    if (last !== null && counter !== null)
      totals.counter += counter >= last ? counter - last : (integral?.millijoules ?? 0);
    last = counter ?? last;
  }
  for await (const { kind, energy_mj } of rows)
    if (kind in totals) totals[kind as keyof typeof totals] += energy_mj ?? 0;
  const booked = totals.active + totals.overhead + totals.idle + totals.foreign + totals.unknown;
  const off = Math.abs(booked - totals.counter) > totals.counter / 1000;
  const sentence = `${new Date(span.from).toISOString()}: ${booked} mJ are booked where the counter says ${totals.counter}`;
  return { gpu, hours: (span.to - span.from) / 3_600_000, faults: off ? [{ hour: span.from, sentence }] : [], totals };
}
