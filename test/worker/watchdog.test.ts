import { describe, expect, it } from 'vitest';
import { workerLimits } from '../../src/worker/limits.ts';
import { Watchdog, type WatchedPhase } from '../../src/worker/watchdog.ts';
import { ManualClock } from '../support/manual-clock.ts';

const LIMITS = {
  heartbeat: 30_000,
  heartbeatLoading: 300_000,
  phases: {
    start: 60_000,
    import: 400_000,
    load: 600_000,
    compile: 900_000,
    encode: 50_000,
    denoise: 100_000,
    decode: 45_000,
    save: 40_000,
  },
};

function watch() {
  const clock = new ManualClock();
  const expired: string[] = [];
  const watchdog = new Watchdog({ clock, limits: LIMITS, onExpired: (reason) => expired.push(reason) });
  /** Time goes by with a heartbeat every second, as from a worker that is alive. */
  const beatFor = (seconds: number) => {
    for (let second = 0; second < seconds; second += 1) {
      clock.advance(1_000);
      watchdog.beat();
    }
  };
  return { clock, watchdog, expired, beatFor };
}

describe('the clock of the heartbeat', () => {
  it('expires after its limit without a sign of life, and says so once', () => {
    const { clock, watchdog, expired } = watch();
    watchdog.enter('denoise');
    clock.advance(29_999);
    expect(expired).toEqual([]);
    clock.advance(500_000);
    expect(expired).toEqual(['gave no sign of life for 30 s in phase denoise']);
  });

  it('watches an idle worker too, for as long as it lives', () => {
    const { watchdog, clock, expired, beatFor } = watch();
    watchdog.enter('idle');
    beatFor(10_000);
    expect(expired).toEqual([]);
    clock.advance(30_000);
    expect(expired).toEqual(['gave no sign of life for 30 s in phase idle']);
  });

  it.each(['import', 'load', 'compile'] as const)(
    'gives minutes to the phase %s, which holds the interpreter',
    (phase) => {
      const { clock, watchdog, expired } = watch();
      watchdog.enter(phase);
      clock.advance(299_999);
      expect(expired).toEqual([]);
      clock.advance(1);
      expect(expired).toEqual([`gave no sign of life for 300 s in phase ${phase}`]);
    },
  );
});

describe('a hang in any phase', () => {
  const phases = Object.keys(LIMITS.phases) as WatchedPhase[];

  it.each(phases)('in %s is found at its limit while the heart beats', (phase) => {
    const { watchdog, expired, beatFor } = watch();
    watchdog.enter(phase);
    const limit = LIMITS.phases[phase] / 1_000;
    beatFor(limit - 1);
    expect(expired).toEqual([]);
    beatFor(1);
    expect(expired).toEqual([`made no progress for ${limit} s in phase ${phase}`]);
  });

  it.each(phases)('in %s is found at the latest at its limit when the heart has stopped', (phase) => {
    const { clock, watchdog, expired } = watch();
    watchdog.enter(phase);
    clock.advance(LIMITS.phases[phase]);
    expect(expired).toHaveLength(1);
  });
});

describe('the clock of progress', () => {
  it('expires although the heart beats, when the same step is told again and again', () => {
    const { watchdog, expired, beatFor } = watch();
    watchdog.step('denoise', '3/20');
    beatFor(60);
    watchdog.step('denoise', '3/20');
    beatFor(41);
    expect(expired).toEqual(['made no progress for 100 s in phase denoise']);
  });

  it('is wound up by every new step and every new phase', () => {
    const { watchdog, expired, beatFor } = watch();
    for (let step = 1; step <= 5; step += 1) {
      watchdog.step('denoise', `${step}/5`);
      beatFor(90);
    }
    watchdog.enter('decode');
    beatFor(40);
    watchdog.enter('save');
    beatFor(35);
    expect(expired).toEqual([]);
  });

  it('holds from the start, before there is a hello', () => {
    const { expired, beatFor } = watch();
    beatFor(61);
    expect(expired).toEqual(['made no progress for 60 s in phase start']);
  });

  it('follows the phase that a heartbeat tells of', () => {
    const { watchdog, expired, beatFor } = watch();
    watchdog.enter('encode');
    beatFor(40);
    watchdog.heard('denoise');
    beatFor(90);
    expect(expired).toEqual([]);
  });

  it('is neither stopped nor started by a heartbeat that was under way when an order was given or answered', () => {
    const { watchdog, expired, beatFor } = watch();
    watchdog.enter('idle');
    watchdog.heard('load');
    beatFor(10_000);
    expect(expired).toEqual([]);
    watchdog.enter('encode');
    watchdog.heard('idle');
    beatFor(51);
    expect(expired).toEqual(['made no progress for 50 s in phase encode']);
  });
});

it('does not blame the worker when this process was held up itself', () => {
  const { clock, watchdog, expired } = watch();
  watchdog.enter('denoise');
  clock.jump(120_000);
  expect(expired).toEqual([]);
  watchdog.beat();
  watchdog.step('denoise', '1/20');
  clock.advance(1_000);
  expect(expired).toEqual([]);
  clock.advance(30_000);
  expect(expired).toHaveLength(1);
});

it('a watchdog that was stopped is quiet and leaves no timer', () => {
  const { clock, watchdog, expired } = watch();
  watchdog.enter('denoise');
  watchdog.stop();
  watchdog.enter('idle');
  clock.advance(1_000_000);
  expect(expired).toEqual([]);
  expect(clock.waiting).toBe(0);
});

it('the limits on a CPU give a step of a large model its minutes', () => {
  expect(workerLimits('cpu').phases.denoise).toBeGreaterThan(workerLimits('cuda').phases.denoise);
});

it('who set the heartbeat to ten minutes is not ended after five of them in a load', () => {
  const set = { step: null, load: null, heartbeat: 600_000 };
  expect(workerLimits('cuda', set)).toMatchObject({ heartbeat: 600_000, heartbeatLoading: 600_000 });
  expect(workerLimits('cuda', { ...set, heartbeat: 10_000 }).heartbeatLoading).toBe(300_000);
});
