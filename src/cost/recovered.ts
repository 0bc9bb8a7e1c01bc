import type { BatchBooking, Chain, Mark } from '../ports.ts';
import type { Millijoules } from '../units.ts';
import { inForce, isWindow } from './chain.ts';
import { type Piece, piecesOf } from './pieces.ts';

export interface Recovered {
  /** Where the chain goes on. */
  readonly last: Mark | null;
  /** All that was open up to there. */
  readonly pieces: readonly Piece[];
  /**
   * What adopted pictures say that they took, over what the marks saw of their batches: those were cut off before the next
   * mark, so it was burnt after the last one.
   */
  readonly excess: Millijoules;
}

/**
 * Books what a process that is gone had left open. Its batches were never settled: what they took is lost, but for the
 * pictures that were found and are booked already.
 * @param booked by batch
 */
export function recovered(chain: Chain, booked: ReadonlyMap<string, BatchBooking>): Recovered {
  const marks = marksOf(chain);
  const adopted = new Map(openBatches(chain).map((id) => [id, adoptedOf(booked.get(id))] as const));
  const told = new Set(marks.filter(isWindow).map(({ batchId }) => batchId));
  const pieces = marks.slice(1).flatMap((mark, place) => {
    const before = marks[place];
    if (before === undefined) return [];
    // Where the windows are known, the time around them was idle.
    const settled = !isWindow(before) && told.has(before.batchId);
    return piecesOf(before, mark, { settled, others: 'load' });
  });
  const left = pieces.flatMap((piece) => withoutAdopted(piece, adopted));
  const excess = [...adopted.values()].reduce((sum, over) => sum + over, 0);
  return { last: marks.at(-1) ?? null, pieces: left, excess };
}

/** Batches that were under way after what is booked, or began where that ends. */
export function openBatches(chain: Chain): readonly string[] {
  const open = marksOf(chain).filter((mark) => mark.after === 'work' || isWindow(mark));
  return [...new Set(open.flatMap(({ batchId }) => batchId ?? []))];
}

/** Where `lost` is booked, a start before this one has taken out what was adopted. */
function adoptedOf(booked: BatchBooking | undefined): Millijoules {
  return booked === undefined || booked.lost !== null ? 0 : booked.adopted;
}

function marksOf({ booked, open }: Chain): readonly Mark[] {
  return inForce(booked === null ? open : [booked, ...open]);
}

/** Takes what is booked already out of what was lost. */
function withoutAdopted(piece: Piece, adopted: Map<string, Millijoules>): readonly Piece[] {
  const { cause, batchId, burnt } = piece;
  const over = batchId === null ? 0 : (adopted.get(batchId) ?? 0);
  if (cause !== 'lost' || batchId === null || burnt.millijoules === null || over === 0) return [piece];
  const taken = Math.min(over, burnt.millijoules);
  adopted.set(batchId, over - taken);
  return [{ ...piece, burnt: { ...burnt, millijoules: burnt.millijoules - taken } }];
}
