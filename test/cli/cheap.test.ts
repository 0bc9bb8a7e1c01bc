import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { askOf } from '../../src/cli/ask.ts';
import { WaitsToTell, zoneAt } from '../../src/cli/cheap.ts';
import { humanReporter } from '../../src/cli/run-human.ts';
import { runSession } from '../../src/cli/run-session.ts';
import { Tally } from '../../src/cli/tally.ts';
import { MemoryQueue } from '../../src/queue/memory.ts';
import type { Ask } from '../../src/submission.ts';
import { HOUR, NIGHT, nightOf } from '../cost/night.ts';
import { type Command, House } from './house.ts';

let house: House;
let user: Command;
beforeEach(() => {
  house = new House({ env: { KILNWATT_NOTIFY_STALLED_MINUTES: '1' } });
  house.clock.set(8 * HOUR);
  user = house.command('user');
});
afterEach(() => house.close());

/** A run that is to wait, by a tariff with cheap nights. */
function running(command = user, change: Partial<Ask> = {}, name = 'a') {
  const options = command.runOptions(['cat 1', 'cat 2', 'cat 3'], name);
  const ask: Ask = { ...options.ask, when: 'cheap', ...change };
  return command.ending(runSession({ ...options, ask, prices: { ...options.prices, tariff: NIGHT } }));
}

const said = (command: Command, start: string) => command.io.errors.filter((line) => line.startsWith(start));
const zone = () => zoneAt(NIGHT, Date.UTC(2026, 0, 1, 22), house.clock.now());
const waiting = () => house.until(() => said(user, 'Waits for').length > 0, 'that it waits');

describe('a run that waits for cheap electricity', () => {
  it('says once when it begins and at what price, tells nobody who is away, and is made then', async () => {
    const run = running();
    await waiting();
    await house.letPass(180_000);
    expect(said(user, 'Waits for')).toEqual([`Waits for ${zone()}`]);
    expect(zone()).toMatch(/^the cheap zone: begins at 22:00( UTC)? \(0\.18 EUR\/kWh; now 0\.34\)$/);
    expect([user.kinds, await house.done('a')]).toEqual([[], 0]);
    house.clock.set(14 * HOUR);
    await house.until(run.over);
    expect([run.value, user.kinds, await house.done('a')]).toEqual([0, ['done'], 3]);
    expect(said(user, 'The cheap zone has begun')).toHaveLength(1);
    const bill = JSON.parse(user.io.written.at(-1) ?? '');
    expect(bill.waited_seconds).toBeGreaterThanOrEqual(180);
    expect(bill.images_per_hour).toBeCloseTo((3 / (bill.seconds - bill.waited_seconds)) * 3600, -1);
    const lines: string[] = [];
    const io = Object.assign(Object.create(user.io), { out: (line: string) => lines.push(line) });
    humanReporter({ io, clock: house.clock, cwd: '/', assumptions: () => [] }).event(bill);
    expect(lines[1]).toMatch(/^a: 3 pictures made in 3 min .*, of which it waited for cheap electricity for 3 min/);
  });

  it('leaves what it waits out of the rate, up to the last picture of the batch that it finishes first', () => {
    const tally = new Tally(house.clock);
    house.clock.advance(60_000);
    tally.rest.begin();
    house.clock.advance(60_000);
    tally.add(null);
    house.clock.advance(3_600_000);
    expect(tally.imagesPerHour).toBe(30);
    tally.rest.end();
    house.clock.advance(60_000);
    tally.add(null);
    expect(tally.imagesPerHour).toBe(40);
  });

  it('lets an interactive one of another command through at once', async () => {
    running();
    await waiting();
    const other = house.command('other');
    const urgent = running(other, { priority: 'interactive' }, 'urgent');
    await house.until(urgent.over);
    expect([urgent.value, await house.done('urgent'), await house.done('a')]).toEqual([0, 3, 0]);
    expect(said(other, 'Waits for')).toEqual([]);
  });

  it('is taken out by Ctrl-C, and goes on with the same command', async () => {
    const run = running();
    await waiting();
    user.interrupt();
    await house.until(run.over);
    expect([run.value, await house.states('a'), await house.queue.ids()]).toEqual([130, { interrupted: 3 }, []]);
    house.clock.set(14 * HOUR);
    house.queue = new MemoryQueue(house.clock);
    const again = running(house.command('again'));
    await house.until(again.over);
    expect([again.value, await house.done('a')]).toEqual([0, 3]);
  });

  it('ends when it is cancelled', async () => {
    const run = running();
    await waiting();
    await house.store.cancel(
      (await house.store.jobsOf((await house.store.runByName('a'))?.id ?? '')).map(({ id }) => id),
    );
    await house.until(run.over);
    expect([run.value, await house.queue.ids()]).toEqual([3, []]);
  });

  it('does not wait for a time that a clock which was set back has moved into tomorrow', async () => {
    house.clock.set(3 * 24 * HOUR);
    const run = running();
    await waiting();
    house.clock.set(-3 * 24 * HOUR - 4 * HOUR);
    await house.until(run.over);
    expect([run.value, await house.done('a')]).toEqual([0, 3]);
  });

  it('says so beside another command that works, and waits on when it takes over', async () => {
    const owner = house.command('owner');
    const first = running(owner, { when: 'now' }, 'b');
    await house.until(async () => (await house.states('b')).running === 1);
    const run = running();
    await waiting();
    house.queue = new MemoryQueue(house.clock);
    await house.until(first.over);
    await house.letPass(20_000);
    expect([house.owner, await house.done('a')]).toEqual(['user', 0]);
    house.clock.set(14 * HOUR);
    await house.until(run.over);
    expect([run.value, await house.done('a')]).toEqual([0, 3]);
    expect(said(user, 'Waits for')).toHaveLength(1);
  });

  it('says so in the line that is drawn again and again', () => {
    const { io } = user;
    const live: string[] = [];
    const terminal = Object.assign(Object.create(io), {
      isTTY: true,
      columns: 100,
      live: (line: string) => live.push(line),
    });
    const reporter = humanReporter({ io: terminal, clock: house.clock, cwd: '/', assumptions: () => [] });
    const started = { event: 'run', run: 'r', name: 'a', resumed: false, jobs: 3, to_make: 3 } as const;
    reporter.event({ ...started, cached: 0, failed: 0, removed: 0, out_dir: '/' });
    reporter.rests('waits until 22:00');
    expect(live.at(-1)).toContain('0/3  0/h  waits until 22:00');
    reporter.rests(null);
    expect(live.at(-1)).toContain('starting');
  });
});

describe('what commands tell of a run that waits', () => {
  const waits = () => new WaitsToTell(user.app, NIGHT);
  const job = { priority: 'bulk', when: 'cheap', state: 'queued' } as const;

  it('names the time for what is to be made, and for nothing else', () => {
    expect(waits().until(job)).toBe(Date.UTC(2026, 0, 1, 22));
    expect(waits().until({ ...job, when: 'now' })).toBeNull();
    expect(waits().until({ ...job, priority: 'interactive' })).toBeNull();
    for (const state of ['running', 'done', 'failed', 'cancelled', 'interrupted'] as const)
      expect(waits().until({ ...job, state })).toBeNull();
  });

  it('speaks of the run as a whole where all that is left waits', async () => {
    running();
    await waiting();
    const run = await house.store.runByName('a');
    if (run === undefined) throw new Error('there is no run');
    expect(await waits().zoneOfRun(house.store, run)).toBe(zone());
    const [row] = await house.store.jobsOf(run.id);
    if (row === undefined) throw new Error('it has no job');
    expect(waits().short(row)).toMatch(/^cheap from 22:00( UTC)?$/);
    expect(await waits().zoneOfRun(house.store, { ...run, counts: { ...run.counts, running: 1 } })).toBeNull();
  });
});

it('the begin of a zone is told by the clock of the tariff, as it is configured, and says whose clock that is', () => {
  const noon = Date.parse('2026-11-29T22:15Z');
  // No host of ours is there, 13:45 east.
  const islands = nightOf('Pacific/Chatham');
  expect(zoneAt(islands, noon + 10 * HOUR, noon)).toMatch(/begins at 22:00 Pacific\/Chatham \(0\.18 EUR/);
  expect(zoneAt(nightOf(null), Date.parse('2026-11-30T22:00'), Date.parse('2026-11-30T12:00'))).toContain(
    'begins at 22:00 (0.18 EUR',
  );
});

describe('--when', () => {
  const said = { fields: [], order: 'breadth', tag: {} } as const;
  const asked = (options: Partial<Parameters<typeof askOf>[2]>) => askOf(user.app, 'a cat', { ...said, ...options });

  it('cheap makes one prompt bulk, which can wait', async () => {
    expect(await asked({ when: 'cheap' })).toMatchObject({ priority: 'bulk' });
    expect(await asked({ when: 'now' })).toMatchObject({ priority: 'interactive' });
  });

  it('cheap stands against an interactive priority', async () => {
    await expect(asked({ when: 'cheap', priority: 'interactive' })).rejects.toMatchObject({ code: 'bad_flag' });
  });

  it('is left to whoever makes the pictures where nobody says it, and is the configured one else', async () => {
    expect(await asked({})).toMatchObject({ when: null });
    await house.close();
    house = new House({ env: { KILNWATT_WHEN: 'cheap' } });
    user = house.command('user');
    expect(await asked({})).toMatchObject({ when: 'cheap', priority: 'interactive' });
  });
});
