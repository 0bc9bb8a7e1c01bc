import { expect, it } from 'vitest';
import { Driver } from './driver.ts';
import { Seeded } from './seeded.ts';

const SEED = Number(process.env.KW_SEED ?? 20_260_801);
const LIVES = 500;
const STEPS = 120;

const title = `whatever comes in whatever order, each call is settled once and rightly, and nothing is left (seed ${SEED})`;

it(title, { timeout: 120_000 }, async () => {
  const seen = new Set<string>();
  for (let life = 0; life < LIVES; life += 1) {
    const driver = new Driver(new Seeded(SEED + life));
    for (let step = 0; step < STEPS; step += 1) await driver.step(`seed ${SEED}, life ${life}, step ${step}`);
    await driver.end(`seed ${SEED}, life ${life}, end`);
    for (const what of driver.seen) seen.add(what);
  }
  const states = ['down', 'generating', 'loading', 'quarantined', 'ready', 'starting', 'stopping', 'waiting'];
  const answers = ['made', 'black_image', 'time_limit', 'worker_died', 'worker_stopped'];
  const refusals = ['rejected', 'bad_request', 'device_quarantined', 'worker_unavailable'];
  expect([...seen].toSorted()).toEqual([...states, ...answers, ...refusals].toSorted());
});
