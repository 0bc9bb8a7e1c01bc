import type { TrendStep } from '../cost/report-trend.ts';
import type { Millijoules } from '../units.ts';
import { whole } from './figures.ts';
import { kwhText } from './report-words.ts';

const EIGHTHS = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const THIRDS = [' ', '.', ':', '#'];
const ROWS = 3;

/** Columns of a plot: it has a place in every terminal. */
const WIDEST = 62;
const WIDEST_BAR = 12;

/**
 * Two small plots, a bar for each step since there was anything: pictures, and energy. Nothing for less than two steps,
 * which the tables tell as well.
 * @param utf8 else plain ASCII
 */
export function plotOf(trend: readonly TrendStep[], utf8: boolean): readonly string[] {
  const from = trend.findIndex((step) => step.pictures > 0 || burntIn(step) > 0);
  const begun = from < 0 ? [] : trend.slice(from);
  const [first, last] = [begun[0], begun.at(-1)];
  if (first === undefined || last === undefined || begun.length < 2) return [];
  const step = first.days === 1 ? 'a day' : `in ${first.days} days`;
  const energy = begun.map(burntIn);
  const pictures = begun.map((one) => one.pictures);
  const each = Math.max(1, Math.min(WIDEST_BAR, Math.floor(WIDEST / begun.length)));
  const wide = (values: readonly number[]) => values.flatMap((value) => Array<number>(each).fill(value));
  const gap = Math.max(1, begun.length * each - first.day.length - last.day.length);
  return [
    `pictures ${step}, at most ${whole(Math.max(...pictures))}`,
    ...barsOf(wide(pictures), utf8),
    `kWh ${step} of pictures, overhead and idle, at most ${kwhText(Math.max(...energy))}`,
    ...barsOf(wide(energy), utf8),
    `${first.day}${' '.repeat(gap)}${last.day}`,
  ];
}

/** As far as it is known. */
function burntIn({ work, idle }: TrendStep): Millijoules {
  return (work ?? 0) + (idle ?? 0);
}

/** From the top. Whatever is over nothing is seen. */
function barsOf(values: readonly number[], utf8: boolean): readonly string[] {
  const steps = utf8 ? EIGHTHS : THIRDS;
  const cell = steps.length - 1;
  const most = Math.max(...values);
  const heights = values.map((value) =>
    value <= 0 || most <= 0 ? 0 : Math.max(1, Math.round((value / most) * ROWS * cell)),
  );
  return Array.from({ length: ROWS }, (_, at) => {
    const below = (ROWS - 1 - at) * cell;
    return heights
      .map((height) => steps[Math.min(cell, Math.max(0, height - below))] ?? ' ')
      .join('')
      .trimEnd();
  });
}
