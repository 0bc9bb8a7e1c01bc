import { describe, expect, it } from 'vitest';
import { LINE_FEED, LineSplitter } from '../../src/process/lines.ts';
import { LogTail } from '../../src/process/log-tail.ts';

function split(chunks: readonly (string | Buffer)[], limit = 100) {
  const lines: string[] = [];
  const overlong: string[] = [];
  const splitter = new LineSplitter({
    ends: [LINE_FEED],
    limit,
    onLine: (line) => lines.push(line),
    onOverlong: (beginning) => overlong.push(beginning),
  });
  for (const chunk of chunks) splitter.push(Buffer.from(chunk));
  splitter.end();
  return { lines, overlong };
}

describe('a splitter of lines', () => {
  it('joins what the pipe has cut, also in the middle of a letter', () => {
    const bytes = Buffer.from('un été\ndeux\n');
    expect(split([...bytes].map((byte) => Buffer.from([byte]))).lines).toEqual(['un été', 'deux']);
  });

  it('takes a last line without its end', () => {
    expect(split(['one\ntwo']).lines).toEqual(['one', 'two']);
  });

  it('reports a line that is too long once, drops its rest, and goes on with the next', () => {
    const { lines, overlong } = split(['ok\n', 'x'.repeat(11), 'x'.repeat(50), '\nagain\n'], 10);
    expect(overlong).toEqual(['x'.repeat(10)]);
    expect(lines).toEqual(['ok', 'again']);
  });

  it('accepts a line of exactly the limit', () => {
    expect(split([`${'x'.repeat(10)}\n`], 10)).toEqual({ lines: ['x'.repeat(10)], overlong: [] });
  });
});

describe('the tail of a log', () => {
  it('keeps the last lines only, and each redraw of a progress bar is a line', () => {
    const heard: string[] = [];
    const log = new LogTail({ keep: 3, onLine: (line) => heard.push(line) });
    log.splitter().push(Buffer.from('start\n 10%\r 20%\r\n\nend\n'));
    expect(heard).toEqual(['start', ' 10%', ' 20%', 'end']);
    expect(log.last(10)).toEqual([' 10%', ' 20%', 'end']);
    expect(log.last(1)).toEqual(['end']);
    expect(log.last(0)).toEqual([]);
  });

  it('does not mix the lines of two streams', () => {
    const log = new LogTail({ keep: 9, onLine: () => {} });
    const [out, err] = [log.splitter(), log.splitter()];
    out.push(Buffer.from('half of '));
    err.push(Buffer.from('an error\n'));
    out.push(Buffer.from('a line\n'));
    expect(log.last(9)).toEqual(['an error', 'half of a line']);
  });

  it('cuts a line that is too long', () => {
    const log = new LogTail({ keep: 9, onLine: () => {} });
    log.splitter().push(Buffer.from(`${'x'.repeat(10_000)}\nnext\n`));
    expect(log.last(9).map((line) => line.length)).toEqual([4_097, 4]);
  });
});
