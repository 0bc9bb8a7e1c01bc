import { LAG, PEAK, type SimulatedCard } from './card.ts';

export const [SECOND, MINUTE, HOUR, DAY] = [1_000, 60_000, 3_600_000, 86_400_000] as const;
/** What goes on around a change of what others do, until two ticks have told the same. */
export const NOTICED = 3 * SECOND;
/** Between two marks on disk, and the tick after. */
export const MARKED = 11 * SECOND;
/** With a second in which a tick may be left out. */
export const TAIL = MARKED + SECOND;

/** What is burnt at most between an update of its counter and the stamp of its reading, or where it has none, between two. */
export function stepOf({ options: { step, meters } }: SimulatedCard): number {
  return (meters === 'dead counter' ? SECOND : step + LAG) * PEAK;
}

/** A counter that has passed its old value again when somebody looks cannot be known to have fallen. */
export function isSeen({ world }: SimulatedCard, burnt: number): boolean {
  return world.counter(world.now) > 2 * burnt;
}

/** What a kill may have made unknown of a batch: its end, which came after the last mark on disk. */
export function tailOf({ world }: SimulatedCard, begun: number): number {
  return world.energy(world.now) - world.energy(Math.max(begun, world.now - TAIL));
}

/** How often what can go wrong did. */
export function nothingPlanted() {
  return {
    ...{ kills: 0, stops: 0, gaps: 0, resets: 0, setBack: 0, mute: 0 },
    ...{ waits: 0, adopted: 0, deaths: 0, shared: 0, untold: 0, others: 0, jobs: 0 },
  };
}
