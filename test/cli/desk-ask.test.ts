import { describe, expect, it } from 'vitest';
import { completed, readRemoteAsk, readStarted } from '../../src/cli/desk-ask.ts';
import { loadConfig } from '../../src/config.ts';
import { ConfigError, InputError } from '../../src/errors.ts';
import { remote } from './desk-samples.ts';

const LORA = { name: './ink.safetensors', weight: 1 };
const ID = '01993f2e-7c1a-7000-8000-000000000001';
const load = (flags: Readonly<Record<string, string>>, env: Record<string, string> = {}) =>
  loadConfig({ flags, env: { HOME: '/home/user', ...env }, cwd: '/home/user' });

describe('what is asked for elsewhere', () => {
  it('carries no setting that nobody gave, so that the host that serves decides', () => {
    const { settings } = remote({}, load({}));
    expect(settings).toEqual({});
    const ask = completed(remote({}, load({})), ID, load({ model: 'theirs', format: 'webp', out: '/theirs' }).config);
    expect(ask).toMatchObject({ id: ID, defaultModel: 'theirs', format: 'webp', out: null, defaultOut: '/theirs' });
  });

  it('carries what flags, variables and files say, none included', () => {
    const here = load({ model: 'mine', sidecar: 'none' }, { KILNWATT_PATTERN: '{seed}' });
    const sent = remote({}, here);
    expect(sent.settings).toEqual({ model: 'mine', sidecar: null, pattern: '{seed}' });
    const ask = completed(sent, ID, load({ model: 'theirs', sidecar: 'txt', preset: 'fp16' }).config);
    expect(ask).toMatchObject({ defaultModel: 'mine', sidecar: null, pattern: '{seed}', preset: 'fp16' });
  });

  it('waits for cheap electricity as it says, and else as whoever makes it is configured', () => {
    const theirs = load({ when: 'cheap' }).config;
    expect(completed(remote({}, load({})), ID, theirs)).toMatchObject({ when: null });
    for (const when of ['now', 'cheap']) {
      const sent = readRemoteAsk(JSON.parse(JSON.stringify(remote({}, load({ when })))));
      expect(completed(sent, ID, theirs)).toMatchObject({ when });
    }
  });

  it('is the same after it has travelled', () => {
    const sent = remote(
      {
        drafts: [
          { prompt: 'a', seed: null, place: 'p.txt:1' },
          {
            prompt: 'b',
            width: 64,
            guidance: 2.5,
            scheduler: 'euler',
            n: 2,
            name: 'b',
            loras: [{ name: 'ink', weight: 0.5 }],
            literal: true,
            place: 'p.txt:2',
          },
        ],
        flags: { steps: 4, place: 'command line' },
        tags: { who: 'me' },
      },
      load({ model: 'mine' }),
    );
    expect(readRemoteAsk(JSON.parse(JSON.stringify(sent)))).toEqual(sent);
  });

  it.each([
    [{ out: 'pictures' }, {}, /^--out: is a folder of the host that serves, so it must be a whole path/],
    [{ out: '~/pictures' }, {}, /^--out: /],
    [{ model: './mine' }, {}, /^--model: names a folder that counts from here/],
    [{ model: '~/mine' }, {}, /^--model: /],
    [{}, { drafts: [{ prompt: 'a', model: '../mine', place: 'p.txt:7' }] }, /^p\.txt:7: names a folder/],
    [{}, { drafts: [{ prompt: 'a', loras: [LORA], place: 'p.txt:8' }] }, /^p\.txt:8: names a file that counts from/],
    [{}, { flags: { loras: [LORA] } }, /^--lora: names a file that counts from here/],
  ])('refuses a path that means something else there: %j %j', (flags, change, sentence) => {
    const sending = () => remote(change, load({}), flags);
    expect(sending).toThrow(sentence);
    expect(sending).toThrow(InputError);
  });

  it.each([{ out: '/pictures' }, { model: '/models/mine' }, { model: 'org/mine' }, { model: '.hidden' }])(
    'sends %j as it is',
    (flags) => {
      expect(() => remote({}, load({}), flags)).not.toThrow();
    },
  );

  it('of another version is refused with what is wrong with it, on both sides', () => {
    const newer = { ...remote({}, load({})), upscale: 2 };
    expect(() => readRemoteAsk(newer)).toThrow(/^another version of kilnwatt speaks from the other host \(.*upscale/);
    expect(() => readRemoteAsk('x')).toThrow(ConfigError);
    expect(() => readStarted({ event: 'run', run: 'x' })).toThrow(/^another version .*\(name: /);
  });

  it('for a preset that only the other version has is refused', () => {
    const sent = { ...remote({}, load({})), settings: { preset: 'nf4-some-day' } };
    expect(() => completed(sent, ID, load({}).config)).toThrow(/nf4-some-day/);
  });
});
