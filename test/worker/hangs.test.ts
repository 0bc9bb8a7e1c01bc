import { expect, it } from 'vitest';
import { systemClock } from '../../src/process/clock.ts';
import { workerLimits } from '../../src/worker/limits.ts';
import { Supervisor } from '../../src/worker/supervisor.ts';
import type { WatchedPhase } from '../../src/worker/watchdog.ts';
import { hangingWorker } from './hanging-worker.ts';
import { batchOf, ENGINE } from './supervised.ts';

const LIMIT = 300;
const PHASES: readonly WatchedPhase[] = ['start', 'import', 'load', 'compile', 'encode', 'denoise', 'decode', 'save'];
const cases = PHASES.flatMap((phase) => (['with', 'without'] as const).map((lock) => [phase, lock] as const));
const name = 'a hang in phase %s %s the lock of the interpreter is found within the limit and a second';

// The program and its pipes are real, and so is the time.
it.each(cases)(name, async (phase, lock) => {
  // It hangs from the first on, or when it says so.
  let begun = systemClock.monotonic();
  let found: number | null = null;
  const limits = workerLimits('cpu');
  const supervisor = new Supervisor({
    device: 'cpu',
    address: 'cpu',
    worker: hangingWorker(phase, lock),
    launch: 'launch',
    clock: systemClock,
    limits: { ...limits, phases: { ...limits.phases, [phase]: LIMIT } },
    rng: Math.random,
    onLog: (line) => {
      if (line === 'hangs' && phase !== 'start') begun = systemClock.monotonic();
    },
    // A first start is tried once more.
    onState: (state) => {
      if (state === 'down') found ??= systemClock.monotonic() - begun;
    },
  });
  const sentence = await outcome(supervisor);
  expect(sentence).toContain(`made no progress for ${LIMIT / 1_000} s in phase ${phase}`);
  expect(found).toBeLessThan(LIMIT + 1_000);
  expect(supervisor.state).toBe('down');
});

/** What the first batch, or the load before it, came to. */
async function outcome(supervisor: Supervisor): Promise<string> {
  try {
    await supervisor.ensureLoaded(ENGINE);
    const { answers } = await supervisor.generate(batchOf('b', ['a']));
    return answers.map((answer) => (answer.kind === 'failure' ? answer.message : answer.kind)).join();
  } catch (error) {
    return String(error);
  }
}
