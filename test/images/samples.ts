import type { ImageMetadata, Receipt } from '../../src/ports.ts';
import { DETAILS } from '../store/samples.ts';

export const RECEIPT: Receipt = {
  v: 1,
  provider: 'local',
  device: 'cpu',
  engine: '3f2a9c1d',
  preset: 'auto',
  settings: { device: 'cuda:0', dtype: 'float16' },
  model: `sha256:${'ab'.repeat(32)}`,
  batch: { id: 'launch-3', size: 4 },
  seconds: { share: 1.125, batch: 4.5, method: 'measured' },
  peak_memory_bytes: { value: null, method: 'unknown' },
  energy: {
    joules: 73.125,
    method: 'derived',
    meter: 'rapl',
    flags: ['whole_package'],
    bound_joules: 1.5,
    integral_ratio: 0.9875,
  },
  cost: { amount: 0.000006, currency: 'EUR', method: 'assumed' },
  price: 'default',
  ...DETAILS,
};

/** What a picture of this job says of itself. The prompt holds what is hard to carry: accents, Chinese, an emoji, a quote. */
export function metadataOf(job: string, prompt = 'été, 山水 "墨", 🦊\nsecond line'): ImageMetadata {
  return {
    parameters: `${prompt}\nNegative prompt: blurry\nSteps: 20, Sampler: DPM++ 2M, Seed: 7, Size: 37x23`,
    kilnwatt: {
      v: 1,
      job,
      run: '01993f2e-7c1a-7000-8000-000000000001',
      request_key: `1:${'cd'.repeat(32)}`,
      request: {
        model: 'tiny-sd',
        modelHash: `sha256:${'ab'.repeat(32)}`,
        prompt,
        negativePrompt: 'blurry',
        seed: 7,
        width: 40,
        height: 24,
        steps: 20,
        guidance: 7,
        distilledGuidance: null,
        scheduler: 'dpmpp_2m',
        schedule: 'karras',
        loras: [],
        vae: null,
        clipSkip: 0,
        initImage: null,
        strength: null,
      },
      receipt: RECEIPT,
      software: 'kilnwatt 0.1.0',
    },
  };
}
