import type { TrendStep } from '../cost/report-trend.ts';
import { whole } from './figures.ts';
import { kwhText } from './report-words.ts';

const WIDTH = 720;
const HEIGHT = 120;
const BAR = 0.8;

/** Two plots of the same days, one over the other: pictures, and energy with idle on top of work. */
export function trendSvg(trend: readonly TrendStep[]): string {
  const [first, last] = [trend[0], trend.at(-1)];
  if (first === undefined || last === undefined) return '';
  const step = first.days === 1 ? 'a day' : `in ${first.days} days`;
  const pictures = trend.map((one) => [one.pictures]);
  const energy = trend.map(({ work, idle }) => [work ?? 0, idle ?? 0]);
  const titles = trend.map((one) => {
    const kwh = (millijoules: number | null) => (millijoules === null ? '?' : `${kwhText(millijoules)} kWh`);
    const least = one.unknowns > 0 ? ', at least' : '';
    return `${one.day}: ${whole(one.pictures)} pictures, ${kwh(one.work)} for them, ${kwh(one.idle)} idle${least}`;
  });
  const ends = `<div class="ends"><span>${first.day}</span><span>${last.day}</span></div>`;
  return `<section class="trend"><h2>Pictures ${step}, at most ${whole(mostOf(pictures))}</h2>${plot(pictures, titles)}${ends}
<h2>kWh ${step}, at most ${kwhText(mostOf(energy))}: <i class="work"></i> pictures and overhead <i class="idle"></i> idle</h2>${plot(energy, titles)}${ends}</section>`;
}

const CLASSES = ['work', 'idle'];

type Stacks = readonly (readonly number[])[];

function mostOf(stacks: Stacks): number {
  return Math.max(...stacks.map((parts) => parts.reduce((sum, part) => sum + part, 0)));
}

/** @param stacks parts of each bar, from the ground up */
function plot(stacks: Stacks, titles: readonly string[]): string {
  const most = mostOf(stacks);
  const wide = WIDTH / stacks.length;
  const bars = stacks.map((parts, at) => {
    let ground = HEIGHT;
    const rects = parts.map((part, number) => {
      const height = most <= 0 ? 0 : (Math.max(0, part) / most) * HEIGHT;
      ground -= height;
      const place = `x="${(at * wide).toFixed(2)}" y="${ground.toFixed(2)}"`;
      return `<rect class="${CLASSES[number]}" ${place} width="${(wide * BAR).toFixed(2)}" height="${height.toFixed(2)}"/>`;
    });
    return `<g><title>${titles[at] ?? ''}</title>${rects.join('')}</g>`;
  });
  const line = `<line x1="0" x2="${WIDTH}" y1="${HEIGHT}" y2="${HEIGHT}"/>`;
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT + 1}" role="img" preserveAspectRatio="none">${line}${bars.join('')}</svg>`;
}
