import { describe, expect, it } from 'vitest';
import { safePart } from '../../src/job/file-name.ts';
import { checkRunName, type NamedJob, runNameFor, targetFor } from '../../src/job/naming.ts';
import { refusal, wantedOf } from './samples.ts';

const USUAL = '{run}/{index:05}-{seed}';
const job = (prompt = 'a cat', more: Partial<NamedJob> & { name?: string; n?: number; k?: number } = {}): NamedJob => {
  const { name, n = 1, k = 0, ...rest } = more;
  const wanted = wantedOf([{ prompt, literal: true, ...(name === undefined ? {} : { name }) }], { n })[k];
  if (wanted === undefined) throw new Error('k is too large');
  return { run: 'night', index: 7, seed: 42, id: 'run-000007', date: new Date(2026, 10, 24, 9, 5, 3), wanted, ...rest };
};
const target = (pattern: string, of: NamedJob = job(), taken: readonly string[] = []) =>
  targetFor({ pattern, format: 'png', out: '/out', taken: new Set(taken) }, of);

describe('the name of a picture', () => {
  it.each([
    [USUAL, '/out/night/00007-42.png'],
    ['./{run}/{index:05}-{seed}.png', '/out/night/00007-42.png'],
    ['{date}/{model}/{prompt:5}_{index}', '/out/2026-11-24/tiny-sd/a-cat_7.png'],
    ['{id}', '/out/run-000007.png'],
    ['{name}-{seed}', '/out/00007-42.png'],
    ['x y', '/out/x y.png'],
  ])('follows %s', (pattern, path) => {
    expect(target(pattern)).toBe(path);
  });

  it('has the extension of its format', () => {
    const options = { pattern: '{index}', out: '/out', taken: new Set<string>() };
    expect(targetFor({ ...options, format: 'jpeg' }, job())).toBe('/out/7.jpg');
    expect(targetFor({ ...options, format: 'webp' }, job())).toBe('/out/7.webp');
  });

  it("is the line's own in place of the last part, numbered where the line asks for several", () => {
    expect(target('{run}/x/{index}', job('a', { name: 'my cat.PNG' }))).toBe('/out/night/x/my cat.png');
    expect(target(USUAL, job('a', { name: 'cat', n: 2, k: 1 }))).toBe('/out/night/cat-2.png');
    expect(target('{run}/{name}_{seed}', job('a', { name: 'cat', n: 2, k: 0 }))).toBe('/out/night/cat-1_42.png');
  });

  it('is told apart by its index where another picture of the run has it', () => {
    expect(target('x', job(), ['/out/x.png'])).toBe('/out/x-00007.png');
    expect(target('x', job(), ['/out/x.png', '/out/x-00007.png'])).toBe('/out/x-00007-2.png');
  });

  it.each([
    ['{prompt}', job('../../etc/passwd, "quoted"?'), '/out/etc-passwd-quoted.png'],
    ['{prompt:3}', job('日本の猫'), '/out/日本の.png'],
    ['{prompt}', job('?!'), '/out/prompt.png'],
    [USUAL, job('a', { name: '../../x' }), '/out/night/_.._x.png'],
    [USUAL, job('a', { name: '..' }), '/out/night/_.png'],
    [USUAL, job('a', { name: 'CON' }), '/out/night/_CON.png'],
    [USUAL, job('a', { name: 'a<b>:"|?*\n\\c. ' }), '/out/night/a_b________c.png'],
    ['{run}/{seed}', job('a', { run: '..' }), '/out/_/42.png'],
  ])('cannot leave the folder and is portable: %s', (pattern, of, path) => {
    expect(target(pattern, of)).toBe(path);
  });

  it('leaves room in the 255 bytes of a file name', () => {
    const part = safePart('猫'.repeat(300));
    expect(Buffer.byteLength(part)).toBeLessThanOrEqual(200);
    expect(part).toMatch(/^猫+$/);
  });

  it.each([
    ['{sede}', 'the pattern {sede} is no part of a name; did you mean seed? (known: {run}'],
    ['{constructor}', '{constructor} is no part of a name'],
    ['{index:x}', '{index:x} cannot be read'],
    ['{seed:5}', '{seed:5} cannot be read'],
    ['{prompt:0}', '{prompt:0} cannot be read'],
    ['{run', 'has a lone { or }'],
    ['../{run}', 'must be a path below'],
    ['a/../../b', 'must be a path below'],
    ['/tmp/{run}', 'must be a path below'],
    ['C:\\x', 'must be a path below'],
    ['{run}/', 'must be a path below'],
    ['', 'must be a path below'],
  ])('cannot follow %j', (pattern, sentence) => {
    const { code, message } = refusal(() => target(pattern));
    expect(code).toBe('bad_pattern');
    expect(message).toContain(sentence);
  });
});

describe('the name of a run', () => {
  it('is made of the time and the file or the prompt', () => {
    const began = new Date(2026, 0, 2, 3, 4, 5);
    expect(runNameFor(began, 'My prompts')).toBe('20260102-030405-my-prompts');
    expect(runNameFor(began, '')).toBe('20260102-030405');
    expect(checkRunName(runNameFor(began, `${'é '.repeat(100)}../`))).toMatch(/^20260102-030405-(é-)*é$/);
  });

  it.each(['first', 'Night 2, take (3)', '2026-11-24', 'été', 'a'.repeat(100), '_x', 'v1.2+b@c=d'])(
    'may be %s',
    (name) => {
      expect(checkRunName(name)).toBe(name);
    },
  );

  it.each([
    '',
    ' ',
    'a/b',
    'a\\b',
    '..',
    '.hidden',
    '-rf',
    'a:b',
    'a\nb',
    'nul',
    'COM1.txt',
    'end.',
    'end ',
    'a'.repeat(101),
    '猫'.repeat(90),
  ])('may not be %j', (name) => {
    expect(refusal(() => checkRunName(name)).code).toBe('bad_run_name');
  });
});
