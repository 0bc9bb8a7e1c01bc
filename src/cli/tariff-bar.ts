import { DAY_MS, MINUTE_MS, type WallClock } from '../cost/local-time.ts';
import type { Slice, Span } from '../cost/tariff.ts';
import { decimalOf, type Millis } from '../units.ts';

/**
 * A day as a line of blocks, one for each half hour, higher where a kilowatt-hour costs more, over a line with the hours
 * on the wall. A day on which the clock is set has two blocks more or less.
 * @param looks `shown` is all that is drawn beside it, so that heights compare; without `utf8` it is plain ASCII
 */
export function barOf(
  clock: WallClock,
  { span, parts }: { readonly span: Span; readonly parts: readonly Slice[] },
  looks: { readonly shown: readonly Slice[]; readonly utf8: boolean },
): readonly [string, string] {
  const { shown, utf8 } = looks;
  const prices = shown.map(({ nano }) => decimalOf(nano));
  const [least, most] = [Math.min(...prices), Math.max(...prices)];
  const blocks = Array.from(
    { length: Math.ceil((span.to - span.from) / BLOCK_MS) },
    (_, at) => span.from + at * BLOCK_MS,
  );
  const heights = utf8 ? EIGHTHS : ASCII;
  const bar = blocks.map((at) => {
    const price = decimalOf(parts.findLast(({ from }) => from <= at)?.nano ?? 0n);
    const height = most === least ? 0.5 : (price - least) / (most - least);
    return heights[Math.round(height * (heights.length - 1))] ?? ' ';
  });
  const ruler = blocks.reduce((line, at, place) => {
    const minute = (clock.wall(at) % DAY_MS) / MINUTE_MS;
    return minute % LABEL_MINUTES === 0 ? line.padEnd(place) + String(minute / 60) : line;
  }, '');
  return [bar.join(''), ruler];
}

const BLOCK_MS: Millis = 30 * MINUTE_MS;
const LABEL_MINUTES = 6 * 60;
const EIGHTHS = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ASCII = ['_', '.', ':', '-', '=', '+', '*', '#'];
