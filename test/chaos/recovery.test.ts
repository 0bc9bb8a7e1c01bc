import { describe, expect, it } from 'vitest';
import { Ear } from './ear.ts';
import { latenessOf, promisedParts, recoveryFigures } from './figures.ts';
import { Lag } from './lag.ts';
import { type Fate, type Figure, type Moment, Recovery } from './recovery.ts';
import type { Sample } from './watch.ts';

const HELD = making({ a: 'batch-1', b: 'batch-1' });
const WAITING = making({});
const AGAIN = making({ a: 'batch-2' });
const BACK: Fate = { settled: new Set(), dispatchable: new Set(['a', 'b']) };
const NOT_BACK: Fate = { settled: new Set(), dispatchable: new Set(['a']) };
const AWAY: Fate = { settled: new Set(), dispatchable: null };

describe('a recovery', () => {
  it('of a worker ends when its jobs are out of the batch that died, and the next worker has loaded and begun', () => {
    const recovery = new Recovery('worker', moment(1_000), HELD);
    recovery.hear(moment(1_010), 'cpu', 'begun');
    recovery.look(moment(1_020), HELD, BACK);
    recovery.look(moment(1_040), AGAIN, BACK);
    recovery.hear(moment(1_500), 'cpu', 'loaded');
    recovery.hear(moment(1_900), 'cpu', 'loaded');
    recovery.hear(moment(1_940), 'cpu:1', 'begun');
    expect(recovery.isOver).toBe(false);
    recovery.hear(moment(1_950), 'cpu', 'begun');
    expect(recovery.isOver).toBe(true);
    expect(tookBy(recovery)).toEqual([
      ['worker_to_dispatchable', 40],
      ['worker_loaded_to_running', 50],
    ]);
  });

  it('of one worker of two ends when its batch is back, and does not wait for that of the other', () => {
    const recovery = new Recovery('worker', moment(1_000), making({ a: 'batch-1', c: 'batch-2' }));
    const other = making({ c: 'batch-2' });
    recovery.look(moment(1_020), other, { settled: new Set(), dispatchable: new Set() });
    expect(tookBy(recovery)).toEqual([]);
    recovery.look(moment(1_040), other, { settled: new Set(), dispatchable: new Set(['a']) });
    expect(tookBy(recovery)).toEqual([['worker_to_dispatchable', 40]]);
  });

  it('of one worker of two is not over because the other has finished its batch', () => {
    const recovery = new Recovery('worker', moment(1_000), making({ a: 'batch-1', c: 'batch-2' }));
    const dead = making({ a: 'batch-1' });
    recovery.look(moment(1_020), dead, { settled: new Set(['c']), dispatchable: new Set() });
    expect(tookBy(recovery)).toEqual([]);
  });

  it('of an orchestrator counts from its next start until the queue has the jobs too, not only the store', () => {
    const recovery = new Recovery('orchestrator', moment(1_000), HELD);
    recovery.startedAgain(moment(1_500));
    recovery.look(moment(2_100), WAITING, NOT_BACK);
    expect(recovery.isOver).toBe(false);
    expect(recovery.asksFor).toEqual({ jobs: ['a', 'b'], since: moment(1_500).now });
    recovery.look(moment(2_300), WAITING, BACK);
    expect(tookBy(recovery)).toEqual([['orchestrator_to_dispatchable', 800]]);
  });

  it('of a hang ends when its worker is being taken down', () => {
    const recovery = new Recovery('hang', moment(1_000), HELD);
    expect(recovery.asksFor).toBeNull();
    recovery.look(moment(1_100), WAITING, null);
    recovery.found(moment(3_000));
    expect(tookBy(recovery)).toEqual([['hang_to_found', 2_000]]);
    recovery.look(moment(3_010), WAITING, BACK);
    expect(tookBy(recovery).at(-1)).toEqual(['hang_to_dispatchable', 2_010]);
    expect(recovery.isOver).toBe(true);
  });

  it('of Redis ends with a job that is settled after it is back, and not with the batch that was under way', () => {
    const recovery = new Recovery('redis', moment(1_000), HELD);
    recovery.look(moment(1_100), { ...HELD, settled: 4 }, AWAY);
    recovery.look(moment(1_200), { ...HELD, settled: 4 }, NOT_BACK);
    expect(recovery.isOver).toBe(false);
    recovery.look(moment(1_300), { ...HELD, settled: 5 }, NOT_BACK);
    expect(tookBy(recovery)).toEqual([['redis_to_progress', 300]]);
  });
});

describe('the ear', () => {
  it('hears that a worker has loaded and that it has begun, also in pieces of lines, and in both forms of the log', () => {
    const ear = new Ear();
    const heard = (text: string) => ear.hear(text).map(({ device, word }) => `${device} ${word}`);
    expect(heard('cpu: debug: the worker is ready\ncpu: debug: the worker is loading\ncpu: debug: the wor')).toEqual([
      'cpu loading',
    ]);
    expect(heard('ker is ready\ncpu: debug: the worker is generating\n')).toEqual(['cpu loaded', 'cpu begun']);
    expect(heard('cpu: info: the fake engine stands in for /m\ncpu: {"v":1} step 0\n')).toEqual([
      'cpu loaded',
      'cpu begun',
    ]);
    expect(heard('cpu: debug: the worker is ready\ncpu: {"v":1} step 1\n')).toEqual([]);
  });

  it('tells the workers of two devices apart', () => {
    const ear = new Ear();
    ear.hear('cpu: debug: the worker is loading\n');
    const heard = ear.hear('cpu:1: debug: the worker is stopping\ncpu: debug: the worker is ready\n');
    expect(heard).toEqual([
      { device: 'cpu:1', word: 'stopping' },
      { device: 'cpu', word: 'loaded' },
    ]);
  });
});

describe('the figures of all recoveries', () => {
  const limits = promisedParts(2_000);
  const figure = (took: number, lag = 0, waited = 0): Figure => {
    return { part: 'worker_to_dispatchable', took, lag, waited };
  };

  it('are middle and worst, with what was promised', () => {
    const redis: Figure = { ...figure(9_000), part: 'redis_to_progress' };
    const figures = recoveryFigures([figure(20), figure(1_040), figure(30), redis], limits);
    expect(figures.worker_to_dispatchable).toEqual({ n: 3, median: 0.03, most: 1.04, limit: 1 });
    expect(figures.hang_to_found).toEqual({ n: 0, median: null, most: null, limit: 3 });
  });

  it('are late where one took longer than was promised; only what both were kept waiting by the machine excuses it', () => {
    const took = 'worker_to_dispatchable took 1.04 s, and 1 s were promised; whoever measured was late by';
    expect(latenessOf([figure(1_040, 30, 20), figure(990)], limits)).toEqual({
      late: [`${took} 0.03 s, and the program waited 0.02 s for a processor`],
      excused: [],
    });
    expect(latenessOf([figure(1_040, 50, 0), figure(1_040, 0, 40)], limits)).toEqual({
      late: [],
      excused: [
        `${took} 0.05 s, and the program waited 0 s for a processor`,
        `${took} 0 s, and the program waited 0.04 s for a processor`,
      ],
    });
  });

  it('know the lag of the harness from the looks that came too late', () => {
    const lag = new Lag(20);
    for (const at of [1_000, 1_020, 1_130, 1_140]) lag.look(at);
    expect(lag.total).toBe(90);
  });
});

function moment(at: number): Moment {
  return { at, now: at + 1_000_000, lag: 0, waited: 0 };
}

function making(running: Readonly<Record<string, string>>): Sample {
  return { settled: 3, running: new Map(Object.entries(running)), deaths: new Map() };
}

function tookBy(recovery: Recovery): readonly (readonly [string, number])[] {
  return recovery.figures.map(({ part, took }) => [part, took]);
}
