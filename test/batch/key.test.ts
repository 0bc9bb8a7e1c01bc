import { expect, it } from 'vitest';
import { batchKey } from '../../src/batch/key.ts';
import type { Request } from '../../src/job/request.ts';

const request: Request = {
  model: 'tiny',
  modelHash: `sha256:${'0'.repeat(64)}`,
  prompt: 'a cat',
  negativePrompt: '',
  seed: 1,
  width: 64,
  height: 64,
  steps: 4,
  guidance: 7,
  distilledGuidance: null,
  scheduler: 'dpmpp_2m',
  schedule: 'karras',
  loras: [],
  vae: null,
  clipSkip: 0,
  initImage: null,
  strength: null,
};
const key = (change: Partial<Request>, preset = 'auto', format = 'png') =>
  batchKey({ request: { ...request, ...change }, preset, format });

it('lets jobs with other prompts and seeds travel together', () => {
  expect(key({ prompt: 'a dog', negativePrompt: 'blurry', seed: 2, model: 'the same by another name' })).toBe(key({}));
});

it('parts jobs that differ in anything that the passes share', () => {
  const changes: Partial<Request>[] = [
    { modelHash: `sha256:${'1'.repeat(64)}` },
    { width: 128 },
    { height: 128 },
    { steps: 5 },
    { guidance: 6 },
    { distilledGuidance: 3.5 },
    { scheduler: 'euler' },
    { schedule: 'normal' },
    { loras: [{ name: 'l', hash: 'h', weight: 1 }] },
    { vae: 'sha256:aa' },
    { clipSkip: 1 },
    { initImage: 'sha256:bb' },
    { strength: 0.5 },
  ];
  const keys = [key({}), key({}, 'fp16'), key({}, 'auto', 'jpeg'), ...changes.map((change) => key(change))];
  expect(new Set(keys).size).toBe(keys.length);
});
