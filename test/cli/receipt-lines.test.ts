import { expect, it } from 'vitest';
import { jobsShow } from '../../src/cli/jobs.ts';
import { makingOf } from '../../src/cli/receipt-lines.ts';
import { DETAILS, madeIn, receiptOf, runWrite } from '../store/samples.ts';
import { House } from './house.ts';

it('says of a picture the preset, what gave way, the time of a step, and what the denoiser did', () => {
  const work = { teraflops: 12.5, mfu: 0.314, calls: 20, graphs: 1, cached_prompts: 2 };
  const peaks = { allocated_bytes: 4 * 1024 ** 3, reserved_bytes: 5 * 1024 ** 3, device_bytes: null };
  expect(makingOf(receiptOf('b-1', { ...DETAILS, work, peaks }))).toEqual([
    ['preset', 'auto on cpu, 2 pictures in the batch'],
    ['gave way', 'tf32: False instead of True, because a processor has none'],
    ['steps', '20 steps, 43 ms each (the median)'],
    ['denoiser', '12.5 TFLOP in the batch, MFU 31 %, 1 graph compiled, 2 prompts from the cache'],
    ['peak', '4.0 GiB in tensors, 5.0 GiB reserved'],
  ]);
});

it('says nothing of what a receipt does not know', () => {
  const work = { teraflops: null, mfu: null, calls: 20, graphs: 0, cached_prompts: 0 };
  expect(makingOf(receiptOf('b-1', { work })).map(([name]) => name)).toEqual(['preset']);
});

it('is told by `jobs show`, in lines or as the whole receipt', async () => {
  const house = new House();
  try {
    await house.store.writeRun(runWrite('r1', 2));
    const receipt = receiptOf('b-1', DETAILS);
    const made = madeIn('b-1', 'r1', [0]);
    await house.store.settle({ ...made, entries: made.entries.map((entry) => ({ ...entry, receipt })) });
    const { app, io } = house.command('l1');
    await jobsShow(app, 'r1/0', {});
    expect(io.written.join('\n')).toMatch(/^gave way {2,}tf32: False instead of True, because a processor has none$/m);
    await jobsShow(app, 'r1/0', { json: true });
    expect(JSON.parse(io.written.at(-1) ?? '')).toMatchObject({ receipt });
  } finally {
    await house.close();
  }
});
