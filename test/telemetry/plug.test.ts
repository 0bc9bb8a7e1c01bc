import { afterEach, describe, expect, it } from 'vitest';
import type { LostReading, WallReading } from '../../src/ports.ts';
import { digestFor } from '../../src/telemetry/digest.ts';
import { type Plug, watchPlug } from '../../src/telemetry/plug.ts';
import { Rising } from '../../src/telemetry/rising.ts';
import { systemTelemetry } from '../../src/telemetry/system.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { onHost } from './fake-nvidia.ts';
import { type Answer, digested, json, type PlugServer, plugServer } from './plug-server.ts';

const TOKEN = 'a secret of the house';
const stops: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

interface Heard {
  readonly clock: ManualClock;
  readonly heard: (WallReading | LostReading)[];
  readonly server: PlugServer;
  /** Lets the next question be asked; what comes of it may take a moment. */
  ask(): Promise<void>;
}

async function listen(kind: Plug['kind'], answer: Answer, token: string | null = null, path = ''): Promise<Heard> {
  const server = await plugServer(answer);
  stops.push(() => server.close());
  const clock = new ManualClock();
  const heard: (WallReading | LostReading)[] = [];
  const plug = { kind, url: `${server.url}${path}`, token };
  // A host under load may take its time to answer here, while the clock is moved on.
  const limit = 3_600_000;
  const watching = watchPlug({ plug, clock, fetch, limit }, (reading) => heard.push(reading));
  stops.push(() => watching.stop());
  await expect.poll(() => heard.length).toBe(1);
  const ask = async () => {
    const before = server.asked.length;
    clock.advance(2_000);
    await expect.poll(() => server.asked.length).toBeGreaterThan(before);
  };
  return { clock, heard, server, ask };
}

describe('a smart plug', () => {
  it('is told of by doctor: what it says, or why it says nothing, without its address', async () => {
    const server = await plugServer(json({ id: 0, output: true, apower: 312.4, aenergy: { total: 1, by_minute: [] } }));
    const plug = { kind: 'shelly', url: server.url, token: null } as const;
    const telemetry = systemTelemetry({ run: onHost('two'), plug });
    const about = async () => (await telemetry.check()).filter(({ name }) => name === 'plug');
    expect(await about()).toEqual([
      { name: 'plug', status: 'ok', detail: 'the plug (shelly) answers: 312.4 W now, counts energy' },
    ]);
    await server.close();
    const dead = await about();
    expect(dead).toEqual([expect.objectContaining({ status: 'warn', detail: expect.stringMatching(/^the plug /) })]);
    expect(JSON.stringify(dead)).not.toContain(server.url);
  });

  it.each<readonly [Plug['kind'], unknown, number, number]>([
    ['shelly', { id: 0, output: true, apower: 312.4, aenergy: { total: 1234.5, by_minute: [5206.6] } }, 312.4, 1234.5],
    ['shelly_gen1', { meters: [{ power: 312.4, is_valid: true, total: 6000 }] }, 312.4, 100],
    ['tasmota', { StatusSNS: { Time: '…', ENERGY: { Total: 1.5, Today: 0.1, Power: 312 } } }, 312, 1500],
  ])('of the kind %s is read in its own units', async (kind, body, watts, wattHours) => {
    const { heard, clock } = await listen(kind, json(body));
    expect(heard).toEqual([{ kind: 'wall', at: clock.now(), watts, wattHours }]);
  });

  it.each([
    ['W', '312.4', { watts: 312.4, wattHours: null }],
    ['kW', '0.3', { watts: 300, wattHours: null }],
    ['kWh', '12.5', { watts: null, wattHours: 12_500 }],
  ])('may be a sensor of Home Assistant in %s', async (unit, state, figures) => {
    const body = { state, attributes: { unit_of_measurement: unit } };
    const { heard, server } = await listen('home_assistant', json(body), TOKEN, '/api/states/sensor.plug');
    expect(heard).toEqual([expect.objectContaining(figures)]);
    expect(server.asked).toEqual([{ path: '/api/states/sensor.plug', authorization: `Bearer ${TOKEN}` }]);
  });

  it.each([
    ['shelly', '/rpc/Switch.GetStatus?id=0'],
    ['shelly_gen1', '/status'],
    ['tasmota', '/cm?cmnd=Status%208'],
  ] as const)('of the kind %s is asked at its own address', async (kind, path) => {
    const { server } = await listen(kind, json({}));
    expect(server.asked[0]?.path).toBe(path);
  });

  it.each([
    ['shelly', { output: true, apower: 0, aenergy: { total: 0 } }],
    ['shelly', { id: 0, output: true }],
    ['shelly_gen1', { meters: [{ power: 0, is_valid: true }] }],
    ['shelly_gen1', { meters: [{ power: 30, total: 5, is_valid: false }] }],
    ['tasmota', { StatusSNS: { Time: '…' } }],
    ['home_assistant', { state: 'unavailable', attributes: { unit_of_measurement: 'W' } }],
    ['home_assistant', { state: '21.5', attributes: { unit_of_measurement: '°C' } }],
  ] as const)('of the kind %s that answers %j has told nothing', async (kind, body) => {
    const { heard } = await listen(kind, json(body));
    expect(heard).toEqual([expect.objectContaining({ kind: 'lost', source: 'plug' })]);
  });

  it('that has counted before may tell 0 W', async () => {
    const { heard } = await listen('shelly', json({ apower: 0, aenergy: { total: 12 } }));
    expect(heard[0]).toMatchObject({ kind: 'wall', watts: 0, wattHours: 12 });
  });

  it('is asked again every two seconds, and its counter goes on over a reset', async () => {
    const { heard, server, ask } = await listen('shelly', json({ apower: 50, aenergy: { total: 1000 } }));
    for (const total of [1001, 0.5, 1]) {
      server.answer = json({ apower: 50, aenergy: { total } });
      await ask();
    }
    await expect
      .poll(() => heard.map((reading) => reading.kind === 'wall' && reading.wattHours))
      .toEqual([1000, 1001, 1001.5, 1002]);
  });

  it('is lost once while it is gone, and is heard again', async () => {
    const { heard, server, ask } = await listen('shelly', json({ apower: 50 }));
    server.answer = (_, response) => response.writeHead(500).end();
    await ask();
    await ask();
    server.answer = json({ apower: 60 });
    await ask();
    await expect.poll(() => heard.map(({ kind }) => kind)).toEqual(['wall', 'lost', 'wall']);
    expect(heard[1]).toMatchObject({ reason: 'the plug answered with status 500' });
  });

  it('that does not answer within two seconds is lost', async () => {
    const server = await plugServer(() => {});
    stops.push(() => server.close());
    const clock = new ManualClock();
    const heard: (WallReading | LostReading)[] = [];
    const plug = { kind: 'shelly', url: server.url, token: null } as const;
    const watching = watchPlug({ plug, clock, fetch }, (reading) => heard.push(reading));
    stops.push(() => watching.stop());
    await expect.poll(() => server.asked.length).toBe(1);
    clock.advance(2_000);
    await expect.poll(() => heard).toMatchObject([{ kind: 'lost', reason: 'the plug did not answer within 2 s' }]);
  });

  it('may be stopped while it is asked, and says nothing then', async () => {
    const server = await plugServer(() => {});
    stops.push(() => server.close());
    const heard: unknown[] = [];
    const plug = { kind: 'shelly', url: server.url, token: null } as const;
    const watching = watchPlug({ plug, clock: new ManualClock(), fetch }, (reading) => heard.push(reading));
    await expect.poll(() => server.asked.length).toBe(1);
    await watching.stop();
    expect(heard).toEqual([]);
  });
});

describe('a plug with a password', () => {
  const BODY = { apower: 50, aenergy: { total: 7 } };

  it('of the second generation is answered with a digest, once for many questions', async () => {
    const { heard, server, ask } = await listen('shelly', digested(TOKEN, BODY), TOKEN);
    await ask();
    await ask();
    await expect.poll(() => heard.map(({ kind }) => kind)).toEqual(['wall', 'wall', 'wall']);
    expect(server.asked).toHaveLength(4);
    expect(server.asked[0]?.authorization).toBeUndefined();
    expect(server.asked[3]?.authorization).toMatch(/^Digest username="admin", .*nc=00000003/);
  });

  it('may hand out another nonce at any time', async () => {
    const { heard, ask } = await listen('shelly', digested(TOKEN, BODY, 1), TOKEN);
    await ask();
    await ask();
    await expect.poll(() => heard.map(({ kind }) => kind)).toEqual(['wall', 'wall', 'wall']);
  });

  it('of the first generation gets it in the plain, and Tasmota in its query', async () => {
    const first = await listen('shelly_gen1', json({ meters: [{ power: 5, total: 60 }] }), TOKEN);
    expect(first.server.asked[0]?.authorization).toBe(`Basic ${Buffer.from(`admin:${TOKEN}`).toString('base64')}`);
    const other = await listen('tasmota', json({ StatusSNS: { ENERGY: { Power: 5 } } }), TOKEN);
    expect(other.server.asked[0]?.path).toBe(`/cm?user=admin&password=${encodeURIComponent(TOKEN)}&cmnd=Status%208`);
  });

  it.each<readonly [string, Plug['kind'], Answer]>([
    ['is wrong', 'shelly', digested('another', BODY)],
    ['is refused', 'home_assistant', (_, response) => response.writeHead(401).end()],
    ['would be carried elsewhere', 'shelly', (_, response) => response.writeHead(302, { Location: '/x' }).end()],
    ['is told back to us', 'tasmota', (request, response) => response.end(request.url)],
    ['meets a dead line', 'shelly', (request) => request.socket.destroy()],
  ])('that %s is lost, and neither it nor the address is told', async (_, kind, answer) => {
    const { heard, server } = await listen(kind, answer, TOKEN);
    const told = JSON.stringify(heard);
    expect(heard).toEqual([expect.objectContaining({ kind: 'lost', reason: expect.stringMatching(/^the plug /) })]);
    for (const secret of [TOKEN, encodeURIComponent(TOKEN), new URL(server.url).port, '127.0.0.1'])
      expect(told).not.toContain(secret);
  });
});

it('the digest is that of the example in RFC 7616', () => {
  const challenge = { realm: 'http-auth@example.org', nonce: '7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v' };
  const header = digestFor(
    challenge,
    { uri: '/dir/index.html', password: 'Circle of Life', count: 1, user: 'Mufasa' },
    'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ',
  );
  expect(header).toContain(`response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"`);
});

describe('a counter that falls', () => {
  it('goes on from where it was, and one that wavers does not jump', () => {
    const rising = new Rising();
    expect([100, 101, 100.9, 101.5, 0, 2].map((reading) => rising.next(reading))).toEqual([
      100, 101, 101, 101.5, 101.5, 103.5,
    ]);
  });
});
