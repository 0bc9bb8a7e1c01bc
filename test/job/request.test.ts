import { describe, expect, it } from 'vitest';
import { lineKey, type Request, requestKey, requestSchema } from '../../src/job/request.ts';
import { resolve } from '../../src/job/resolve.ts';
import { drafts, options, request, sd } from './samples.ts';

/**
 * Keys that were given out once. They stand in stores and pictures: none of these lines may ever change. (The second one
 * did when LoRAs got their door, because a LoRA's name is no part of the key; before that no request could have one.)
 */
const GOLDEN: readonly { of: string; request: Request; key: string; line: string }[] = [
  {
    of: 'a plain request',
    request,
    key: '1:7f9d0546787098a91bb65d6f927ae0dd61878027bf4953aa2f7f9951abe0f36d',
    line: '1:d32c05104e93c1b85fae0517d95b9f780f2d52c9627aed0d6f58d16e7ae5518e',
  },
  {
    of: 'a request with every feature of today',
    request: {
      ...request,
      prompt: 'été, 日本, 🔥\n"quoted"',
      negativePrompt: 'blurry',
      seed: Number.MAX_SAFE_INTEGER,
      guidance: 1,
      distilledGuidance: 3.5,
      scheduler: 'flow_match_euler',
      schedule: 'normal',
      loras: [{ name: 'ink', hash: 'sha256:00', weight: 0.8 }],
      vae: 'sha256:11',
      clipSkip: 1,
      initImage: 'sha256:22',
      strength: 0.5,
    },
    key: '1:e2047c47742e0188ccda02925335826829110bec8149ed2348415eefc8519bd1',
    line: '1:1e06b40cc4831fa1e91118599a7a725f58a386582865200f3f08a013481760db',
  },
];

describe('request keys', () => {
  it.each(GOLDEN)('$of keeps the key that it always had', (golden) => {
    expect(requestKey(golden.request)).toBe(golden.key);
    expect(lineKey(golden.request)).toBe(golden.line);
  });

  it('a new field at its neutral value changes no key, which leaving an existing one out shows', () => {
    const neutral = [
      'negativePrompt',
      'distilledGuidance',
      'loras',
      'vae',
      'clipSkip',
      'initImage',
      'strength',
    ] as const;
    const older: Partial<Request> = { ...request };
    for (const name of neutral) delete older[name];
    expect(requestKey(older as Request)).toBe(requestKey(request));
  });

  it("every field but the model's name changes the key", () => {
    const changed: { [Name in keyof Omit<Request, 'model'>]: Request[Name] } = {
      modelHash: `sha256:${'0'.repeat(64)}`,
      prompt: 'x',
      negativePrompt: 'x',
      seed: 2,
      width: 64,
      height: 64,
      steps: 21,
      guidance: 7.5,
      distilledGuidance: 1,
      scheduler: 'euler',
      schedule: 'normal',
      loras: [{ name: 'a', hash: 'b', weight: 1 }],
      vae: 'x',
      clipSkip: 1,
      initImage: 'x',
      strength: 1,
    };
    const keys = Object.entries(changed).map(([name, value]) => requestKey({ ...request, [name]: value }));
    expect(new Set([requestKey(request), ...keys]).size).toBe(keys.length + 1);
    expect(requestKey({ ...request, model: 'renamed' })).toBe(requestKey(request));
    const lora = { hash: 'b', weight: 1 };
    const renamed = requestKey({ ...request, loras: [{ ...lora, name: 'renamed' }] });
    expect(renamed).toBe(requestKey({ ...request, loras: [{ ...lora, name: 'a' }] }));
    expect(renamed).not.toBe(requestKey({ ...request, loras: [{ ...lora, name: 'a', weight: 0.5 }] }));
  });

  it('a default that changes does change the key', () => {
    const today = resolve(drafts('a cat'), options);
    const changed = { ...sd, defaults: { ...sd.defaults, steps: 25 } };
    const tomorrow = resolve(drafts('a cat'), { ...options, models: new Map([[sd.name, changed]]) });
    expect(tomorrow[0]?.identity.lineKey).not.toBe(today[0]?.identity.lineKey);
  });

  it('the order in which fields were written makes no difference', () => {
    const backwards = Object.fromEntries(Object.entries(request).reverse()) as Request;
    expect(requestKey(backwards)).toBe(requestKey(request));
    const one = { ...request, loras: [{ name: 'a', hash: 'b', weight: 1 }] };
    const other = { ...request, loras: [{ weight: 1, hash: 'b', name: 'a' }] };
    expect(requestKey(other)).toBe(requestKey(one));
  });

  it('the seed is all that a line key leaves out of a request key', () => {
    const another: Request = { ...request, seed: 2 };
    expect(lineKey(another)).toBe(lineKey(request));
    expect(lineKey({ ...request, steps: 2 })).not.toBe(lineKey(request));
  });

  it('a field that the schema does not know is refused', () => {
    expect(requestSchema.safeParse({ ...request, sede: 1 }).success).toBe(false);
    expect(requestSchema.safeParse({ ...request, seed: 2 ** 53 }).success).toBe(false);
    expect(requestSchema.safeParse(request).success).toBe(true);
  });
});
