import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ConfigError, HandedBack, InputError, StorageError, UnavailableError } from '../../src/errors.ts';
import type { AskOptions, Attendance, Desk, Heard } from '../../src/ports.ts';
import type { Millis } from '../../src/units.ts';
import { CALM, Clerks, IDS } from '../queue/desk-samples.ts';

const PATIENCE = { timeout: 8_000, interval: 10 };

/** How long a stop waits for the clerk. */
const STOP_LIMIT_MS = 600;

/** What every desk promises. `make` opens one from two sides, as two hosts have it. */
export function deskContract(
  make: (stopLimit: Millis) => Promise<{ readonly asker: Desk; readonly server: Desk }>,
): void {
  describe('a desk', () => {
    let asker: Desk;
    let server: Desk;
    let clerks: Clerks;
    let attendance: Attendance | undefined;
    beforeEach(async () => {
      ({ asker, server } = await make(STOP_LIMIT_MS));
      clerks = new Clerks();
      attendance = undefined;
    });
    afterEach(async () => {
      const closed = Promise.all([attendance?.stop(), asker.close(), server.close()]);
      clerks.dismiss();
      await closed;
    });

    const attend = async (): Promise<void> => {
      attendance = await server.attend(clerks.clerk);
    };
    const ask = (id: string, body: unknown, change: Partial<AskOptions> = {}): Promise<Heard> =>
      asker.ask({ id, body }, { ...CALM, ...change });
    const asked = (...ids: readonly string[]) => vi.waitFor(() => expect(clerks.seen).toEqual(ids), PATIENCE);

    it('takes a question to the clerk whole, and the answer back', async () => {
      await attend();
      let handedIn = 0;
      const onHandingIn = (): void => {
        handedIn += 1;
      };
      const body = { drafts: [{ prompt: 'ein „Bär“ 🐻\u0000\n', seed: null, n: 3 }], tags: {} };
      const heard = ask(IDS[0], body, { onHandingIn });
      await asked(IDS[0]);
      expect(clerks.call(0).body).toEqual(body);
      clerks.call(0).resolve({ run: 'night', jobs: 3, left: null });
      expect(await heard).toEqual({ kind: 'answered', answer: { run: 'night', jobs: 3, left: null } });
      expect(handedIn).toBe(1);
    });

    it('keeps questions for whoever comes, and has them answered one after the other in their order', async () => {
      const first = ask(IDS[0], 'one');
      await new Promise((later) => setTimeout(later, 50));
      const second = ask(IDS[1], 'two');
      await new Promise((later) => setTimeout(later, 50));
      await attend();
      await asked(IDS[0]);
      clerks.call(0).resolve(1);
      await asked(IDS[0], IDS[1]);
      clerks.call(1).resolve(2);
      expect([await first, await second]).toMatchObject([{ answer: 1 }, { answer: 2 }]);
    });

    it.each([
      [new InputError('width must be divisible by 8', { code: 'bad_size', place: 'night.txt:7' })],
      [new InputError('finds no interrupted run', { code: 'bad_flag' })],
      [new ConfigError('the queue is not fit', { code: 'redis_evicts' })],
      [new StorageError('the disk is full', { code: 'disk_full' })],
      [new UnavailableError('the hub is not to be reached', { code: 'model_unreachable' })],
    ])('carries a refusal: %s', async (refusal) => {
      await attend();
      const heard = ask(IDS[0], 'x');
      await asked(IDS[0]);
      clerks.call(0).reject(refusal);
      const error = await heard.catch((caught: unknown) => caught);
      expect(error).toBeInstanceOf(refusal.constructor);
      const place = refusal instanceof InputError ? { place: refusal.place } : {};
      expect(error).toMatchObject({ code: refusal.code, message: refusal.message, ...place });
    });

    it('tells the asker of a fault of the other side, and nothing about it', async () => {
      await attend();
      const heard = ask(IDS[0], 'x');
      await asked(IDS[0]);
      clerks.call(0).reject(new TypeError('secret is not a function'));
      const error = await heard.catch((caught: unknown) => caught);
      expect(error).toMatchObject({ code: 'internal', message: expect.stringMatching(/^whoever serves met a fault/) });
      expect(String(error)).not.toContain('secret');
    });

    it('takes a question back that nobody began with in time, and nobody gets it later', async () => {
      expect(await ask(IDS[0], 'early', { patience: 150 })).toEqual({ kind: 'unheard' });
      await attend();
      const heard = ask(IDS[1], 'late');
      await asked(IDS[1]);
      clerks.call(0).resolve('here');
      expect(await heard).toMatchObject({ answer: 'here' });
    });

    it('waits on, whatever its patience, once somebody has begun', async () => {
      await attend();
      const heard = ask(IDS[0], 'long', { patience: 100 });
      await asked(IDS[0]);
      await new Promise((later) => setTimeout(later, 400));
      clerks.call(0).resolve('done');
      expect(await heard).toMatchObject({ answer: 'done' });
    });

    it('waits on while others are answered', async () => {
      await attend();
      const before = ask(IDS[0], 'long');
      await asked(IDS[0]);
      const heard = ask(IDS[1], 'in line', { patience: 100 });
      await new Promise((later) => setTimeout(later, 400));
      clerks.call(0).resolve(1);
      await asked(IDS[0], IDS[1]);
      clerks.call(1).resolve(2);
      expect([await before, await heard]).toMatchObject([{ answer: 1 }, { answer: 2 }]);
    });

    it('takes a question back when it is interrupted before anybody began', async () => {
      const interrupt = new AbortController();
      const heard = ask(IDS[0], 'x', { signal: interrupt.signal });
      await new Promise((later) => setTimeout(later, 200));
      interrupt.abort();
      expect(await heard).toEqual({ kind: 'interrupted', takenBack: true });
      await attend();
      const next = ask(IDS[1], 'y');
      await asked(IDS[1]);
      clerks.call(0).resolve('here');
      await next;
    });

    it('says that it may have been taken when it is interrupted later', async () => {
      await attend();
      const interrupt = new AbortController();
      const heard = ask(IDS[0], 'x', { signal: interrupt.signal });
      await asked(IDS[0]);
      interrupt.abort();
      expect(await heard).toEqual({ kind: 'interrupted', takenBack: false });
      clerks.call(0).resolve('done');
    });

    it('stops after the question in hand, and leaves the next one to whoever comes', async () => {
      await attend();
      const [first, second] = [ask(IDS[0], 'one'), ask(IDS[1], 'two')];
      await vi.waitFor(() => expect(clerks.seen).toHaveLength(1), PATIENCE);
      const order = clerks.call(0).id === IDS[0] ? [first, second] : [second, first];
      let stopped = false;
      const stop = attendance?.stop().then(() => {
        stopped = true;
      });
      await new Promise((later) => setTimeout(later, 100));
      expect(stopped).toBe(false);
      clerks.call(0).resolve('last');
      expect(await order[0]).toMatchObject({ answer: 'last' });
      await stop;
      expect(clerks.seen).toHaveLength(1);
      await attend();
      await vi.waitFor(() => expect(clerks.seen).toHaveLength(2), PATIENCE);
      clerks.call(1).resolve('first');
      expect(await order[1]).toMatchObject({ answer: 'first' });
    });

    it('keeps a question that its clerk hands back for the next one', async () => {
      await attend();
      const heard = ask(IDS[0], 'x', { patience: 2_000 });
      await asked(IDS[0]);
      const stop = attendance?.stop();
      clerks.call(0).reject(new HandedBack());
      await stop;
      await new Promise((later) => setTimeout(later, 300));
      await attend();
      await asked(IDS[0], IDS[0]);
      clerks.call(1).resolve('after all');
      expect(await heard).toMatchObject({ answer: 'after all' });
    });

    it('does not wait for ever for a question that was begun, once nobody attends any more, and nobody gets it later', async () => {
      await attend();
      const heard = ask(IDS[0], 'x', { patience: 300 });
      await asked(IDS[0]);
      const stop = attendance?.stop();
      clerks.call(0).reject(new HandedBack());
      await stop;
      expect(await heard).toEqual({ kind: 'abandoned' });
      await attend();
      const next = ask(IDS[1], 'y');
      await asked(IDS[0], IDS[1]);
      clerks.call(1).resolve('here');
      expect(await next).toMatchObject({ answer: 'here' });
    });

    it('stops although its clerk takes too long, and leaves the question to whoever comes', async () => {
      await attend();
      const heard = ask(IDS[0], 'x');
      await asked(IDS[0]);
      const began = performance.now();
      await attendance?.stop();
      expect(performance.now() - began).toBeGreaterThanOrEqual(STOP_LIMIT_MS - 10);
      await attend();
      await asked(IDS[0], IDS[0]);
      clerks.call(0).resolve('too late');
      clerks.call(1).resolve('after all');
      expect(await heard).toMatchObject({ answer: 'after all' });
    });

    it('refuses what is too large to travel, and nobody sees it', async () => {
      await attend();
      const error = await ask(IDS[0], { text: 'x'.repeat(33_000_000) }).catch((caught: unknown) => caught);
      expect(error).toBeInstanceOf(InputError);
      expect(error).toMatchObject({ code: 'question_too_large', message: expect.stringMatching(/33\.0 MB.*32\.0 MB/) });
      expect(clerks.seen).toEqual([]);
    });

    it('closes twice, and while it is attended', async () => {
      await attend();
      await server.close();
      await server.close();
    });
  });
}
