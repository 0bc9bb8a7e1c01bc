import type { RunSummary } from './run-events.ts';

/**
 * What of a bill's energy is assumed, as words after "energy": nothing where all of it is, else the part. A load that
 * failed tells no energy, on a card that has metered every picture.
 */
export function assumedPart({ pictures, overhead }: RunSummary['parts']): string {
  const used = [
    { name: ' of pictures', energy: pictures.energy },
    { name: ' of loading and overhead', energy: overhead.energy },
  ].filter(({ energy }) => energy.joules !== 0);
  const assumed = used.filter(({ energy }) => energy.method === 'assumed');
  return assumed.length === used.length ? '' : assumed.map(({ name }) => name).join();
}
