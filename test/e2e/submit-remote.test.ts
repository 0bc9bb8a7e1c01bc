import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { TestServer } from '../queue/server.ts';
import { type Ended, Kiln, type Running } from '../support/kiln.ts';

const server = new TestServer();
const prompts = (count: number) => Array.from({ length: count }, (_, at) => `prompt ${at}`).join('\n');

/** Of a host that has neither models nor a card, and knows the queue. */
const BARE = { KILNWATT_MODEL: '', KILNWATT_MODELS_DIR: '/nowhere', KILNWATT_QUEUE: 'shared' };

let host: Kiln;
let elsewhere: Kiln;
let alone: Kiln;
let unheard: Promise<Ended>;

beforeAll(async () => {
  await server.start();
  alone = new Kiln({ ...BARE, KILNWATT_REDIS_URL: redisUrl(), KILNWATT_QUEUE: 'deserted' });
  // It waits for half a minute, in which the other tests run.
  unheard = alone.run(['submit', 'a cat']);
});
afterAll(async () => {
  await alone.close();
  await server.close();
});

beforeEach(() => {
  const pattern = { KILNWATT_PATTERN: 'served-{index:02}' };
  host = new Kiln({ ...pattern, KILNWATT_REDIS_URL: redisUrl(), KILNWATT_QUEUE: 'shared' });
  elsewhere = new Kiln({ ...BARE, KILNWATT_REDIS_URL: redisUrl() });
});
afterEach(() => Promise.all([host.close(), elsewhere.close()]));

function redisUrl(): string {
  return `unix://${server.socketPath}`;
}

async function serving(env: Record<string, string> = {}): Promise<Running> {
  const running = host.start(['serve'], env);
  await running.errorLine(/^From another host: /);
  return running;
}

async function stopped(running: Running): Promise<Ended> {
  running.process.kill('SIGTERM');
  const ended = await running.ended;
  expect([ended.code, ended.signal], ended.stderr).toEqual([0, null]);
  return ended;
}

const madeOnHost = (pictures: readonly string[]) =>
  vi.waitFor(() => expect(host.pictures()).toEqual(pictures), { timeout: 20_000, interval: 50 });

/** Questions that lie on a desk, answered or not. */
function lying(queue: string): Promise<readonly string[]> {
  return server.raw(async (redis) =>
    (await redis.keys(`bull:${queue}-desk:*-*`)).filter((key) => !key.endsWith('check')),
  );
}

describe('submit from another host', () => {
  it('has the pictures made where serve runs, with the models and the defaults of that host', async () => {
    const running = await serving();
    const args = ['submit', elsewhere.write('p.txt', prompts(3)), '--name', 'far', '--tag', 'who=me', '--json'];
    const ended = await elsewhere.run(args);
    expect(ended.code, ended.stderr).toBe(0);
    expect(Kiln.events(ended)).toEqual([
      {
        event: 'run',
        run: expect.stringMatching(/^[0-9a-f-]{36}$/),
        name: 'far',
        resumed: false,
        jobs: 3,
        to_make: 3,
        cached: 0,
        failed: 0,
        removed: 0,
        out_dir: join(host.work, 'outputs'),
      },
    ]);
    await madeOnHost(['served-01.png', 'served-02.png', 'served-03.png']);
    await vi.waitFor(() => expect(running.lines().join('\n')).toMatch(/^far: 3\/3, /m), {
      timeout: 20_000,
      interval: 20,
    });
    expect(host.rows('SELECT name, tags FROM runs')).toEqual([{ name: 'far', tags: '{"who":"me"}' }]);
    expect(existsSync(join(elsewhere.data, 'kilnwatt.sqlite'))).toBe(false);
    expect(await lying('shared')).toEqual([]);
    await stopped(running);
  });

  it('adds to a run of a name, and what is said explicitly goes before the host', async () => {
    const running = await serving();
    await elsewhere.run(['submit', elsewhere.write('p.txt', prompts(2)), '--name', 'far']);
    await madeOnHost(['served-01.png', 'served-02.png']);
    elsewhere.write('p.txt', prompts(3));
    const flags = ['--format', 'webp', '--pattern', 'mine-{index}', '--out', join(host.work, 'outputs/deep')];
    const more = await elsewhere.run(['submit', 'p.txt', '--name', 'far', ...flags]);
    expect([more.code, more.stdout]).toEqual([0, 'Submitted far: 1 picture to make, 2 pictures done before\n']);
    await madeOnHost(['deep/mine-3.webp', 'served-01.png', 'served-02.png']);
    await stopped(running);
  });

  it('is refused as on that host: with file and line, the same sentence, and the same exit code', async () => {
    const running = await serving();
    elsewhere.write('p.txt', 'a cat\na dog --width 65\n');
    const bad = await elsewhere.run(['submit', 'p.txt']);
    expect([bad.code, bad.stdout]).toEqual([2, '']);
    expect(bad.stderr).toMatch(/^kilnwatt: p\.txt:2: width must be divisible by 8 for tiny-sd, not 65; .*\n$/);
    const unknown = await elsewhere.run(['submit', 'a cat', '--model', 'nothing-of-the-kind']);
    expect([unknown.code, unknown.stdout]).toEqual([2, '']);
    expect(unknown.stderr).toContain('nothing-of-the-kind');
    expect(host.rows('SELECT id FROM runs')).toEqual([]);
    await stopped(running);
  });

  it('refuses paths that count from a folder of its own, before anything is handed in', async () => {
    elsewhere.write('p.txt', 'a cat\na dog --model ./models/mine\n');
    for (const [args, place] of [
      [['submit', 'a cat', '--out', 'pictures'], '--out'],
      [['submit', 'a cat', '--model', './models/mine'], '--model'],
      [['submit', 'p.txt'], 'p.txt:2'],
    ] as const) {
      const ended = await elsewhere.run(args);
      expect([ended.code, ended.stderr]).toEqual([2, expect.stringMatching(`^kilnwatt: ${place}: .*host that serves`)]);
    }
    expect(await lying('shared')).toEqual([]);
  });

  it('gets its answer, and its run is there once, when serve is killed after it has written the run down', async () => {
    const killed = await serving({ KILNWATT_FAULT: 'run_written' });
    const submitting = elsewhere.run(['submit', elsewhere.write('p.txt', prompts(3)), '--json']);
    expect((await killed.ended).signal).toBe('SIGKILL');
    const running = await serving();
    const ended = await submitting;
    expect(ended.code, ended.stderr).toBe(0);
    const [event] = Kiln.events(ended);
    expect(event).toMatchObject({ resumed: false, jobs: 3 });
    expect(host.rows('SELECT id, name FROM runs')).toEqual([{ id: event?.run, name: event?.name }]);
    await madeOnHost(['served-01.png', 'served-02.png', 'served-03.png']);
    await stopped(running);
    expect(host.rows("SELECT count(*) AS n FROM entries WHERE kind = 'active'")).toEqual([{ n: 3 }]);
  });

  it('is the only way in: a run on a host of its own is refused while another works the queue, and takes no job away', async () => {
    const running = await serving();
    await elsewhere.run(['submit', elsewhere.write('p.txt', prompts(3))]);
    const stranger = new Kiln({ KILNWATT_REDIS_URL: redisUrl(), KILNWATT_QUEUE: 'shared' });
    try {
      const ended = await stranger.run(['run', 'a cat']);
      expect(ended.code, ended.stderr).toBe(4);
      expect(ended.stderr).toMatch(/^kilnwatt: the queue shared at .* is worked by the kilnwatt on \S+ \(data folder/m);
      expect(ended.stderr).toContain(host.data);
      expect(stranger.rows('SELECT id FROM runs')).toEqual([]);
    } finally {
      await stranger.close();
    }
    await madeOnHost(['served-01.png', 'served-02.png', 'served-03.png']);
    await stopped(running);
  });

  it('takes the run back when it is interrupted before anybody serves', async () => {
    const submitting = elsewhere.start(['submit', 'a cat']);
    await vi.waitFor(async () => expect(await lying('shared')).not.toEqual([]), { timeout: 20_000, interval: 50 });
    submitting.process.kill('SIGINT');
    const ended = await submitting.ended;
    expect([ended.code, ended.stderr]).toEqual([
      130,
      'kilnwatt: interrupted; the run was taken back, and none of it is made\n',
    ]);
    expect(await lying('shared')).toEqual([]);
  });

  it('waits half a minute for somebody who serves, says where it looked and what to do, and leaves nothing there', async () => {
    const ended = await unheard;
    expect([ended.code, ended.stdout]).toEqual([6, '']);
    expect(ended.stderr).toContain(
      `kilnwatt: nobody serves the queue deserted at ${redisUrl()}: the run lay there for 30 s and was taken back. ` +
        `On the host with the card: KILNWATT_QUEUE=deserted kilnwatt serve --redis-url ${redisUrl()}`,
    );
    expect(await lying('deserted')).toEqual([]);
  }, 60_000);
});
