import { describe, expect, it } from 'vitest';
import { parseFlags, splitTrailingFlags } from '../../src/job/flags.ts';
import { refusal } from './samples.ts';

const flags = (text: string) => parseFlags(text, 'p.txt:7');
const split = (line: string, literal = false) => splitTrailingFlags(line, 'p.txt:7', literal);

describe('flags of a line', () => {
  it('reads the line that A1111 documents', () => {
    const line =
      '--prompt photo of sunset, 4k --negative_prompt orange, pink, red --width 1024 --height 768 --sampler_name "DPM++ 2M Karras" --steps 10 --batch_size 2 --n_iter 3 --cfg_scale 3 --seed 9 --sd_model base';
    expect(flags(line)).toEqual({
      prompt: 'photo of sunset, 4k',
      negativePrompt: 'orange, pink, red',
      width: 1024,
      height: 768,
      scheduler: 'dpmpp_2m',
      schedule: 'karras',
      steps: 10,
      n: 6,
      guidance: 3,
      seed: 9,
      model: 'base',
    });
  });

  it.each([
    ['--cfg-scale 4.5', { guidance: 4.5 }],
    ['--cfg 4', { guidance: 4 }],
    ['--guidance 0.5', { guidance: 0.5 }],
    ['--Negative-Prompt blurry', { negativePrompt: 'blurry' }],
    ['--negative=blurry', { negativePrompt: 'blurry' }],
    ['--negative= --steps=4', { negativePrompt: '', steps: 4 }],
    ['--negative ""', { negativePrompt: '' }],
    ['--size 512X768', { width: 512, height: 768 }],
    ['--scheduler euler_a', { scheduler: 'euler_a' }],
    ['--scheduler karras', { schedule: 'karras' }],
    ['--sampler ddim --schedule sgm-uniform', { scheduler: 'ddim', schedule: 'sgm_uniform' }],
    ['--sampler "DPM++ 2M Karras" --schedule Automatic', { scheduler: 'dpmpp_2m', schedule: 'karras' }],
    ['-n 4', { n: 4 }],
    ['--n 4', { n: 4 }],
    ['--clip_skip 2', { clipSkip: 2 }],
    ['--file a.png', { name: 'a.png' }],
    ['--name "my cat"', { name: 'my cat' }],
    ['--seed -1', { seed: null }],
    ['--steps 4 --steps 4', { steps: 4 }],
  ])('understands %s', (text, fields) => {
    expect(flags(text)).toEqual(fields);
  });

  it('takes quotes and backslashes as a shell does', () => {
    expect(flags(`--prompt "a \\"b\\" \\(c\\)" 'd "e"' f\\'s --name=x" y"z`)).toEqual({
      prompt: 'a "b" \\(c\\) d "e" f\'s',
      name: 'x yz',
    });
    expect(flags('--prompt "say --steps 4" -- twice')).toEqual({ prompt: 'say --steps 4 -- twice' });
  });

  it.each([
    ['--steps', '--steps needs a value'],
    ['--steps --seed 1', '--steps needs a value'],
    ['--steps abc', '--steps needs a whole number, not "abc"'],
    ['--steps 2.5', 'whole number'],
    ['--cfg high', '--cfg needs a number, not "high"'],
    ['--seed 9007199254740992', 'cannot be as large'],
    ['--seed -2', '--seed must be from 0'],
    ['--size 512', '--size needs a size such as 512x768'],
    ['--stesp 4', '--stesp is not known; did you mean --steps?'],
    ['--stesp=4', '--stesp is not known'],
    ['--outpath_samples x', '--outpath_samples is not known'],
    ['--cfg:7', '--cfg:7 is not known'],
    ['--steps 4 sitting', '"sitting" behind --steps 4 is no flag'],
    ['--sampler DPM++ 2M', '"2M" behind --sampler DPM++ is no flag'],
    ['--steps 4 -- x', '"--" behind --steps 4 is no flag'],
    ["--prompt a cat's hat", 'a quote behind --prompt is not closed'],
    ['--size 512x512 --width 640', '--width contradicts what was said before it'],
    ['--n 3 --batch_size 2', 'contradicts'],
  ])('refuses %s and says where', (text, sentence) => {
    const { code, message } = refusal(() => flags(text));
    expect(message).toContain(sentence);
    expect(message).toMatch(/^p\.txt:7: /);
    expect(code).toMatch(/^(bad_flag|unknown_scheduler)$/);
  });
});

describe('flags at the end of a plain line', () => {
  it('divides the prompt from the flags that follow it to the end', () => {
    expect(split("a cat's hat, 50% --steps 30 --negative blurry, ugly -n 2")).toEqual({
      prompt: "a cat's hat, 50%",
      fields: { steps: 30, negativePrompt: 'blurry, ugly', n: 2 },
    });
    expect(split('a cat -n 4')).toEqual({ prompt: 'a cat', fields: { n: 4 } });
  });

  it.each(['a cat -- sitting', 'a cat--dog', 'one - two', 'x -n- y', 'a -s 20', 'cat --', 'plan-n 4'])(
    'leaves %s as it is',
    (line) => {
      expect(split(line)).toEqual({ prompt: line, fields: {} });
    },
  );

  it('refuses what looks like a flag and is none, instead of drawing it', () => {
    expect(refusal(() => split('a cat --setps 20'))).toEqual({
      code: 'bad_flag',
      message:
        'p.txt:7: --setps is not known; did you mean --steps? (as part of a prompt, write it in quotes: --prompt "…")',
    });
    expect(refusal(() => split('a sign "use --force" now --steps 4')).message).toContain('--force" is not known');
    expect(refusal(() => split('a cat --steps 20 sitting')).code).toBe('bad_flag');
    expect(refusal(() => split('a cat --prompt a dog')).message).toContain('--prompt stands behind a prompt');
  });

  it('keeps an unknown word with --literal, but not a known flag that is broken', () => {
    expect(split('a --foo cat --steps 20', true)).toEqual({ prompt: 'a --foo cat', fields: { steps: 20 } });
    expect(split('a cat --foo', true)).toEqual({ prompt: 'a cat --foo', fields: {} });
    expect(refusal(() => split('a cat --steps many', true)).code).toBe('bad_flag');
  });
});
