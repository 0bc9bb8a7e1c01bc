import { Bookkeeper } from '../../../src/bookkeeper.ts';
import type { Batch, BatchResult, Reading } from '../../../src/ports.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { PRICES } from '../batches.ts';
import { Over, type SimulatedCard } from './card.ts';
import type { LedgerHandle } from './ledger.ts';
import { HOUR } from './limits.ts';

/** How a process ends: with pictures on disk and no entry of them, in the middle of a batch, before it is settled, or at rest. */
export type Style = 'finishing' | 'killing' | 'waiting' | 'clean';

/** Each end has the same number, and some are clean. */
export const STYLES: readonly Style[] = ['finishing', 'finishing', 'killing', 'killing', 'waiting', 'clean', 'clean'];

/** One process on all cards, from its start to its end. */
export interface Launch {
  readonly id: string;
  readonly end: number;
  readonly handle: LedgerHandle;
  readonly keeper: Bookkeeper;
  readonly style: Style;
  /** Its end is that of the process; the other card is seen up to there. */
  readonly first: SimulatedCard;
  /** @param at when it comes, by a clock that is never set */
  tell(reading: Reading, at: number): void;
}

export async function keeperOf(
  id: string,
  cards: readonly SimulatedCard[],
  store: LedgerHandle,
): Promise<Pick<Launch, 'keeper' | 'tell'>> {
  const listeners: ((reading: Reading) => void)[] = [];
  const time = new ManualClock();
  let now = 0;
  const keeper = await Bookkeeper.open({
    clock: { now: () => time.now(), after: (delay, callback) => time.after(delay, callback), monotonic: () => now },
    store,
    launch: id,
    tariff: PRICES.tariff,
    log: (line) => {
      throw new Error(line);
    },
    telemetry: {
      watch: (listener) => {
        listeners.push(listener);
        return { stop: async () => {} };
      },
    },
    provider: {
      devices: cards.map(({ options: { device, gpu } }) => ({ id: device, kind: 'cuda', uuid: gpu, name: gpu })),
      pids: (device) => cards.find(({ options }) => options.device === device)?.pids ?? [],
    },
  });
  if (keeper === null) throw new Error('there are cards');
  const tell = (reading: Reading, at: number) => {
    now = at;
    for (const listener of listeners) listener(reading);
  };
  return { keeper, tell };
}

/** What was begun without waiting is over. */
export async function quietly(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await undefined;
}

/** The process is to end over a batch, and it is time. */
export function isLast(card: SimulatedCard, { end, first, style }: Launch, wanted: Launch['style']): boolean {
  return card === first && style === wanted && end - card.world.now < 4 * HOUR;
}

/** The process ends over a batch. */
export class Finishing extends Over {}

/** A batch that a process ends over, and what it truly took. */
export interface Finished {
  readonly batch: Batch;
  readonly result: BatchResult;
  readonly idle: number;
  readonly loaded: number;
  /** When its window began. */
  readonly from: number;
  readonly burnt: number;
  readonly foreign: number;
}
