import { beforeEach, describe, expect, it } from 'vitest';
import { Deaths } from './deaths.ts';

/** Pids. */
const ORCHESTRATOR = 1;
const alive = new Set<number>();
let there: Map<string, number>;
let deaths: Deaths;

beforeEach(() => {
  alive.clear();
  for (const pid of [ORCHESTRATOR, 11, 12]) alive.add(pid);
  there = new Map([
    ['cpu', 11],
    ['cpu:1', 12],
  ]);
  deaths = new Deaths({ workersOf: () => there, isAlive: (pid) => alive.has(pid) });
  deaths.orchestratorStarted(ORCHESTRATOR);
  deaths.look(0);
});

describe('the count of ends', () => {
  it('takes a worker that its supervisor stopped for no death: such ends explain no work done again', () => {
    deaths.hear('cpu', 'stopping');
    end('cpu');
    look();
    expect(deaths).toMatchObject({ asked: 1, unasked: 0 });
  });

  it('hears of the stop also where the process is seen to be gone before its log is read', () => {
    end('cpu');
    deaths.look(20);
    deaths.hear('cpu', 'stopping');
    deaths.look(40);
    expect(deaths).toMatchObject({ asked: 1, unasked: 0 });
  });

  it('counts a worker that was struck, also on its way out, and one that went by itself', () => {
    deaths.struck(11);
    deaths.hear('cpu', 'stopping');
    end('cpu');
    look();
    expect(deaths).toMatchObject({ asked: 0, unasked: 1, ofThemselves: 0 });
    end('cpu:1');
    look();
    expect(deaths).toMatchObject({ asked: 0, unasked: 2, ofThemselves: 1 });
  });

  it('meets a successor that is there by the next look as one more worker', () => {
    end('cpu');
    alive.add(13);
    there.set('cpu', 13);
    look();
    expect(deaths.workers.map(({ pid }) => pid)).toEqual([12, 13]);
    expect(deaths.unasked).toBe(1);
  });

  it('knows that a worker which loads something else makes nothing', () => {
    const [worker = { device: '', pid: 0 }] = deaths.workers;
    deaths.hear('cpu', 'begun');
    expect(deaths.hasBegun(worker, 10)).toBe(true);
    deaths.hear('cpu', 'loading');
    expect(deaths.hasBegun(worker, 10)).toBe(false);
  });

  it('counts an orchestrator once for each of its workers, whose batches go with it, and once where it had none', () => {
    deaths.orchestratorEnded({ asked: false });
    expect(deaths.unasked).toBe(2);
    deaths.orchestratorStarted(ORCHESTRATOR);
    deaths.orchestratorEnded({ asked: false });
    expect(deaths.unasked).toBe(3);
  });

  /** Seen as a poison that ended four workers: the orchestrator was killed before it had written the first of them down. */
  it('takes a worker that went with its orchestrator, or shortly before it was killed, for none that went by itself', () => {
    end('cpu');
    deaths.look(20);
    deaths.orchestratorEnded({ asked: false });
    expect(deaths).toMatchObject({ unasked: 2, ofThemselves: 0 });
  });

  it('keeps count of one whose orchestrator had the time to see it, or was asked to leave', () => {
    end('cpu');
    deaths.look(20);
    deaths.look(1_500);
    deaths.orchestratorEnded({ asked: false });
    expect(deaths.ofThemselves).toBe(1);
    deaths.orchestratorStarted(ORCHESTRATOR);
    deaths.look(2_000);
    end('cpu:1');
    deaths.look(2_020);
    deaths.orchestratorEnded({ asked: true });
    expect(deaths.ofThemselves).toBe(2);
  });

  it('counts an orchestrator that was asked to leave apart', () => {
    deaths.orchestratorEnded({ asked: true });
    expect(deaths).toMatchObject({ asked: 1, unasked: 0 });
  });
});

function end(device: string): void {
  alive.delete(there.get(device) ?? 0);
  there.delete(device);
}

function look(): void {
  deaths.look(20);
  deaths.look(40);
}
