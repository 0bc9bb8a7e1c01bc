import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { Queue as BullQueue } from 'bullmq';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { ConfigError, InputError, UnavailableError } from '../../src/errors.ts';
import { systemClock } from '../../src/process/clock.ts';
import { BullmqDesk, type BullmqDeskOptions } from '../../src/queue/desk.ts';
import { CALM, Clerks, IDS } from './desk-samples.ts';
import { PATIENCE } from './hands.ts';
import { TestServer } from './server.ts';

const server = new TestServer();

let name = '';
let names = 0;
let clerks: Clerks;
let log: string[];
const desks: BullmqDesk[] = [];

beforeAll(() => server.start());
afterAll(() => server.close());

beforeEach(() => {
  names += 1;
  name = `queue-${names}`;
  clerks = new Clerks();
  log = [];
});

afterEach(async () => {
  const closed = desks.splice(0).map((desk) => desk.close());
  clerks.dismiss();
  await Promise.all(closed);
});

function open(options: Partial<BullmqDeskOptions> = {}): BullmqDesk {
  const connection = { socketPath: server.socketPath };
  const desk = new BullmqDesk({ connection, name, clock: systemClock, log: (line) => log.push(line), ...options });
  desks.push(desk);
  return desk;
}

const asked = (count: number): Promise<void> => vi.waitFor(() => expect(clerks.seen).toHaveLength(count), PATIENCE);

/** A question as its writer left it, past our desk. */
async function lay(id: string, paper: unknown): Promise<void> {
  const queue = new BullQueue(`${name}-desk`, { connection: { path: server.socketPath } });
  await queue.add('question', paper, { jobId: id });
  await queue.close();
}

/** Everything of this desk that lies in Redis, by its key. */
function lying(): Promise<Record<string, unknown>> {
  return server.raw(async (redis) => {
    const keys = (await redis.keys(`bull:${name}-desk:*`)).filter((key) => !/:(meta|events|stalled-check)$/.test(key));
    const values = keys.map(async (key) => [key, (await redis.type(key)) === 'hash' ? await redis.hgetall(key) : '']);
    return Object.fromEntries(await Promise.all(values)) as Record<string, unknown>;
  });
}

describe('a desk on BullMQ', () => {
  it('leaves nothing behind, answered or not', async () => {
    const asker = open();
    expect(await asker.ask({ id: IDS[0], body: 'x' }, { ...CALM, patience: 0 })).toEqual({ kind: 'unheard' });
    expect(Object.keys(await lying()).filter((key) => key.includes(IDS[0]))).toEqual([]);
    await open().attend(async () => 'answer');
    await asker.ask({ id: IDS[1], body: 'x' }, CALM);
    expect(Object.keys(await lying()).filter((key) => key.includes(IDS[1]))).toEqual([]);
  });

  it('keeps the answer of an asker that has gone, and neither its question nor the stack of a fault', async () => {
    await open().attend(async () => {
      throw new TypeError('the secret is not a function');
    });
    await lay(IDS[0], { v: 1, kind: 'question', body: 'a very long question' });
    const left = await vi.waitFor(async () => {
      const text = JSON.stringify(await lying());
      expect(text).toContain('refusal');
      return text;
    }, PATIENCE);
    expect(left).not.toMatch(/very long|secret|desk\.test|node_modules/);
    expect(log.join()).toMatch(/could not be answered: TypeError: the secret is not a function\n\s+at /);
  });

  it('is attended anew long before the lock of whoever attended and was killed runs out, and asks again what that one had in hand', async () => {
    const child = spawn(process.execPath, [resolve(import.meta.dirname, 'desk-process.ts'), server.socketPath, name]);
    await once(child.stdout, 'data');
    const heard = open().ask({ id: IDS[0], body: 'x' }, { ...CALM, patience: 100 });
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await once(child, 'close');
    // Longer than the patience: what was begun is not taken back, because nobody knows how far it had come.
    await new Promise((later) => setTimeout(later, 500));
    await open().attend(clerks.clerk);
    await asked(1);
    clerks.call(0).resolve('after all');
    expect(await heard).toEqual({ kind: 'answered', answer: 'after all' });
  });

  /** Seen after a power cut of the host that served: `submit` on the laptop waited until somebody pressed Ctrl-C. */
  it('is not waited at for ever by an asker whose question a host had in hand that died and does not come back', async () => {
    const child = spawn(process.execPath, [resolve(import.meta.dirname, 'desk-process.ts'), server.socketPath, name]);
    await once(child.stdout, 'data');
    const heard = open().ask({ id: IDS[0], body: 'x' }, { ...CALM, patience: 500 });
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await once(child, 'close');
    let ended = false;
    const told = heard.then((what) => {
      ended = true;
      return what;
    });
    // For half a minute the lock of the dead one stands: as long, it may only be slow.
    await new Promise((later) => setTimeout(later, 1_500));
    expect(ended).toBe(false);
    await server.raw((redis) => redis.unlink(`bull:${name}-desk:${IDS[0]}:lock`));
    const since = performance.now();
    expect(await told).toEqual({ kind: 'abandoned' });
    expect(performance.now() - since).toBeGreaterThan(300);
    expect(Object.keys(await lying()).filter((key) => !/:(owner|id|marker)$/.test(key))).toEqual([]);
  });

  it('has its answer also where whoever wrote it died before saying so, and does not come back', async () => {
    const heard = open().ask({ id: IDS[0], body: 'x' }, { ...CALM, patience: 500 });
    await vi.waitFor(async () => expect(Object.keys(await lying()).join()).toContain(IDS[0]), PATIENCE);
    await server.raw((redis) =>
      redis
        .multi()
        .lrem(`bull:${name}-desk:wait`, 0, IDS[0])
        .lpush(`bull:${name}-desk:active`, IDS[0])
        .hset(`bull:${name}-desk:${IDS[0]}`, { ats: 1, data: JSON.stringify({ v: 1, kind: 'answer', body: 'mine' }) })
        .exec(),
    );
    expect(await heard).toEqual({ kind: 'answered', answer: 'mine' });
  });

  it('hands out the answer of one who died before he could say that it is there', async () => {
    await lay(IDS[0], { v: 1, kind: 'answer', body: 'written before' });
    const heard = open().ask({ id: IDS[0], body: 'x' }, CALM);
    await open().attend(clerks.clerk);
    expect(await heard).toEqual({ kind: 'answered', answer: 'written before' });
    expect(clerks.seen).toEqual([]);
  });

  it.each([{ v: 2, kind: 'question', body: 'x' }, { v: 1, kind: 'question', body: 'x', urgent: true }, 'x'])(
    'refuses what another version wrote: %j',
    async (paper) => {
      await lay(IDS[0], paper);
      const heard = open().ask({ id: IDS[0], body: 'x' }, CALM);
      await open().attend(clerks.clerk);
      const error = await heard.catch((caught: unknown) => caught);
      expect(error).toBeInstanceOf(ConfigError);
      expect(error).toMatchObject({
        code: 'desk_unreadable',
        message: expect.stringMatching(
          /^what lies in the queue was written by another version of kilnwatt \(.+\); use/,
        ),
      });
      expect(clerks.seen).toEqual([]);
    },
  );

  it('hears of a Redis that is not there', async () => {
    const desk = open({ connection: { socketPath: `${server.root}/none` }, patienceMs: 100 });
    const asking = desk.ask({ id: IDS[0], body: 'x' }, CALM);
    await expect(asking).rejects.toThrow(/is not to be had \(.*\); start it, or correct redis_url\.$/);
    await expect(desk.attend(clerks.clerk)).rejects.toBeInstanceOf(UnavailableError);
  });

  it('is left at once by an interrupt while Redis is not there', async () => {
    const desk = open({ connection: { socketPath: `${server.root}/none` }, patienceMs: 50_000 });
    const interrupt = new AbortController();
    const heard = desk.ask({ id: IDS[0], body: 'x' }, { ...CALM, signal: interrupt.signal });
    const started = performance.now();
    interrupt.abort();
    expect(await heard).toEqual({ kind: 'interrupted', takenBack: true });
    expect(performance.now() - started).toBeLessThan(25_000);
  });

  it('carries 10,000 prompts at once', async () => {
    const prompt =
      'a small yellow star at the top on a black background, drawn with a thin pen, four of a series of ten';
    const body = Array.from({ length: 10_000 }, (_, at) => ({ prompt: `${prompt} ${at}`, place: `night.txt:${at}` }));
    await open().attend(async (question) => (question.body as unknown[]).length);
    const started = performance.now();
    expect(await open().ask({ id: IDS[0], body }, CALM)).toMatchObject({ answer: 10_000 });
    const seconds = (performance.now() - started) / 1_000;
    const megabytes = JSON.stringify(body).length / 1e6;
    console.log(`10,000 prompts (${megabytes.toFixed(1)} MB) asked and answered in ${seconds.toFixed(2)} s`);
    expect(seconds).toBeLessThan(15);
  });

  it('has one clerk at a time, and another when that one has left', async () => {
    const desk = open();
    const attendance = await desk.attend(clerks.clerk);
    await expect(desk.attend(clerks.clerk)).rejects.toMatchObject({ code: 'queue_in_use' });
    await attendance.stop();
    await desk.attend(async () => 'the second');
    expect(await open().ask({ id: IDS[0], body: 'x' }, CALM)).toMatchObject({ answer: 'the second' });
  });
});

describe('a Redis that is killed and comes back', () => {
  it('loses neither a question that waits, nor one in hand, nor whoever attends', async () => {
    const asker = open();
    await open().attend(clerks.clerk);
    const [first, second] = [0, 1].map((at) => asker.ask({ id: IDS[at] ?? '', body: at }, CALM));
    await asked(1);
    await server.kill();
    clerks.call(0).resolve('while it was away');
    await server.start();
    await asked(2);
    const again = clerks.call(1);
    again.resolve('afterwards');
    const answers = await Promise.all([first, second]);
    expect(answers.map((heard) => heard?.kind)).toEqual(['answered', 'answered']);
    for (let round = 0; round < 3; round += 1) {
      await server.kill();
      await server.start();
    }
    const third = asker.ask({ id: IDS[2], body: 'x' }, CALM);
    await vi.waitFor(() => expect(clerks.seen).toContain(IDS[2]), PATIENCE);
    clerks.call(clerks.seen.lastIndexOf(IDS[2])).resolve('still here');
    expect(await third).toMatchObject({ answer: 'still here' });
  });

  it('is not waited for by an asker for ever, who hears that the question may be taken all the same', async () => {
    const desk = open({ patienceMs: 300 });
    const heard = desk.ask({ id: IDS[0], body: 'x' }, CALM).catch((caught: unknown) => caught);
    await vi.waitFor(async () => expect(Object.keys(await lying()).join()).toContain(IDS[0]), PATIENCE);
    await server.kill();
    const error = await heard;
    await server.start();
    expect(error).toBeInstanceOf(UnavailableError);
    expect(error).toMatchObject({
      message: expect.stringMatching(/What was handed in may still be taken when it is back\.$/),
    });
    expect(error).not.toBeInstanceOf(InputError);
  });
});
