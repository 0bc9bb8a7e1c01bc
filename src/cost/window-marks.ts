import type { NewMark } from '../ports.ts';
import { passing, type State } from './mark-line.ts';
import { Beside, type Tick } from './ticks.ts';
import type { Moment, ToldWindow, Witness } from './windows.ts';

/** What is at the end of a window; where its counter was not believed, it begins anew there. */
export function endMarks(
  { window, by }: ToldWindow,
  card: Pick<NewMark, 'gpu' | 'launch'>,
  next: State,
): readonly [NewMark, ...NewMark[]] {
  const { to: at, counter, integral, foreign } = window;
  const burnt = by === 'counter' && counter !== null ? counter.to - counter.from : (integral?.millijoules ?? 0);
  const share = foreign === null ? null : burnt === 0 ? 0 : foreign / burnt;
  const mark = { ...card, at, integral, foreign: share, ...next };
  if (by !== 'integral' || counter === null) return [{ ...mark, counter: counter?.to ?? null }];
  const anew = { ...mark, counter: counter.to, integral: { millijoules: 0, bound: 0 }, foreign: 0 };
  return [{ ...mark, ...passing(next), counter: null }, anew];
}

/** Of a batch for which nothing was begun: it took no time. */
export function noWindow(gpu: string, { at, counter }: Moment): ToldWindow {
  const same = counter === null ? null : { from: counter, to: counter };
  const integral = { millijoules: 0, bound: 0 };
  return { cause: 'batch', by: 'counter', window: { gpu, from: at, to: at, counter: same, integral, foreign: 0 } };
}

/** @param moments in the order of their times */
export function counterIn(moments: readonly Moment[]): Witness['counterAt'] {
  return (at) => {
    const place = moments.findIndex((moment) => moment.at >= at);
    const [before, after] = [moments[place - 1] ?? null, moments[place] ?? null];
    if (after === null || after.at === at || before === null) return after?.at === at ? after.counter : null;
    if (before.counter === null || after.counter === null || after.counter < before.counter) return null;
    return Math.round(before.counter + ((after.counter - before.counter) * (at - before.at)) / (after.at - before.at));
  };
}

/** @param ticks since the batch began */
export function shareIn(ticks: readonly Tick[]): Witness['share'] {
  return (from, to) => {
    const beside = new Beside();
    for (const [place, tick] of ticks.entries()) {
      const before = ticks[place - 1];
      if (before !== undefined && before.at >= from && tick.at <= to) beside.add(before, tick);
    }
    return beside.share;
  };
}
