import { beforeEach, describe, expect, it } from 'vitest';
import { Herald } from '../../src/cli/herald.ts';
import { StorageError } from '../../src/errors.ts';
import { type MemoryNotifier, memoryNotifier } from '../../src/notify/memory.ts';
import { Watch } from '../../src/notify/watch.ts';
import type { JobRow } from '../../src/ports.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import { madeIn, runWrite } from '../store/samples.ts';
import { ManualClock } from '../support/manual-clock.ts';

const HOUR = 3_600_000;
const FAILED = { state: 'failed', error: { code: 'black_image', message: 'it is black' } } as JobRow;

let clock: ManualClock;
let store: MemoryStore;
let notifier: MemoryNotifier;
beforeEach(() => {
  clock = new ManualClock();
  store = new MemoryStore(clock);
  notifier = memoryNotifier();
});

const herald = () =>
  new Herald({
    run: { id: 'r1', name: 'night' },
    store,
    clock,
    notifier,
    watch: new Watch({ clock, stalledAfter: HOUR }),
    isWanted: () => true,
  });
const kinds = () => notifier.told.map(({ kind }) => kind);
const lines = () => notifier.told.map(({ line }) => line);

describe('the line of a run that several commands made', () => {
  it('holds the energy, money and time of all of it, as its counts do', async () => {
    await store.writeRun(runWrite('r1', 4));
    await store.settle(madeIn('b-1', 'r1', [0, 1]));
    clock.advance(2 * HOUR);
    const later = herald();
    await store.settle(madeIn('b-2', 'r1', [2, 3]));
    clock.advance(0.5 * HOUR);
    expect(await later.line()).toBe('4/4, ~325 J, ~0.000027 EUR, 2 h 30');
  });
});

describe('a store that cannot be read when something is to be told', () => {
  it('costs the figures: it is told all the same, and so is what comes later', async () => {
    await store.writeRun(runWrite('r1', 1));
    const telling = herald();
    const read = store.run;
    store.run = async () => {
      throw new StorageError('the disk does not answer', { code: 'io_error' });
    };
    telling.changed(FAILED);
    await telling.told();
    expect(lines()).toEqual([
      'first failure: black_image: it is black; its figures cannot be read now (the disk does not answer)',
    ]);
    store.run = read;
    await telling.finished();
    expect(lines().at(-1)).toMatch(/^0\/1, /);
  });
});

describe('the end of a run', () => {
  it('is told, also where the last picture failed', async () => {
    const telling = herald();
    telling.changed(FAILED);
    await telling.finished();
    expect(kinds()).toEqual(['first_failure', 'done']);
  });

  it('is told where a few of its pictures were cancelled on the way', async () => {
    const telling = herald();
    telling.changed({ state: 'cancelled' } as JobRow);
    telling.changed({ state: 'done', error: null } as JobRow);
    await telling.finished();
    expect(kinds()).toEqual(['done']);
  });

  it.each(['cancelled', 'interrupted'] as const)('is not told where the rest was %s', async (state) => {
    const telling = herald();
    telling.changed({ state: 'done', error: null } as JobRow);
    telling.changed({ state } as JobRow);
    await telling.finished();
    expect(kinds()).toEqual([]);
  });
});
