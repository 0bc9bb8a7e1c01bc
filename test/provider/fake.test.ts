import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { systemClock } from '../../src/process/clock.ts';
import { runBriefly } from '../../src/process/run-briefly.ts';
import { FakeProvider } from '../../src/provider/fake.ts';
import { gradientPng } from '../../src/provider/gradient-png.ts';
import { newBatch } from '../contracts/batches.ts';
import { providerContract } from '../contracts/provider.ts';
import { type MakeProvider, PRESETS_TRIED } from '../contracts/provider-bench.ts';
import { providerLearningContract } from '../contracts/provider-learning.ts';
import { PYTHON } from '../support/python.ts';

const makeFake: MakeProvider = (script) => new FakeProvider({ clock: systemClock, script, presets: PRESETS_TRIED });

providerContract('fake', makeFake);
providerLearningContract('fake', makeFake);

it('the pictures of the fake are whole for other readers too', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'kilnwatt-png-'));
  try {
    const path = join(folder, 'picture.png');
    const { writeFile } = await import('node:fs/promises');
    await writeFile(path, gradientPng(7, 30, 20));
    const script = 'import sys; from PIL import Image; i = Image.open(sys.argv[1]); i.verify(); print(i.size, i.mode)';
    expect(await runBriefly(PYTHON, ['-c', script, path], { limit: 30_000 })).toMatchObject({
      ok: true,
      output: '(30, 20) RGB',
    });
  } finally {
    await rm(folder, { recursive: true });
  }
});

it('the fake refuses what is for a device that its script has in quarantine', async () => {
  const sick = { reason: 'five deaths in a row', until: 1 };
  const provider = new FakeProvider({ clock: systemClock, script: { quarantine: () => sick } });
  expect(provider.quarantine('cpu')).toEqual(sick);
  const made = provider.make(newBatch('/nowhere', 'b', ['a'], {}), {});
  await expect(made).rejects.toMatchObject({
    code: 'device_quarantined',
    message: expect.stringContaining(sick.reason),
  });
});
