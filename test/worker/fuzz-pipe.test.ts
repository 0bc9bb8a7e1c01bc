import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { settlesWithin, systemClock } from '../../src/process/clock.ts';
import { workerLimits } from '../../src/worker/limits.ts';
import { Supervisor } from '../../src/worker/supervisor.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { WORKERS } from '../support/python.ts';
import { ENERGY, type Fields, MEMORY } from './fake-worker.ts';
import { mutated } from './mutations.ts';
import { Seeded } from './seeded.ts';
import { batchOf, ENGINE, made } from './supervised.ts';

const SEED = Number(process.env.KW_SEED ?? 20_260_801);
const LINES = 200;
const folder = mkdtempSync(join(tmpdir(), 'kilnwatt-lines-'));

afterAll(() => rmSync(folder, { recursive: true }));

it(`${LINES} broken lines from a real process end it or not, and the next one makes its batch (seed ${SEED})`, {
  timeout: 120_000,
}, async () => {
  const chance = new Seeded(SEED);
  for (let number = 0; number < LINES; number += 1) {
    const place = `seed ${SEED}, line ${number}`;
    const { supervisor, clock } = superviseWritten(join(folder, String(number)), chance);
    await supervisor.ensureLoaded(ENGINE);
    const { answers } = await inTime(supervisor.generate(batchOf('batch', ['a', 'b'])), clock);
    for (const answer of answers.filter((one) => one.kind === 'failure')) {
      expect(answer.message, place).toMatch(/broke the protocol|no progress|no sign of life/);
    }
    await supervisor.stop();
    const again = supervisor.ensureLoaded(ENGINE);
    if (supervisor.state === 'waiting') clock.advance(1_000);
    await again;
    expect((await supervisor.generate(batchOf('batch', ['a', 'b']))).answers, place).toEqual(['a', 'b'].map(made));
    await supervisor.stop();
  }
});

/** Its first worker writes one line wrong over its batch, the second one none. */
function superviseWritten(lines: string, chance: Seeded) {
  write(join(lines, 'launch-cpu-1'), messagesOf('launch-cpu-1'), { chance, wrong: chance.below(4) });
  write(join(lines, 'launch-cpu-2'), messagesOf('launch-cpu-2'));
  const clock = new ManualClock();
  const supervisor = new Supervisor({
    device: 'cpu',
    address: 'cpu',
    worker: { command: join(WORKERS, 'says-what-is-written.sh'), args: [], env: { KW_LINES: lines } },
    launch: 'launch',
    clock,
    limits: workerLimits('cpu'),
    rng: () => 0,
    onLog: () => {},
  });
  return { supervisor, clock };
}

/** One file for the start, one for the load, one for the batch, of which one line may be wrong. */
function write(
  to: string,
  [hello, loaded, ...batch]: readonly Fields[],
  options?: { readonly chance: Seeded; readonly wrong: number },
): void {
  const line = (message: Fields | undefined) => Buffer.from(`${JSON.stringify(message)}\n`);
  const answers = batch.map((message, at) =>
    at === options?.wrong ? mutated(message, options.chance) : line(message),
  );
  mkdirSync(to, { recursive: true });
  for (const [at, part] of [line(hello), line(loaded), Buffer.concat(answers)].entries()) {
    writeFileSync(join(to, String(at)), part);
  }
}

function messagesOf(launch: string): readonly Fields[] {
  const picture = (job: string) => ({ batch: 'batch', job, out: `/out/${job}`, width: 8, height: 8, bytes: 1 });
  const phases = { encode: 1, denoise: 1, decode: 1, save: 1 };
  const messages: readonly (readonly [type: string, fields: Fields])[] = [
    ['hello', { pid: 7, engine_kind: 'fake', versions: {} }],
    [
      'loaded',
      {
        engine: 'e1',
        settings: {},
        downgrades: [],
        weights: {},
        versions: {},
        seconds: 1,
        memory: MEMORY,
        energy: ENERGY,
      },
    ],
    ['image', picture('a')],
    ['log', { level: 'info', message: 'the second one is dark' }],
    ['image', picture('b')],
    ['done', { batch: 'batch', seconds: 4, phases, steps: null, work: null, memory: MEMORY, energy: ENERGY }],
  ];
  return messages.map(([type, fields], at) => ({ v: 1, type, launch, seq: at + 1, ...fields }));
}

/** Time goes on for one that waits. */
async function inTime<Value>(call: Promise<Value>, clock: ManualClock): Promise<Value> {
  while (!(await settlesWithin(systemClock, 200, call))) clock.advance(10 * 60_000);
  return call;
}
