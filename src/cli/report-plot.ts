import type { TrendStep } from '../cost/report-trend.ts';
import { whole } from './figures.ts';
import { kwhText } from './report-words.ts';

const EIGHTHS = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const THIRDS = [' ', '.', ':', '#'];
const ROWS = 3;

/** Two small plots, a bar for each step: pictures, and energy. @param utf8 else plain ASCII */
export function plotOf(trend: readonly TrendStep[], utf8: boolean): readonly string[] {
  const [first, last] = [trend[0], trend.at(-1)];
  if (first === undefined || last === undefined || trend.length < 2) return [];
  if (trend.every(({ pictures, work, idle }) => pictures === 0 && work + idle === 0)) return [];
  const step = first.days === 1 ? 'a day' : `in ${first.days} days`;
  const energy = trend.map(({ work, idle }) => work + idle);
  const pictures = trend.map((one) => one.pictures);
  const gap = Math.max(1, trend.length - first.day.length - last.day.length);
  return [
    `pictures ${step}, at most ${whole(Math.max(...pictures))}`,
    ...barsOf(pictures, utf8),
    `kWh ${step} of pictures, overhead and idle, at most ${kwhText(Math.max(...energy))}`,
    ...barsOf(energy, utf8),
    `${first.day}${' '.repeat(gap)}${last.day}`,
  ];
}

/** From the top. Whatever is over nothing is seen. */
export function barsOf(values: readonly number[], utf8: boolean): readonly string[] {
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
