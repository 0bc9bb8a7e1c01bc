import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { erasing, writerTo } from '../../src/cli/io.ts';

/** A stream whose reader leaves after `readable` writes; every later one fails with `code`. */
function streamThatBreaks(readable: number, code: string): { stream: Writable; written: string[] } {
  const written: string[] = [];
  const stream = new Writable({
    decodeStrings: false,
    autoDestroy: false,
    write(text: string, _encoding, done) {
      written.push(text);
      done(written.length > readable ? Object.assign(new Error(`write ${code}`), { code }) : null);
    },
  });
  return { stream, written };
}

describe('a command that writes', () => {
  it.each(['EPIPE', 'EIO'])('goes on in silence when its reader is gone (%s)', async (code) => {
    const { stream, written } = streamThatBreaks(1, code);
    const write = writerTo(stream);
    const failed = once(stream, 'close', { signal: AbortSignal.timeout(5_000) }).catch((error: unknown) => error);
    write('read\n');
    write('lost\n');
    expect(await failed).toMatchObject({ code });
    write('dropped\n');
    expect(written).toEqual(['read\n', 'lost\n']);
  });

  it('does not hide any other failure of its stream', () => {
    const { stream } = streamThatBreaks(0, 'ENOSPC');
    writerTo(stream);
    const full = Object.assign(new Error('write ENOSPC'), { code: 'ENOSPC' });
    expect(() => stream.emit('error', full)).toThrow(full);
  });
});

describe('what stands at the bottom of a terminal', () => {
  it('is taken away line by line', () => {
    expect(erasing('')).toBe('');
    expect(erasing('one')).toBe('\r\x1b[2K');
    expect(erasing('one\ntwo\nthree')).toBe('\r\x1b[2A\x1b[J');
  });
});

describe('colours without a terminal', () => {
  const program = `import { processIo } from '${resolve(import.meta.dirname, '../../src/cli/io.ts')}';
    const { color, isTTY } = processIo();
    console.log(JSON.stringify({ color, isTTY }));`;
  it.each([
    [{}, false],
    [{ FORCE_COLOR: '1' }, true],
    [{ FORCE_COLOR: '0' }, false],
  ])('with %o are there: %s', (env, color) => {
    const said = execFileSync(process.execPath, ['--input-type=module', '-e', program], { env, encoding: 'utf8' });
    expect(JSON.parse(said)).toEqual({ color, isTTY: false });
  });
});
