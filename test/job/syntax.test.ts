import { describe, expect, it } from 'vitest';
import { unspokenSyntax } from '../../src/job/syntax.ts';
import { computing } from './samples.ts';

describe('syntax that the worker does not speak', () => {
  it.each([
    ['a (red:1.3) cat', '(red:1.3)'],
    ['a (red cat: -.5 ) x', '(red cat: -.5 )'],
    ['((red) cat:1.2)', '((red) cat:1.2)'],
    ['a <lora:ink:0.8>', '<lora:ink:0.8>'],
    ['<LYCO:x:1> <lora:y:1>', '<LYCO:x:1>'],
    ['<hypernet:x:1>', '<hypernet:x:1>'],
    ['a {red|blue} cat', '{red|blue}'],
    ['{2$$a|b|c}', '{2$$a|b|c}'],
    ['a __color__ cat', '__color__'],
    ['__animals/big-*__', '__animals/big-*__'],
    ['[cat:dog:0.5]', '[cat:dog:0.5]'],
    ['[cat::10]', '[cat::10]'],
    ['[(cat:1.2):dog:0.5]', '[(cat:1.2):dog:0.5]'],
    ['a [cat|dog]', '[cat|dog]'],
    ['a cat BREAK a dog', 'BREAK'],
    ['a cat AND a dog', 'AND'],
    ['a cat, embedding:EasyNegative, ugly', 'embedding:EasyNegative'],
    ['\\(not\\) {a|b}', '{a|b}'],
  ])('is found in %s', (prompt, piece) => {
    expect(unspokenSyntax(prompt)).toBe(piece);
  });

  it.each([
    'a large red circle on a blue background',
    'a (big) cat [sitting] ((on a mat))',
    'a \\(red:1.3\\) cat',
    'cat :3) and dog ;)',
    'time 10:30, ratio 16:9, a: b',
    'a < b > c, <3',
    'snake_case and __init and a__b',
    '{braces} and | bars',
    'daybreak, Breakfast, sand and sea, SANDY',
    'été (日本) 🔥',
  ])('is not found in %s', (prompt) => {
    expect(unspokenSyntax(prompt)).toBeUndefined();
  });

  it('is looked for in a very long prompt in no time', () => {
    const prompt = '(['.repeat(2_000) + '{<__'.repeat(1_000) + 'x:1 '.repeat(500);
    expect(computing(() => expect(unspokenSyntax(prompt)).toBeUndefined())).toBeLessThan(1_000);
  });
});
