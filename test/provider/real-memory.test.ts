import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { LearnedLimit } from '../../src/ports.ts';
import { presetNamed } from '../../src/preset/catalogue.ts';
import { engineOf } from '../../src/preset/engine.ts';
import { systemClock } from '../../src/process/clock.ts';
import { LocalProvider } from '../../src/provider/local.ts';
import { MODEL, newBatch } from '../contracts/batches.ts';
import { PRESETS_TRIED } from '../contracts/provider-bench.ts';
import { testModel } from '../support/kiln.ts';
import { PYTHON, WORKER_DIR } from '../support/python.ts';

/** A picture of 768x768 by the tiny model takes 234 MiB besides the model, and with its VAE tiled 62 MiB. */
const LIMIT = 140 * 1_024 * 1_024;
const PICTURES = { modelPath: testModel('sd'), width: 768, height: 768, steps: 1 };

let folder: string;
let provider: LocalProvider;
const learned: LearnedLimit[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kilnwatt-memory-'));
  provider = new LocalProvider({
    devices: [{ id: 'cpu', kind: 'cpu', uuid: null, name: 'CPU' }],
    python: PYTHON,
    workerDir: WORKER_DIR,
    engine: 'diffusers',
    launch: 'launch',
    clock: systemClock,
    log: () => {},
    presets: PRESETS_TRIED,
    env: { KW_MEMORY_LIMIT_BYTES: String(LIMIT), OMP_NUM_THREADS: '1', PYTHONDONTWRITEBYTECODE: '1' },
    memory: { known: [], learn: (limit) => void learned.push(limit) },
  });
});
afterEach(async () => {
  await provider.close();
  await rm(folder, { recursive: true });
});

it('pictures that torch has no memory for are made in smaller batches, and then with a tiled VAE', async () => {
  const make = (prompts: readonly string[]) => provider.make(newBatch(folder, 'batch', prompts, PICTURES), {});
  const lacking = { kind: 'failure', code: 'out_of_memory', retryable: true };
  expect((await make(['a fox', 'a hen'])).answers).toMatchObject([lacking, lacking]);
  const [alone] = (await make(['a fox'])).answers;
  const message = 'the host, while decoding a picture, ran out of memory; next are batches of 1 with low-vram';
  expect(alone).toMatchObject({ ...lacking, message });
  const { answers, shared } = await make(['a fox']);
  expect(answers).toMatchObject([{ kind: 'made', width: 768 }]);
  expect(shared.engine).toMatchObject({ preset: 'low-vram', settings: { vae_tiling: true } });
  const limit = {
    device: 'cpu',
    model: MODEL,
    engine: engineOf(presetNamed('plain')),
    shape: '768x768+cfg',
    at: expect.any(Number),
  };
  expect(learned).toEqual([1, 0].map((most) => ({ ...limit, limit: most })));
}, 120_000);
