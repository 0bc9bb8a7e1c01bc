import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Tariff } from '../../src/cost/tariff.ts';
import { CheapWaits } from '../../src/kiln-waits.ts';
import type { WorkParts } from '../../src/pipeline.ts';
import type { When } from '../../src/ports.ts';
import type { FakeScript } from '../../src/provider/fake.ts';
import type { Ask } from '../../src/submission.ts';
import { HOUR, NIGHT } from '../cost/night.ts';
import { flatTariff } from '../cost/terms.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { settled, Workshop } from './workshop.ts';

let folder: string;
let clock: ManualClock;
let shop: Workshop;
let told: [run: string, until: number][];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'cheap-'));
  told = [];
});
afterEach(async () => {
  await shop.stop();
  rmSync(folder, { recursive: true });
});

/** @param hour of the day at which it is */
function open(hour: number, script: FakeScript = {}): void {
  clock = new ManualClock();
  clock.set(hour * HOUR);
  shop = new Workshop({ folder, script, clock });
}

function work(
  change: Partial<WorkParts> = {},
  { tariff = NIGHT, when = 'now' as When }: { tariff?: Tariff; when?: When } = {},
) {
  const waits = new CheapWaits({ tariff, when, clock, onUseless: (why) => shop.notes.push(why) });
  const onWaiting = (run: string, until: number) => told.push([run, until]);
  return shop.work({ waitsUntil: (job) => waits.until(job), onWaiting, ...change });
}

async function submit(count: number, change: Partial<Ask> = { when: 'cheap' }): Promise<string> {
  const prompts = Array.from({ length: count }, (_, at) => `prompt ${at}`);
  const planned = await shop.plan(prompts, change);
  await shop.submit(planned);
  return planned.run.id;
}

const done = async (runId: string) => (await shop.store.jobsOf(runId)).filter(({ state }) => state === 'done').length;
const until = (hour: number) => Math.floor(clock.now() / (24 * HOUR)) * 24 * HOUR + hour * HOUR;
/** Time goes by, with whatever it brings about. */
async function passes(millis: number): Promise<void> {
  for (let passed = 0; passed < millis; passed += 100) {
    await shop.pass();
    clock.advance(100);
    shop.working.look();
  }
}

describe('bulk jobs that wait for cheap electricity', () => {
  it('are made when it begins, and not before; others are made meanwhile', async () => {
    open(8);
    const night = await submit(6);
    work();
    await passes(2_000);
    const now = await submit(2, { name: 'now', when: 'now' });
    const unsaid = await submit(2, { name: 'unsaid', when: null });
    const urgent = await submit(1, { name: 'urgent', when: 'cheap', priority: 'interactive' });
    for (const runId of [now, unsaid, urgent]) await shop.until(runId, settled);
    expect(await done(night)).toBe(0);
    expect(told).toEqual([[night, until(22)]]);
    clock.set(14 * HOUR - 3 * 60_000);
    await passes(2_000);
    expect(await done(night)).toBe(0);
    clock.set(3 * 60_000);
    await shop.until(night, settled);
    expect(await done(night)).toBe(6);
    expect(told).toHaveLength(1);
  });

  it('are made at once in the cheap time, and with a tariff that has one price, which is said once', async () => {
    open(23);
    work();
    await shop.until(await submit(3), settled);
    await shop.stop();
    open(8);
    work({}, { tariff: flatTariff(0.3, { assumed: true }) });
    await shop.until(await submit(9), settled);
    expect(shop.notes).toEqual(['one price']);
    expect(told).toEqual([]);
  });

  it('are those whose run does not say when, where whoever makes them is configured so', async () => {
    open(8);
    const unsaid = await submit(2, { when: null });
    const now = await submit(2, { name: 'now', when: 'now' });
    work({}, { when: 'cheap' });
    await shop.until(now, settled);
    await passes(1_000);
    expect(await done(unsaid)).toBe(0);
  });

  it('are handed back when the cheap time ends, with the running batch finished, and go on in the next', async () => {
    open(5, { stepMillis: 1_000 });
    clock.set(HOUR - 1_500);
    const runId = await submit(20);
    work();
    await passes(60_000);
    expect(clock.now()).toBeGreaterThan(until(6));
    const before = await done(runId);
    expect([before > 0, before < 20]).toEqual([true, true]);
    expect(told).toEqual([[runId, until(22)]]);
    expect(shop.working.busy).toBe(false);
    await passes(10_000);
    expect(await done(runId)).toBe(before);
    clock.set(16 * HOUR);
    await shop.until(runId, settled);
    expect(await done(runId)).toBe(20);
  });

  it('do not fill the window while they wait', async () => {
    open(8);
    const runId = await submit(300);
    work();
    await passes(1_000);
    const bulk = await submit(8, { name: 'bulk', when: 'now' });
    await shop.until(bulk, settled);
    expect(await shop.queue.ids()).toHaveLength(300);
    expect(await done(runId)).toBe(0);
  });

  it('can be cancelled while they wait, and never come', async () => {
    open(8);
    const runId = await submit(4);
    work();
    await passes(1_000);
    const ids = (await shop.store.jobsOf(runId)).slice(1).map(({ id }) => id);
    shop.working.withdraw(await shop.store.cancel(ids));
    await shop.queue.remove(ids);
    expect(await shop.queue.ids()).toHaveLength(1);
    clock.set(14 * HOUR);
    await shop.until(runId, settled);
    await passes(1_000);
    expect((await shop.store.jobsOf(runId)).map(({ state }) => state)).toEqual([
      'done',
      'cancelled',
      'cancelled',
      'cancelled',
    ]);
  });

  it('wait on for a device that rests, and while the user has paused the work', async () => {
    open(21);
    let rests = HOUR;
    const runId = await submit(4);
    work({ restsFor: () => rests });
    await passes(1_000);
    clock.set(HOUR);
    await passes(2_000);
    expect(await done(runId)).toBe(0);
    shop.working.pause({ now: false });
    rests = 0;
    await passes(2_000);
    expect(await done(runId)).toBe(0);
    shop.working.resume();
    await shop.until(runId, settled);
    expect(await done(runId)).toBe(4);
  });

  it('go back until the next time also where their device was closed when the cheap time ended', async () => {
    open(5);
    const runId = await submit(4);
    let rests = HOUR;
    work({ restsFor: () => rests });
    await passes(1_000);
    clock.set(HOUR);
    await passes(1_000);
    rests = 0;
    await passes(2_000);
    expect(await done(runId)).toBe(0);
    expect(told).toEqual([[runId, until(22)]]);
  });
});
