import { MemoryRegistry } from '../../src/model/memory.ts';
import type { Model } from '../../src/ports.ts';
import { modelsContract } from '../contracts/models.ts';

const sd: Model = {
  name: 'tiny-sd',
  path: '/models/tiny-sd',
  hash: `sha256:${'01'.repeat(32)}`,
  family: 'sd',
  nativeSize: { width: 512, height: 512 },
  sizeMultiple: 8,
  defaults: { steps: 20, guidance: 7, distilledGuidance: null, scheduler: 'dpmpp_2m', schedule: 'karras' },
  schedulers: ['dpmpp_2m', 'euler'],
  clipLayers: 12,
  anatomy: null,
};
const flux: Model = {
  ...sd,
  name: 'org/tiny-flux',
  path: '/models/org/tiny-flux',
  hash: `sha256:${'02'.repeat(32)}`,
  family: 'flux',
  defaults: { steps: 28, guidance: 1, distilledGuidance: 3.5, scheduler: 'flow_match_euler', schedule: 'normal' },
  schedulers: ['flow_match_euler'],
  clipLayers: null,
};

const ink = { name: 'ink', path: '/loras/ink.safetensors', hash: `sha256:${'03'.repeat(32)}`, bytes: 3 };

modelsContract(async () => ({ models: new MemoryRegistry([sd, flux], [ink]), close: async () => {} }));
