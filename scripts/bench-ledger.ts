import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as later } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { LedgerSum } from '../src/ports.ts';
import { SUM_KEYS } from '../src/ports-ledger.ts';
import { openSqliteStore } from '../src/store/sqlite.ts';
import { writeRecord } from '../test/chaos/record.ts';
import { runWrite } from '../test/store/samples.ts';
import { missedLimits, rounded, withScratch } from './bench-place.ts';
import { BATCH, fillMonth, MONTH, type Month, settlementIn } from './ledger-month.ts';

/** Batches that are written one by one, each of which waits for the disk. */
const SETTLED = 2_500;
const LIMITS = { least: {}, most: { month_seconds: 1, month_megabytes: 200, loop_delay_p99_ms: 5 } };

const { values } = parseArgs({
  options: {
    entries: { type: 'string', default: '1000000' },
    record: { type: 'string' },
    json: { type: 'boolean', default: false },
    sum: { type: 'string' },
  },
});
const say = values.json ? console.error : console.log;

if (values.sum !== undefined) await sumMonth(values.sum);
else await withScratch(bench);

async function bench(scratch: string): Promise<void> {
  const path = join(scratch, 'ledger.db');
  const month = { batches: Math.ceil(Number(values.entries) / BATCH) };
  const settled = Math.min(SETTLED, Math.floor(month.batches / 2));
  const began = performance.now();
  fillMonth(path, month, month.batches - settled);
  say(`${(month.batches - settled) * BATCH} entries filled in after ${inSeconds(performance.now() - began)} s`);
  const delay = await settleRest(path, month, settled);
  const summed = summedElsewhere(path);
  if (summed.entries !== month.batches * BATCH) throw new Error(`the month has ${summed.entries} entries of pictures`);
  const figures = {
    month_seconds: inSeconds(summed.cold),
    month_megabytes: rounded(summed.megabytes),
    loop_delay_p99_ms: rounded(delay.p99),
  };
  const missed = missedLimits(figures, LIMITS);
  const told = {
    entries: summed.entries,
    ...figures,
    month_again_seconds: inSeconds(summed.warm),
    month_all_keys_seconds: inSeconds(summed.allKeys),
    groups: summed.groups,
    loop_delay_p50_ms: rounded(delay.p50),
    idle_loop_delay_p99_ms: rounded(delay.idle),
    settle_ms: rounded(delay.settle),
    file_megabytes: rounded(statSync(path).size / 1e6),
    promised: LIMITS.most,
    holds: missed.length === 0,
  };
  for (const sentence of missed) say(sentence);
  console.log(JSON.stringify(told));
  if (values.record !== undefined) writeRecord(values.record, `${told.entries} entries`, told);
  process.exitCode = missed.length === 0 ? 0 : 1;
}

/** The delay of this process's event loop, while the database thread writes batch after batch. */
async function settleRest(path: string, month: Month, count: number) {
  const store = await openSqliteStore({ path, clock: Date });
  const { add, ...run } = runWrite('bench', count * BATCH);
  await store.writeRun({ ...run, add });
  const ids = add.map(({ job }) => job.id);
  const idle = await idleDelay();
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const began = performance.now();
  for (let place = 0; place < count; place += 1) {
    const jobs = ids.slice(place * BATCH, (place + 1) * BATCH);
    await store.settle(settlementIn(month, month.batches - count + place, jobs));
  }
  const settle = (performance.now() - began) / count;
  delay.disable();
  await store.close();
  const [p50, p99] = [delay.percentile(50) / 1e6, delay.percentile(99) / 1e6];
  say(`${count} batches settled, ${settle.toFixed(1)} ms each`);
  say(`event loop delayed by ${p99.toFixed(1)} ms at p99, and by ${idle.toFixed(1)} ms with nothing to do`);
  return { p50, p99, settle, idle };
}

/** At p99, of a process that does nothing: more than a millisecond or two is what else the machine does. */
async function idleDelay(): Promise<number> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  await later(1_000);
  delay.disable();
  return delay.percentile(99) / 1e6;
}

interface Summed {
  readonly cold: number;
  readonly warm: number;
  readonly allKeys: number;
  readonly entries: number;
  readonly groups: number;
  readonly megabytes: number;
}

/** In a process of its own, as a command that reports is. */
function summedElsewhere(path: string): Summed {
  const words = [import.meta.filename, '--sum', path];
  const summed: Summed = JSON.parse(execFileSync(process.execPath, words, { encoding: 'utf8' }));
  say(`the month summed in ${inSeconds(summed.cold)} s, again in ${inSeconds(summed.warm)} s; ${summed.groups} groups`);
  return summed;
}

/** What a monthly report asks for, and the most that anything can ask for. */
async function sumMonth(path: string): Promise<void> {
  const began = performance.now();
  const store = await openSqliteStore({ path, clock: Date });
  const rows = await store.sums(MONTH, ['slot', 'service', 'model', 'preset', 'gpu']);
  const cold = performance.now() - began;
  const megabytes = process.resourceUsage().maxRSS / 1000;
  const warm = await timed(() => store.sums(MONTH, ['slot', 'service', 'model', 'preset', 'gpu']));
  const allKeys = await timed(() => store.sums(MONTH, SUM_KEYS));
  await store.close();
  console.log(JSON.stringify({ cold, warm, allKeys, entries: picturesIn(rows), groups: rows.length, megabytes }));
}

function picturesIn(rows: readonly LedgerSum[]): number {
  const own = rows.filter(({ kind }) => kind === 'active' || kind === 'overhead');
  return own.reduce((sum, { entries }) => sum + entries, 0);
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

function inSeconds(milliseconds: number): number {
  return rounded(milliseconds / 1000);
}
