import { describe, expect, it } from 'vitest';
import { parametersText } from '../../src/job/parameters.ts';
import type { Request } from '../../src/job/request.ts';
import { request } from './samples.ts';

const text = (changes: Partial<Request> = {}, modelName = 'tiny-sd') =>
  parametersText({ ...request, ...changes }, { version: 'kilnwatt 0.1.0', modelName });

/** A1111's own reader (`parse_generation_parameters`), as far as it reads the text apart. */
function a1111Reads(written: string): { prompt: string; negative: string; settings: Map<string, string> } {
  const lines = written.trim().split('\n');
  const pairs = [...(lines.pop() ?? '').matchAll(/\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)/g)];
  expect(pairs.length).toBeGreaterThanOrEqual(3);
  const prompt: string[] = [];
  const negative: string[] = [];
  let into = prompt;
  for (const line of lines.map((one) => one.trim())) {
    if (line.startsWith('Negative prompt:')) into = negative;
    into.push(into === negative ? line.replace(/^Negative prompt:/, '').trim() : line);
  }
  const settings = new Map(
    pairs.map(([, name = '', value = '']) => [name, value.startsWith('"') ? JSON.parse(value) : value]),
  );
  return { prompt: prompt.join('\n'), negative: negative.join('\n'), settings };
}

/** civitai's reader: the line that begins with `Steps: ` is the settings, the rest is split at `Negative prompt:`. */
function civitaiReads(written: string): { prompt: string; negative: string; settings: string } {
  const lines = written.split('\n').filter((line) => !/^(Template|Negative Template): /.test(line));
  const at = lines.findIndex((line) => line.startsWith('Steps: '));
  const [settings = ''] = lines.splice(at, 1);
  const [prompt = '', ...negative] = lines.join('\n').split('Negative prompt:');
  return { prompt: prompt.trim(), negative: negative.join('').trim(), settings };
}

describe('the parameters text', () => {
  it("is A1111's", () => {
    expect(text({ negativePrompt: 'blurry, dark', guidance: 7.5, clipSkip: 1 })).toBe(
      [
        'a large red circle on a blue background',
        'Negative prompt: blurry, dark',
        'Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 1, Size: 512x512, Model hash: 5d5d5d5d5d, Model: tiny-sd, Clip skip: 2, Version: kilnwatt 0.1.0',
      ].join('\n'),
    );
  });

  it('says what a distilled model, a VAE, a LoRA and a start picture add', () => {
    const settings = text({
      guidance: 1,
      distilledGuidance: 3.5,
      scheduler: 'flow_match_euler',
      schedule: 'normal',
      vae: `sha256:${'ab'.repeat(32)}`,
      strength: 0.75,
      loras: [{ name: 'ink', hash: `sha256:${'cd'.repeat(32)}`, weight: 1 }],
    })
      .split('\n')
      .at(-1);
    expect(settings).toContain('Sampler: Euler, Schedule type: Simple, CFG scale: 1, Distilled CFG Scale: 3.5, Seed');
    expect(settings).toContain('VAE hash: ababababab, Denoising strength: 0.75, Lora hashes: "ink: cdcdcdcdcd"');
  });

  it('names LoRAs as in a prompt of A1111 and by their hashes, and readers still find the rest', () => {
    const loras = [
      { name: 'ink', hash: `sha256:${'cd'.repeat(32)}`, weight: 0.75 },
      { name: 'Clay, <v2>: new', hash: `sha256:${'ef'.repeat(32)}`, weight: -1 },
    ];
    const written = text({ negativePrompt: 'blurry', loras });
    expect(a1111Reads(written)).toMatchObject({
      prompt: 'a large red circle on a blue background <lora:ink:0.75> <lora:Clay_ _v2__ new:-1>',
      negative: 'blurry',
    });
    expect(a1111Reads(written).settings.get('Lora hashes')).toBe('ink: cdcdcdcdcd, Clay_ _v2__ new: efefefefef');
    expect(civitaiReads(written)).toMatchObject({ negative: 'blurry' });
  });

  it.each<[string, Partial<Request>]>([
    ['a plain one', {}],
    ['one with a negative prompt of several lines', { prompt: 'a\nb, c: d', negativePrompt: 'x\ny: 1, z: 2, w: 3' }],
    ['one in other scripts', { prompt: 'été 日本 🔥', negativePrompt: 'ß' }],
    ['one that looks like settings', { prompt: 'Seed: 9, Size: 1x1, Model: other, CFG scale: 1' }],
  ])('is read back by A1111 and civitai as it was meant: %s', (_, changes) => {
    const wanted = { ...request, ...changes };
    const read = a1111Reads(text(changes));
    expect(read).toMatchObject({ prompt: wanted.prompt, negative: wanted.negativePrompt });
    expect(Object.fromEntries(read.settings)).toMatchObject({
      Steps: '20',
      Sampler: 'DPM++ 2M',
      Seed: '1',
      Size: '512x512',
      Model: 'tiny-sd',
    });
    expect(civitaiReads(text(changes))).toMatchObject({ prompt: wanted.prompt, negative: wanted.negativePrompt });
  });

  it.each([
    ['Steps: 99, Seed: 5, Size: 1x1', 'Steps : 99, Seed: 5, Size: 1x1'],
    ['a\nSteps: 99\nTemplate: x\nNegative Template: y', 'a\nSteps : 99\nTemplate : x\nNegative Template : y'],
    ['a Negative prompt: b', 'a Negative prompt : b'],
    ['a\r\nNegative prompt: b', 'a\nNegative prompt : b'],
  ])('does not let a prompt end the prompt: %j', (prompt, shown) => {
    for (const read of [
      a1111Reads(text({ prompt, negativePrompt: 'n' })),
      civitaiReads(text({ prompt, negativePrompt: 'n' })),
    ]) {
      expect(read).toMatchObject({ prompt: shown, negative: 'n' });
    }
    expect(civitaiReads(text({ prompt })).settings).toMatch(/^Steps: 20, /);
  });

  it('keeps commas, colons, quotes and line ends out of names', () => {
    const read = a1111Reads(text({}, 'a, b: "c"\nSteps: 1'));
    expect(read.settings.get('Model')).toBe('a_ b_ _c_Steps_ 1');
    expect(read.settings.get('Steps')).toBe('20');
  });
});
