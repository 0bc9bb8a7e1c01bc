import { describe, expect, it } from 'vitest';
import { Ear } from './ear.ts';
import { lateParts, promisedParts, recoveryFigures } from './figures.ts';
import { Recovery } from './recovery.ts';
import type { Sample } from './watch.ts';

const ids = ['a', 'b'];
const HELD: Sample = { settled: 3, running: new Map(ids.map((id) => [id, 'batch-1'])), deaths: new Map() };
const WAITING: Sample = { settled: 3, running: new Map(), deaths: new Map() };
const AGAIN: Sample = { settled: 3, running: new Map([['a', 'batch-2']]), deaths: new Map() };

describe('a recovery', () => {
  it('of a worker ends when its jobs are out of the batch that died, and the next worker has loaded and begun', () => {
    const recovery = new Recovery('worker', 1_000, HELD);
    recovery.hear(1_010, 'begun');
    recovery.look(1_020, HELD);
    recovery.look(1_040, AGAIN);
    recovery.hear(1_500, 'loaded');
    recovery.hear(1_900, 'loaded');
    expect(recovery.isOver).toBe(false);
    recovery.hear(1_950, 'begun');
    expect(recovery.isOver).toBe(true);
    expect(recovery.figures).toEqual([
      ['worker_to_dispatchable', 40],
      ['worker_loaded_to_running', 50],
    ]);
  });

  it('of an orchestrator counts from its next start', () => {
    const recovery = new Recovery('orchestrator', 1_000, HELD);
    recovery.startedAgain(1_500);
    recovery.look(2_100, WAITING);
    expect(recovery.figures).toEqual([['orchestrator_to_dispatchable', 600]]);
  });

  it('of a hang ends when its worker is being taken down', () => {
    const recovery = new Recovery('hang', 1_000, HELD);
    recovery.look(1_100, WAITING);
    recovery.found(3_000);
    expect(recovery.figures).toEqual([['hang_to_found', 2_000]]);
    recovery.look(3_010, WAITING);
    expect(recovery.figures.at(-1)).toEqual(['hang_to_dispatchable', 2_010]);
    expect(recovery.isOver).toBe(true);
  });

  it('of Redis ends with the next settled job', () => {
    const recovery = new Recovery('redis', 1_000, HELD);
    recovery.look(1_100, HELD);
    expect(recovery.isOver).toBe(false);
    recovery.look(1_200, { ...HELD, settled: 4 });
    expect(recovery.figures).toEqual([['redis_to_progress', 200]]);
  });
});

describe('the ear', () => {
  it('hears that a worker has loaded and that it has begun, also in pieces of lines, and in both forms of the log', () => {
    const ear = new Ear();
    const heard = (text: string) => ear.hear(text).map(({ device, word }) => `${device} ${word}`);
    expect(heard('cpu: debug: the worker is ready\ncpu: debug: the worker is loading\ncpu: debug: the wor')).toEqual(
      [],
    );
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
  it('are middle and worst, with what was promised, and the worst decides whether it was kept', () => {
    const took = [20, 1_040, 30].map((millis) => ['worker_to_dispatchable', millis] as const);
    const figures = recoveryFigures([...took, ['redis_to_progress', 9_000]], promisedParts(2_000));
    expect(figures.worker_to_dispatchable).toEqual({ n: 3, median: 0.03, most: 1.04, limit: 1 });
    expect(figures.hang_to_found).toEqual({ n: 0, median: null, most: null, limit: 3 });
    expect(lateParts(figures)).toEqual(['worker_to_dispatchable took 1.04 s, and 1 s were promised']);
  });
});
