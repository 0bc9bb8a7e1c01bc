import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { jobsLs, jobsShow } from '../../src/cli/jobs.ts';
import { runsCancel, runsShow } from '../../src/cli/runs.ts';
import { serve } from '../../src/cli/serve.ts';
import { submit } from '../../src/cli/submit.ts';
import type { When } from '../../src/ports.ts';
import { MemoryQueue } from '../../src/queue/memory.ts';
import { HOUR } from '../cost/night.ts';
import { type Command, House } from './house.ts';

const tariff = (hours: string) => `
tariff:
  price_per_kwh: 0.34
  timezone: UTC
  zones:
    - { name: night, price_per_kwh: 0.18, hours: "${hours}" }
notify: { stalled_minutes: 1 }
`;
const ZONE = /^the cheap zone: begins at 22:00( UTC)? \(0\.18 EUR\/kWh; now 0\.34\)/;

let house: House;
beforeEach(() => {
  house = new House({ config: tariff('22:00-06:00') });
  house.clock.set(8 * HOUR);
});
afterEach(() => house.close());

async function serving(launch = 'server', flags: Readonly<Record<string, string>> = {}) {
  const server = house.command(launch, flags);
  const ending = server.ending(serve(server.app, { interrupts: server }));
  await house.until(() => server.io.errors.some((line) => line.startsWith('Serving ')), 'serving');
  return { server, ending };
}

/** One picture a run, bulk where it is to wait. */
async function submitted(name: string, when?: When): Promise<Command> {
  const user = house.command(`submit ${name}`, when === undefined ? {} : { when });
  const wish = when === undefined ? { priority: 'bulk' as const } : { when };
  const ask = { ...wish, name, n: 3, fields: [], order: 'breadth', tag: {} } as const;
  await submit(user.app, ['a cat'], { ...ask, interrupts: user });
  user.die();
  return user;
}

/** What a command says on its output. */
async function told(command: (user: Command) => Promise<number>): Promise<string> {
  const user = house.command('looker');
  await command(user);
  user.die();
  return user.io.written.join('\n');
}

const waits = (server: Command, name: string) =>
  server.io.errors.filter((line) => line.startsWith(`${name} waits for`));

describe('a server of runs that wait for cheap electricity', () => {
  it('says once of each when it goes on, tells nobody of a stall, and makes it then', async () => {
    const { server } = await serving();
    const user = await submitted('a', 'cheap');
    expect(user.io.errors.filter((line) => line.startsWith('Waits for the cheap zone: begins at'))).toHaveLength(1);
    await house.until(() => waits(server, 'a').length > 0);
    await house.letPass(180_000);
    expect([waits(server, 'a').length, await house.done('a'), server.kinds]).toEqual([1, 0, []]);
    expect(waits(server, 'a')[0]?.replace('a waits for ', '')).toMatch(ZONE);
    await submitted('b');
    await house.until(async () => (await house.done('b')) === 3);
    house.clock.set(14 * HOUR);
    await house.until(() => server.kinds.includes('done') && server.kinds.length === 2);
    expect(await house.done('a')).toBe(3);
  });

  it('tells it where jobs and runs are listed, and cancels what waits', async () => {
    await serving();
    await submitted('a', 'cheap');
    await house.until(async () => (await house.states('a')).queued === 3);
    expect(await told((user) => jobsLs(user.app, {}))).toMatch(/a\/1 +queued +cheap from 22:00( UTC)? +a cat/);
    expect(await told((user) => jobsShow(user.app, 'a/1', {}))).toMatch(/waits for +the cheap zone: begins at/);
    expect(await told((user) => runsShow(user.app, 'a', {}))).toMatch(/waits for +the cheap zone: begins at/);
    await told((user) => runsCancel(user.app, 'a', {}));
    await house.until(async () => (await house.queue.ids()).length === 0);
    expect(await house.states('a')).toEqual({ cancelled: 3 });
  });

  it('makes them at once after a start with another tariff, by which it is cheap now', async () => {
    const first = await serving();
    await submitted('a', 'cheap');
    await house.until(() => waits(first.server, 'a').length > 0);
    first.server.interrupt();
    await house.until(first.ending.over);
    expect(await house.queue.ids()).toHaveLength(3);
    house.configure(tariff('07:00-12:00'));
    house.queue = new MemoryQueue(house.clock);
    await serving('second');
    await house.until(async () => (await house.done('a')) === 3);
  });

  it('has a run wait that does not say when, where it is to, and no other', async () => {
    await serving('server', { when: 'cheap' });
    await submitted('unsaid');
    await submitted('now', 'now');
    await house.until(async () => (await house.done('now')) === 3);
    await house.letPass(5_000);
    expect(await house.done('unsaid')).toBe(0);
  });

  it('says once that waiting is of no use with one price, and makes them at once', async () => {
    house.configure('tariff: { price_per_kwh: 0.3 }');
    const { server } = await serving();
    const user = await submitted('a', 'cheap');
    await submitted('b', 'cheap');
    await house.until(async () => (await house.done('b')) === 3);
    const sentence = 'The price stays the same for the next 9 days; --when cheap changes nothing.';
    for (const { io } of [server, user]) expect(io.errors.filter((line) => line === sentence)).toHaveLength(1);
  });

  it('says once that nothing cheaper comes within a day, though the weekend is, and makes them at once', async () => {
    // It is a Thursday morning.
    const weekend = 'zones: [{ price_per_kwh: 0.22, days: "sat,sun" }]';
    house.configure(`tariff: { price_per_kwh: 0.34, timezone: UTC, ${weekend} }`);
    const { server } = await serving();
    const user = await submitted('a', 'cheap');
    await house.until(async () => (await house.done('a')) === 3);
    const sentence =
      /^No price of the next 24 hours is lower than that of now, 0\.34 EUR\/kWh, so --when cheap does not wait; it costs less from .*, 00:00.* \(0\.22\)\.$/;
    for (const { io } of [server, user]) expect(io.errors.filter((line) => sentence.test(line))).toHaveLength(1);
  });

  it('says that nothing is ever made where the hours and the cheap zone do not meet, with both settings', async () => {
    const night = tariff('22:00-06:00').replace('timezone: UTC', '');
    house.configure(`${night}hours: "08:00-18:00"\n`);
    const { server } = await serving();
    const user = await submitted('a', 'cheap');
    const sentence =
      /^What is to wait .* is not made in the next 9 days, .*: hours is 08:00-18:00, the cheap zone begins at .*22:00\. /;
    await house.until(() => server.io.errors.some((line) => sentence.test(line)), 'the warning of the server');
    expect(user.io.errors.filter((line) => sentence.test(line))).toHaveLength(1);
  });
});
