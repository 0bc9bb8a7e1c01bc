import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parsePromptFile, parsePromptLine } from '../../src/job/prompt-file.ts';
import { resolve } from '../../src/job/resolve.ts';
import { options, refusal, sd } from './samples.ts';

const read = (path: string, text: string, literal = false) => parsePromptFile(text, { path, literal });

describe('a text file', () => {
  it('holds one prompt a line, and blank lines and comments count for line numbers only', () => {
    expect(
      read('p.txt', '\uFEFF# comment\r\n\r\n  a cat  \r\n  # another\n--prompt a dog --steps 3\na cow --seed 5'),
    ).toEqual([
      { prompt: 'a cat', place: 'p.txt:3' },
      { prompt: 'a dog', steps: 3, place: 'p.txt:5' },
      { prompt: 'a cow', seed: 5, place: 'p.txt:6' },
    ]);
  });

  it('is what any other extension means', () => {
    expect(read('./prompts', 'a, b;c')).toEqual([{ prompt: 'a, b;c', place: './prompts:1' }]);
  });

  it('is refused with file and line for one bad flag in line 7', () => {
    const lines = ['a', 'b', '', '# c', 'd', 'e', 'f --setps 20', 'g'];
    expect(refusal(() => read('night.txt', lines.join('\n')))).toEqual({
      code: 'bad_flag',
      message: expect.stringMatching(/^night\.txt:7: --setps is not known; did you mean --steps\?/),
    });
  });

  it.each(['', '\n\n', '# only a comment\n', '\uFEFF'])('without a prompt is refused', (text) => {
    expect(refusal(() => read('p.txt', text))).toEqual({ code: 'no_prompts', message: 'p.txt: holds no prompts' });
  });

  it('refuses flags without a prompt, and a file that is no text', () => {
    expect(refusal(() => read('p.txt', '--steps 4')).message).toBe('p.txt:1: a line of flags needs a --prompt');
    expect(refusal(() => read('p.txt', 'a\0c\0')).code).toBe('not_text');
  });

  it('refuses a second picture of the same name and names both lines', () => {
    expect(refusal(() => read('p.txt', 'a --name x\nb\nc --file x'))).toEqual({
      code: 'duplicate_name',
      message: 'p.txt:3: the name "x" is taken by p.txt:1; names must differ',
    });
  });

  it('marks its prompts as literal when asked', () => {
    expect(read('p.txt', 'a (b:1.2)', true)).toEqual([{ prompt: 'a (b:1.2)', literal: true, place: 'p.txt:1' }]);
    expect(parsePromptLine('a --x', 'the prompt', true)).toEqual({
      prompt: 'a --x',
      literal: true,
      place: 'the prompt',
    });
  });
});

describe('a CSV file', () => {
  it("names request fields in its header, by our names or A1111's, and an empty cell says nothing", () => {
    const text =
      'Prompt,Negative prompt,CFG scale,Sampler,seed,Size,negativePrompt\n"a ""big"" cat, sitting",blurry,7.5,Euler a,5,64x96,\nb,,,,,,ugly\n';
    expect(read('p.csv', text)).toEqual([
      {
        prompt: 'a "big" cat, sitting',
        negativePrompt: 'blurry',
        guidance: 7.5,
        scheduler: 'euler_a',
        seed: 5,
        width: 64,
        height: 96,
        place: 'p.csv:2',
      },
      { prompt: 'b', negativePrompt: 'ugly', place: 'p.csv:3' },
    ]);
  });

  it('may come from a spreadsheet: BOM, CRLF, semicolons, decimal commas, prompts of several lines', () => {
    const text = '\uFEFFprompt;file;cfg\r\n"a cat\r\non a mat";one.png;7,5\r\n\r\n;;\r\nb, c;two;\r\n';
    expect(read('p.CSV', text)).toEqual([
      { prompt: 'a cat\non a mat', name: 'one.png', guidance: 7.5, place: 'p.CSV:2' },
      { prompt: 'b, c', name: 'two', place: 'p.CSV:6' },
    ]);
    expect(read('p.csv', 'prompt\tsteps\na, b; c\t4')).toEqual([{ prompt: 'a, b; c', steps: 4, place: 'p.csv:2' }]);
  });

  it.each([
    ['prompt,sede\na,1', 'bad_field', 'p.csv:1: the column "sede" is not known; did you mean seed?'],
    ['prompt,\na,1', 'bad_field', 'p.csv:1: has a column without a name'],
    ['seed\n1', 'bad_field', 'p.csv:1: has no column "prompt"'],
    ['prompt,steps\na,4\nb,x', 'bad_field', 'p.csv:3: the column steps needs a whole number, not "x"'],
    ['prompt\na cat, sitting', 'bad_csv', 'p.csv:2: has 2 cells where the header has 1'],
    ['prompt\na\n"b\nc', 'bad_csv', 'p.csv:3: cannot be read as CSV'],
    ['prompt,file\na,x\nb,y\nc,x', 'duplicate_name', 'p.csv:4: the name "x" is taken by p.csv:2'],
    ['prompt,seed\n', 'no_prompts', 'p.csv: holds no prompts'],
    ['', 'no_prompts', 'p.csv: holds no prompts'],
  ])('is refused with its line: %j', (text, code, sentence) => {
    const refused = refusal(() => read('p.csv', text));
    expect(refused.code).toBe(code);
    expect(refused.message).toContain(sentence);
  });

  it('leaves an empty prompt to be refused with its line when it is resolved', () => {
    const drafts = read('p.csv', 'prompt,seed\n,5');
    expect(refusal(() => resolve(drafts, options))).toEqual({
      code: 'empty_prompt',
      message: 'p.csv:2: the prompt is empty',
    });
  });
});

describe('a JSONL file', () => {
  it("holds lines of OpenAI's Batch interface, with our fields beside theirs", () => {
    const body = {
      model: 'm',
      prompt: 'a cat',
      size: '64x96',
      n: 2,
      seed: 5,
      num_inference_steps: 8,
      guidance_scale: 3.5,
      negative_prompt: 'blurry',
      sampler: 'Euler',
      quality: 'high',
      response_format: 'b64_json',
      user: null,
      stream: false,
    };
    const line = { custom_id: 'a-1', method: 'POST', url: '/v1/images/generations', body };
    expect(
      read('b.jsonl', `${JSON.stringify(line)}\n\n{"custom_id":"a-2","body":{"prompt":"b","size":"auto"}}\n`),
    ).toEqual([
      {
        name: 'a-1',
        model: 'm',
        prompt: 'a cat',
        width: 64,
        height: 96,
        n: 2,
        seed: 5,
        steps: 8,
        guidance: 3.5,
        negativePrompt: 'blurry',
        scheduler: 'euler',
        place: 'b.jsonl:1',
      },
      { name: 'a-2', prompt: 'b', place: 'b.jsonl:3' },
    ]);
  });

  it('may hold plain objects of request fields', () => {
    expect(
      read(
        'b.jsonl',
        '{"prompt":"a","cfg_scale":"7","sampler_name":"DPM++ 2M","scheduler":"Karras","clipSkip":2,"seed":-1}',
      ),
    ).toEqual([
      {
        prompt: 'a',
        guidance: 7,
        scheduler: 'dpmpp_2m',
        schedule: 'karras',
        clipSkip: 2,
        seed: null,
        place: 'b.jsonl:1',
      },
    ]);
  });

  it.each([
    ['{"prompt":"a"}\n{"prompt":', 'bad_json', 'b.jsonl:2: cannot be read as JSON'],
    ['["a"]', 'bad_json', 'b.jsonl:1: is no JSON object'],
    ['{"body":"a"}', 'bad_field', 'body must be an object'],
    ['{"method":"GET","body":{}}', 'bad_field', 'method must be "POST"'],
    ['{"url":"/v1/chat/completions","body":{}}', 'bad_field', 'url must be "/v1/images/generations"'],
    ['{"prompt":"a","sede":1}', 'bad_field', 'sede is not known; did you mean seed?'],
    ['{"prompt":["a"]}', 'bad_field', 'prompt must be a text or a number'],
    ['{"prompt":"a","seed":9007199254740993}', 'bad_field', 'cannot be as large'],
    ['{"prompt":"a","steps":1e999}', 'bad_field', 'steps needs a whole number'],
    [
      '{"custom_id":"x","body":{"prompt":"a"}}\n{"custom_id":"x","body":{"prompt":"b"}}',
      'duplicate_name',
      'b.jsonl:2: the name "x" is taken by b.jsonl:1',
    ],
  ])('is refused with its line: %s', (text, code, sentence) => {
    const refused = refusal(() => read('b.jsonl', text));
    expect(refused.code).toBe(code);
    expect(refused.message).toContain(sentence);
  });
});

describe('examples/prompts.txt', () => {
  const path = 'examples/prompts.txt';
  const wanted = resolve(read(path, readFileSync(path, 'utf8')), {
    ...options,
    models: new Map([
      [sd.name, { ...sd, nativeSize: { width: 128, height: 128 }, schedulers: [...sd.schedulers, 'dpmpp_2m_sde'] }],
    ]),
  });

  it('has at least twelve prompts of mixed steps and guidance, with every form that it teaches', () => {
    expect(new Set(wanted.map((one) => one.request.prompt)).size).toBeGreaterThanOrEqual(12);
    expect(new Set(wanted.map((one) => one.request.guidance)).size).toBeGreaterThan(2);
    expect(new Set(wanted.map((one) => one.request.scheduler)).size).toBeGreaterThan(2);
    expect(new Set(wanted.map((one) => one.request.steps)).size).toBeGreaterThan(3);
    expect(wanted.some((one) => one.request.negativePrompt !== '')).toBe(true);
    expect(wanted.some((one) => one.seed !== null)).toBe(true);
  });

  it('stays quick, and at the size at which the model in the box knows its places: no more than 30 steps', () => {
    for (const { request } of wanted) {
      expect([request.width, request.height]).toEqual([128, 128]);
      expect(request.steps).toBeLessThanOrEqual(30);
    }
  });
});
