import { beforeEach, describe, expect, it } from 'vitest';
import { submissionClerk } from '../../src/cli/desk-clerk.ts';
import { loadConfig } from '../../src/config.ts';
import { AppError, ConfigError, HandedBack, InputError, StorageError } from '../../src/errors.ts';
import { MemoryImages } from '../../src/images/memory.ts';
import { MemoryRegistry } from '../../src/model/memory.ts';
import type { Clerk } from '../../src/ports.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import type { Ask } from '../../src/submission.ts';
import { MODEL } from '../pipeline/workshop.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { remote } from './desk-samples.ts';

const [FIRST, SECOND] = ['01993f2e-7c1a-7000-8000-000000000001', '01993f2e-7c1a-7000-8000-000000000002'];
const ELSEWHERE = loadConfig({ env: { HOME: '/home/user' }, cwd: '/home/user' });
const HOST = loadConfig({ flags: { model: 'tiny', out: '/pictures' }, env: { HOME: '/home/host' }, cwd: '/home/host' });

let store: MemoryStore;
let faults: string[];
let images: MemoryImages;
let models: MemoryRegistry;
let seed: number;
let requireRoom: () => Promise<void>;
beforeEach(() => {
  store = new MemoryStore();
  faults = [];
  images = new MemoryImages();
  models = new MemoryRegistry([MODEL]);
  seed = 0;
  requireRoom = async () => {};
});

function clerk(loaded = HOST): Clerk {
  return submissionClerk({
    clock: new ManualClock(),
    models,
    images,
    loaded,
    requireRoom: () => requireRoom(),
    isAlive: () => false,
    randomSeed: () => {
      seed += 1;
      return seed;
    },
    store: async () => store,
    fault: (point) => void faults.push(point),
  });
}

const handIn = (id: string, change: Partial<Ask> = {}) => clerk()({ id, body: remote(change, ELSEWHERE) });
const everything = async () => {
  const runs = await store.runs(10);
  return Promise.all(runs.map(async (run) => ({ ...run, jobs: await store.jobsOf(run.id) })));
};

describe('a run that is handed in', () => {
  it('is in the store for whoever serves when it is answered, under the id of the question', async () => {
    const answer = await handIn(FIRST, { name: 'far' });
    expect(answer).toMatchObject({ event: 'run', run: FIRST, name: 'far', resumed: false, jobs: 2, to_make: 2 });
    const [run] = await everything();
    expect(run).toMatchObject({ id: FIRST, served: true, counts: { submitting: 2 } });
    expect(run?.jobs[0]?.path).toMatch(/^\/pictures\/far\//);
    expect(faults).toEqual(['run_written']);
  });

  it('that arrives again is answered the same, and nothing is written', async () => {
    for (const change of [{}, { name: 'far' }, { fresh: true }]) {
      store = new MemoryStore();
      const first = await handIn(FIRST, change);
      const before = await everything();
      const sequence = await store.sequence();
      expect(await handIn(FIRST, change)).toEqual(first);
      expect(await everything()).toEqual(before);
      expect(await store.sequence()).toBe(sequence);
    }
  });

  it('that went on with an interrupted one and arrives again finds it too', async () => {
    await handIn(FIRST);
    await store.interrupt(FIRST, FIRST);
    const resumed = await handIn(SECOND);
    expect(resumed).toMatchObject({ run: FIRST, resumed: true, to_make: 2 });
    const before = await everything();
    expect(await handIn(SECOND)).toEqual(resumed);
    expect(await everything()).toEqual(before);
    expect(before).toHaveLength(1);
  });

  it('that nobody named twice is two runs', async () => {
    const [first, second] = [await handIn(FIRST, { fresh: true }), await handIn(SECOND, { fresh: true })];
    expect(second).toMatchObject({ resumed: false, to_make: 2 });
    expect(first).not.toMatchObject({ name: (second as { name: string }).name });
    expect(await everything()).toHaveLength(2);
  });

  it('adds new lines to a run of its name', async () => {
    await handIn(FIRST, { name: 'far' });
    const drafts = ['a cat', 'a dog', 'a bird'].map((prompt, at) => ({ prompt, place: `p.txt:${at + 1}` }));
    const answer = await handIn(SECOND, { name: 'far', drafts });
    expect(answer).toMatchObject({ run: FIRST, resumed: true, jobs: 3 });
    expect((await everything()).map((run) => run.jobs.length)).toEqual([3]);
  });

  it('is refused with its place, and nothing is written', async () => {
    const drafts = [{ prompt: 'a cat', width: 65, place: 'p.txt:9' }];
    const refusal = await handIn(FIRST, { drafts }).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(InputError);
    expect(refusal).toMatchObject({ code: 'bad_size', place: 'p.txt:9' });
    expect(await everything()).toEqual([]);
  });

  it('is refused where the disk of this host is full', async () => {
    images.requireRoom = async () => {
      throw new StorageError('the disk is full', { code: 'disk_full' });
    };
    await expect(handIn(FIRST)).rejects.toMatchObject({ code: 'disk_full' });
    expect(await everything()).toEqual([]);
  });

  it('is refused where any folder of its pictures, or the disk of queue and database, has no room', async () => {
    const full = new StorageError('the disk is full', { code: 'disk_full' });
    const asked: string[] = [];
    images.requireRoom = async (target) => {
      asked.push(target);
      if (target.includes('/a-dog/')) throw full;
    };
    const flags = { model: 'tiny', out: '/pictures', pattern: '{prompt:40}/{index:05}' };
    const host = loadConfig({ flags, env: { HOME: '/home/host' }, cwd: '/home/host' });
    const question = { id: FIRST, body: remote({ n: 2 }, ELSEWHERE) };
    await expect(clerk(host)(question)).rejects.toMatchObject({ code: 'disk_full' });
    expect(asked).toHaveLength(2);
    images.requireRoom = async () => {};
    requireRoom = async () => {
      throw full;
    };
    await expect(handIn(FIRST)).rejects.toMatchObject({ code: 'disk_full' });
    expect(await everything()).toEqual([]);
  });

  it('is left to whoever serves next when this one is interrupted over it', async () => {
    models.resolve = async () => {
      throw new AppError('interrupted', { code: 'interrupted' });
    };
    await expect(handIn(FIRST)).rejects.toBeInstanceOf(HandedBack);
  });

  it('under an id that is no UUID is refused: it would become part of a path', async () => {
    await expect(handIn('../../owner')).rejects.toBeInstanceOf(ConfigError);
  });
});
