import { execFileSync } from 'node:child_process';
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as later } from 'node:timers/promises';
import { inspect, parseArgs } from 'node:util';
import { SUM_KEYS } from '../src/ports-ledger.ts';
import { openSqliteStore } from '../src/store/sqlite.ts';
import { writeRecord } from '../test/chaos/record.ts';
import { runWrite } from '../test/store/samples.ts';
import { missedLimits, rounded, withScratch } from './bench-place.ts';
import { BATCH, fillMonth, MONTH, type Month, settlementIn, sumsOfMonth } from './ledger-month.ts';
import { type Reported, timedReport } from './ledger-report.ts';

/** Batches that are written one by one, each of which waits for the disk. */
const SETTLED = 2_500;
const LIMITS = { least: {}, most: { report_seconds: 1, report_megabytes: 200, loop_delay_p99_ms: 5 } };
/** After a first one, which finds nothing compiled and nothing read from the disk. */
const REPORTS = 3;

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
  const data = join(scratch, 'data');
  mkdirSync(data);
  const path = join(data, 'kilnwatt.sqlite');
  const month = { batches: Math.ceil(Number(values.entries) / BATCH) };
  const settled = Math.min(SETTLED, Math.floor(month.batches / 2));
  const began = performance.now();
  fillMonth(path, month, month.batches - settled);
  say(`${(month.batches - settled) * BATCH} entries filled in after ${inSeconds(performance.now() - began)} s`);
  const delay = await settleRest(path, month, settled);
  const [first, reported] = reportsOf(data, scratch, month);
  const summed = summedElsewhere(path);
  const figures = {
    report_seconds: rounded(reported.seconds),
    report_megabytes: rounded(reported.megabytes),
    loop_delay_p99_ms: rounded(delay.p99),
  };
  const missed = missedLimits(figures, LIMITS);
  const told = {
    entries: reported.sums.entries,
    kwh: reported.sums.millijoules / 3.6e9,
    cost_nano: Number(reported.sums.nano),
    ...figures,
    report_first_seconds: rounded(first.seconds),
    sums_seconds: inSeconds(summed.cold),
    sums_all_keys_seconds: inSeconds(summed.allKeys),
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

/** The first one, and that of the middling time of the others with the most memory. Each must have the sums that it has to have. */
function reportsOf(data: string, scratch: string, month: Month): readonly [Reported, Reported] {
  const wanted = sumsOfMonth(month);
  const timed = Array.from({ length: 1 + REPORTS }, () => timedReport(data, scratch));
  for (const { sums } of timed)
    if (sums.entries !== wanted.entries || sums.millijoules !== wanted.millijoules || sums.nano !== wanted.nano)
      throw new Error(`the report has ${inspect(sums)}, and the month has ${inspect(wanted)}`);
  const [first, ...others] = timed as [Reported, ...Reported[]];
  const middling = others.toSorted((a, b) => a.seconds - b.seconds)[Math.floor(REPORTS / 2)] ?? first;
  const megabytes = Math.max(...timed.map((one) => one.megabytes));
  say(
    `kilnwatt report took ${middling.seconds.toFixed(2)} s, the first time ${first.seconds.toFixed(2)} s, and ${megabytes.toFixed(0)} MB`,
  );
  return [first, { ...middling, megabytes }];
}

interface Summed {
  readonly cold: number;
  readonly allKeys: number;
  readonly groups: number;
}

/** The sums alone, in a process of its own. */
function summedElsewhere(path: string): Summed {
  const words = [import.meta.filename, '--sum', path];
  return JSON.parse(execFileSync(process.execPath, words, { encoding: 'utf8' }));
}

/** What a monthly report asks for, and the most that anything can ask for. */
async function sumMonth(path: string): Promise<void> {
  const store = await openSqliteStore({ path, clock: Date });
  const cold = await timed(() => store.sums(MONTH, ['slot', 'gpu']));
  let groups = 0;
  const allKeys = await timed(async () => {
    groups = (await store.sums(MONTH, SUM_KEYS)).length;
  });
  await store.close();
  console.log(JSON.stringify({ cold, allKeys, groups }));
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

function inSeconds(milliseconds: number): number {
  return rounded(milliseconds / 1000);
}
