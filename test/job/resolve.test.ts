import { describe, expect, it } from 'vitest';
import type { Draft } from '../../src/job/draft.ts';
import { MAX_SEED, requestSchema } from '../../src/job/request.ts';
import { computing, flux, refusal, sd, wantedOf } from './samples.ts';

const one = (line: Omit<Draft, 'place'>, flags: Partial<Draft> = {}) => wantedOf([line], { flags })[0];
const requestOf = (line: Omit<Draft, 'place' | 'prompt'>, flags: Partial<Draft> = {}) =>
  one({ prompt: 'a', ...line }, flags)?.request;

describe('a resolved request', () => {
  it('has a value for everything and is one that the schema takes, once it has a seed', () => {
    const request = requestOf({});
    expect(request).toEqual({
      model: 'tiny-sd',
      modelHash: sd.hash,
      prompt: 'a',
      negativePrompt: '',
      width: 512,
      height: 384,
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
    });
    expect(requestSchema.parse({ ...request, seed: 1 })).toEqual({ ...request, seed: 1 });
  });

  it('takes the line before the command line, and that before the model', () => {
    const flags = { steps: 9, width: 64, height: 64, negativePrompt: 'x', seed: 3, guidance: 2, clipSkip: 2 };
    expect(one({ prompt: 'a', steps: 5, height: 96, negativePrompt: '' }, flags)).toMatchObject({
      seed: 3,
      request: { steps: 5, width: 64, height: 96, negativePrompt: '', guidance: 2, clipSkip: 1 },
    });
    expect(one({ prompt: 'a', seed: null }, flags)?.seed).toBeNull();
  });

  it('counts clip skip as A1111 does: 1 leaves nothing out', () => {
    expect(requestOf({ clipSkip: 1 })?.clipSkip).toBe(0);
    expect(requestOf({ clipSkip: 2 })?.clipSkip).toBe(1);
  });

  it('refuses a negative prompt that would change nothing, at its place', () => {
    expect(refusal(() => requestOf({ negativePrompt: 'x', guidance: 1 })).message).toMatch(
      /^prompts.txt:1: .*--cfg above 1/,
    );
    expect(refusal(() => requestOf({ guidance: 1 }, { negativePrompt: 'x', place: 'command line' })).message).toMatch(
      /^command line: a negative prompt does nothing/,
    );
    expect(refusal(() => requestOf({ negativePrompt: 'x', model: flux.name })).message).toMatch(
      /takes no negative prompt/,
    );
    expect(requestOf({ negativePrompt: '', guidance: 1 })?.negativePrompt).toBe('');
  });

  it('refuses a clip skip that the model cannot do, and takes one that means none everywhere', () => {
    expect(refusal(() => requestOf({ clipSkip: 13 })).message).toMatch(/clip skip must be from 1 to 12, not 13/);
    expect(refusal(() => requestOf({ clipSkip: 2, model: flux.name })).message).toMatch(/knows no clip skip/);
    expect(requestOf({ clipSkip: 1, model: flux.name })?.clipSkip).toBe(0);
  });

  it('gives the one guidance number to the input that the model has', () => {
    expect(requestOf({ model: flux.name, guidance: 2.5 })).toMatchObject({ guidance: 1, distilledGuidance: 2.5 });
    expect(requestOf({ model: flux.name })).toMatchObject({ guidance: 1, distilledGuidance: 3.5 });
    expect(requestOf({ guidance: 2.5 })).toMatchObject({ guidance: 2.5, distilledGuidance: null });
  });

  it('keeps a schedule with the sampler that it was named with', () => {
    expect(requestOf({ scheduler: 'euler' })).toMatchObject({ scheduler: 'euler', schedule: 'normal' });
    expect(requestOf({ scheduler: 'dpmpp_2m' })).toMatchObject({ schedule: 'karras' });
    const pair = { scheduler: 'dpmpp_2m', schedule: 'exponential' } as const;
    expect(requestOf({}, pair)).toMatchObject(pair);
    expect(requestOf({ scheduler: 'euler' }, pair)).toMatchObject({ schedule: 'normal' });
    expect(requestOf({ scheduler: 'euler' }, { schedule: 'beta' })).toMatchObject({ schedule: 'beta' });
    expect(requestOf({ scheduler: 'euler', schedule: 'karras' }, pair)).toMatchObject({ schedule: 'karras' });
  });

  it("means the model's own Euler by Euler", () => {
    expect(requestOf({ model: flux.name, scheduler: 'euler' })?.scheduler).toBe('flow_match_euler');
  });
});

describe('what cannot be made', () => {
  it.each<[string, Omit<Draft, 'place'>, string, string]>([
    ['an empty prompt', { prompt: '  ' }, 'empty_prompt', 'the prompt is empty'],
    ['no steps', { prompt: 'a', steps: 0 }, 'bad_request', 'steps must be from 1 to 1000, not 0'],
    ['too many steps', { prompt: 'a', steps: 1001 }, 'bad_request', 'steps must be'],
    [
      'a size off the grid',
      { prompt: 'a', width: 500 },
      'bad_size',
      'width must be divisible by 8 for tiny-sd, not 500; 496 or 504 would do',
    ],
    [
      'a size off a coarser grid',
      { prompt: 'a', model: flux.name, height: 520 },
      'bad_size',
      'height must be divisible by 16 for org/flux-dev',
    ],
    ['a tiny size', { prompt: 'a', width: 8 }, 'bad_request', 'width must be from 16 to 8192, not 8'],
    ['a huge size', { prompt: 'a', height: 9000 }, 'bad_request', 'height must be'],
    ['negative guidance', { prompt: 'a', guidance: -1 }, 'bad_request', 'guidance must be from 0 to 100'],
    ['no pictures', { prompt: 'a', n: 0 }, 'bad_request', 'the number of pictures must be'],
    ['clip skip 0', { prompt: 'a', clipSkip: 0 }, 'bad_request', 'clip skip must be'],
    ['a missing model', { prompt: 'a', model: 'x' }, 'model_missing', 'there is no model "x"'],
    [
      'a sampler that the model has not',
      { prompt: 'a', scheduler: 'lcm' },
      'unknown_scheduler',
      'tiny-sd cannot be sampled with lcm (it can: dpmpp_2m, euler',
    ],
    [
      'a schedule that the sampler has not',
      { prompt: 'a', scheduler: 'ddim', schedule: 'karras' },
      'bad_schedule',
      'the sampler DDIM cannot follow the schedule karras (it can: normal, sgm_uniform)',
    ],
    ['a seed that runs over', { prompt: 'a', seed: MAX_SEED, n: 2 }, 'bad_request', 'the seed must be'],
    [
      'unspoken syntax',
      { prompt: 'a (cat:1.3)' },
      'unspoken_syntax',
      'the prompt holds (cat:1.3), which the worker does not act on yet; take it out, or pass --literal',
    ],
    [
      'unspoken syntax in the negative prompt',
      { prompt: 'a', negativePrompt: '{b|c}' },
      'unspoken_syntax',
      'the negative prompt holds {b|c}',
    ],
    ['half a character', { prompt: 'a \ud83d' }, 'bad_request', 'the prompt holds characters that are no text'],
    ['a book', { prompt: 'a'.repeat(8001) }, 'bad_request', 'the prompt has 8001 characters'],
  ])('%s is refused with its line', (_, line, code, sentence) => {
    const refused = refusal(() => wantedOf(['fine', line]));
    expect(refused.code).toBe(code);
    expect(refused.message).toContain(`prompts.txt:2: ${sentence}`);
  });

  it('is blamed on the command line where that said it', () => {
    expect(refusal(() => one({ prompt: 'a' }, { steps: 0 })).message).toBe(
      'command line: steps must be from 1 to 1000, not 0',
    );
    expect(refusal(() => one({ prompt: 'a' }, { negativePrompt: '__x__' })).message).toMatch(
      /^command line: the negative prompt holds __x__/,
    );
    expect(refusal(() => one({ prompt: 'a', scheduler: 'ddim' }, { schedule: 'karras' })).message).toMatch(
      /^prompts\.txt:1: /,
    );
  });

  it('may be passed on as text', () => {
    expect(one({ prompt: 'a (cat:1.3)', literal: true })?.request.prompt).toBe('a (cat:1.3)');
    expect(one({ prompt: 'a', negativePrompt: '{b|c}' }, { literal: true })?.request.negativePrompt).toBe('{b|c}');
  });

  it('is more than a million pictures, before they are all laid out', () => {
    expect(refusal(() => wantedOf(['a', 'b'], { n: 600_000 })).code).toBe('too_many_jobs');
  });
});

describe('several pictures of a line', () => {
  const shape = (order: 'breadth' | 'depth') =>
    wantedOf([{ prompt: 'a', seed: 7 }, { prompt: 'b', n: 1 }, 'c'], { n: 3, order }).map(
      (w) => `${w.request.prompt}${w.identity.k}:${w.seed}`,
    );

  it('come after the first one of every line, or line by line', () => {
    expect(shape('breadth')).toEqual(['a0:7', 'b0:null', 'c0:null', 'a1:8', 'c1:null', 'a2:9', 'c2:null']);
    expect(shape('depth')).toEqual(['a0:7', 'a1:8', 'a2:9', 'b0:null', 'c0:null', 'c1:null', 'c2:null']);
  });

  it('and equal lines all have an identity of their own', () => {
    const wanted = wantedOf(['a', { prompt: 'a', seed: 5 }, 'a', { prompt: 'a', seed: 6 }, { prompt: 'a', seed: 5 }], {
      n: 3,
    });
    const texts = wanted.map(({ identity }) => JSON.stringify(identity));
    expect(new Set(texts).size).toBe(15);
    expect(wanted.filter((w) => w.seed === null).map((w) => w.identity.occurrence)).toEqual([0, 1, 0, 1, 0, 1]);
  });

  it('keep the name and place of their line', () => {
    expect(wantedOf([{ prompt: 'a', name: 'x' }], { n: 2 })).toMatchObject([
      { name: 'x', n: 2, place: 'prompts.txt:1' },
      { name: 'x', n: 2 },
    ]);
    expect(wantedOf(['a'])[0]).not.toHaveProperty('name');
  });
});

it('ten thousand lines are resolved in two seconds of computing at most', () => {
  const lines = Array.from({ length: 10_000 }, (_, at) => `a cat number ${at}`);
  expect(computing(() => expect(wantedOf(lines)).toHaveLength(10_000))).toBeLessThan(2_000);
});
