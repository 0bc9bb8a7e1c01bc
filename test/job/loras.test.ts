import { describe, expect, it } from 'vitest';
import { readFields } from '../../src/job/fields.ts';
import { parseLora } from '../../src/job/loras.ts';
import { parsePromptFile } from '../../src/job/prompt-file.ts';
import { clay, ink, refusal, wantedOf } from './samples.ts';

describe('a LoRA as it is written', () => {
  it.each([
    ['ink', { name: 'ink', weight: 1 }],
    [' ink : 0.8 ', { name: 'ink', weight: 0.8 }],
    ['ink:-1.5', { name: 'ink', weight: -1.5 }],
    ['ink:0,5', { name: 'ink', weight: 0.5 }],
    ['~/my loras/ink v2.safetensors:2', { name: '~/my loras/ink v2.safetensors', weight: 2 }],
    ['ink:0', { name: 'ink', weight: 0 }],
    ['ink:100', { name: 'ink', weight: 100 }],
    ['', undefined],
    [':1', undefined],
    ['ink:', undefined],
    ['ink:much', undefined],
    ['ink:1:2', undefined],
    ['ink:1e1', undefined],
    ['ink:101', undefined],
    ['ink:-100.5', undefined],
  ])('%j', (text, read) => {
    expect(parseLora(text)).toEqual(read);
  });
});

describe('LoRAs of a line', () => {
  const both = [
    { name: 'ink', weight: 0.8 },
    { name: 'clay', weight: -0.5 },
  ];
  it.each([
    ['p.txt', 'a cat --lora ink:0.8 --lora clay:-0.5'],
    ['p.txt', '--prompt a cat --loras "ink:0.8, clay:-0.5"'],
    ['p.csv', 'prompt,loras\na cat,"ink:0.8,clay:-0.5"'],
    ['p.csv', 'prompt;Loras\na cat;"ink:0,8;clay:-0,5"'],
    ['p.csv', 'prompt,lora,LoRA\na cat,ink:0.8,clay:-0.5'],
    ['p.jsonl', '{"prompt":"a cat","loras":["ink:0.8",{"name":"clay","weight":-0.5}]}'],
    ['p.jsonl', '{"prompt":"a cat","loras":"ink:0.8;clay:-0.5"}'],
    ['p.jsonl', '{"prompt":"a cat","lora":"ink:0.8","loras":[{"name":"clay","weight":-0.5}]}'],
  ])('are read from %s: %s', (path, text) => {
    const [draft] = parsePromptFile(text, { path, literal: false });
    expect(draft).toMatchObject({ prompt: 'a cat', loras: both });
  });

  it.each([
    ['style1,2d-look', ['style1 1', '2d-look 1']],
    ['ink:1,2d:0.5', ['ink 1', '2d 0.5']],
    ['ink:0,8,clay:0,5', ['ink 0.8', 'clay 0.5']],
    ['ink:1, 2d', ['ink 1', '2d 1']],
    ['ink:,5;v1.5,3', ['ink 0.5', 'v1.5 1', '3 1']],
    ['ink:-0,5 , clay', ['ink -0.5', 'clay 1']],
    ['style1,2', ['style1 1', '2 1']],
  ])('are divided by commas, and a comma in a weight alone is a decimal point: %s', (value, names) => {
    const said = [{ name: 'loras', label: '--loras', value }];
    const { loras = [] } = readFields(said, { place: 'command line', code: 'bad_flag' });
    expect(loras.map(({ name, weight }) => `${name} ${weight}`)).toEqual(names);
  });

  it('may be several as flags of the command line too', () => {
    const said = ['ink:0.8', 'clay:-0.5'].map((value) => ({ name: 'lora', label: '--lora', value }));
    expect(readFields(said, { place: 'command line', code: 'bad_flag' })).toEqual({ loras: both });
  });

  it.each([
    [
      'p.txt',
      'a cat --lora ink:much',
      /^p\.txt:1: --lora needs a LoRA, as in ink or ink:0\.8 .*-100 to 100, not "ink:much"/,
    ],
    ['p.csv', 'prompt,lora\na cat,ink:101', /^p\.csv:2: the column lora needs a LoRA/],
    [
      'p.jsonl',
      '{"prompt":"a","loras":[{"name":"ink","strength":1}]}',
      /^p\.jsonl:1: loras must hold texts, or objects/,
    ],
    ['p.jsonl', '{"prompt":"a","loras":[7]}', /^p\.jsonl:1: loras must hold texts/],
    ['p.jsonl', '{"prompt":"a","loras":{"name":"ink"}}', /^p\.jsonl:1: loras must be a text or a number/],
  ])('that cannot be read are refused with their place: %s %s', (path, text, sentence) => {
    expect(refusal(() => parsePromptFile(text, { path, literal: false })).message).toMatch(sentence);
  });

  it('in the syntax of A1111 are still refused, because nothing would act on it', () => {
    expect(refusal(() => wantedOf(['a cat <lora:ink:0.8>'])).code).toBe('unspoken_syntax');
  });
});

describe('LoRAs of a request', () => {
  const lorasOf = (...[lines, flags]: [Parameters<typeof wantedOf>[0], { loras: typeof many }?]) =>
    wantedOf(lines, flags === undefined ? {} : { flags }).map(({ request }) => request.loras);
  const many = [
    { name: 'clay', weight: 0.5 },
    { name: 'ink.safetensors', weight: 1 },
  ];

  it('are those of the line, otherwise those of the command line, with their hashes', () => {
    const lines = [{ prompt: 'a', loras: [{ name: 'ink', weight: 2 }] }, { prompt: 'b' }, { prompt: 'c', loras: [] }];
    expect(lorasOf(lines, { loras: many })).toEqual([
      [{ name: 'ink', hash: ink.hash, weight: 2 }],
      [
        { name: 'clay', hash: clay.hash, weight: 0.5 },
        { name: 'ink', hash: ink.hash, weight: 1 },
      ],
      [],
    ]);
  });

  it('with a weight of 0 are none, and the line is the same as without', () => {
    const [without, zero, one] = wantedOf([
      'a',
      { prompt: 'a', loras: [{ name: 'ink', weight: 0 }] },
      { prompt: 'a', loras: [{ name: 'ink', weight: 1 }] },
    ]);
    expect(zero?.request).toEqual(without?.request);
    expect(zero?.identity.lineKey).toBe(without?.identity.lineKey);
    expect(one?.identity.lineKey).not.toBe(without?.identity.lineKey);
  });

  it('that are unknown, or named twice by whatever name, are refused with their place', () => {
    const unknown = () => wantedOf([{ prompt: 'a', loras: [{ name: 'none', weight: 1 }] }]);
    expect(refusal(unknown)).toEqual({ code: 'lora_missing', message: 'prompts.txt:1: there is no LoRA "none"' });
    const twice = [{ name: 'ink', weight: 1 }, ...many];
    expect(refusal(() => lorasOf([{ prompt: 'a', loras: twice }])).message).toBe(
      'prompts.txt:1: the LoRA ink.safetensors is named twice; name it once, with the sum of the weights',
    );
  });
});
