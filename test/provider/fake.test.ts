import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { systemClock } from '../../src/process/clock.ts';
import { runBriefly } from '../../src/process/run-briefly.ts';
import { FakeProvider } from '../../src/provider/fake.ts';
import { gradientPng } from '../../src/provider/gradient-png.ts';
import { providerContract } from '../contracts/provider.ts';
import { PYTHON } from '../support/python.ts';

providerContract(
  'fake',
  ({ failOn, dieOn, stepMillis }) => new FakeProvider({ clock: systemClock, script: { failOn, dieOn, stepMillis } }),
);

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
