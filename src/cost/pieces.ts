import type { NewMark, Stretch } from '../ports.ts';
import type { EpochMillis } from '../units.ts';
import { type Burnt, burntBetween, isWindow, SILENCE } from './chain.ts';

/** A stretch, or a part of it, that is booked as one thing. */
export interface Piece extends Pick<Stretch, 'kind' | 'cause' | 'batchId'> {
  readonly from: EpochMillis;
  readonly to: EpochMillis;
  readonly burnt: Burnt;
}

export interface Circumstances {
  /** The batch of these marks has entries in the ledger, or gets them now; else what it took is lost. */
  readonly settled: boolean;
  /** What others did while ours rested, where they did. */
  readonly others: 'process' | 'load';
}

/** What the stretch between two marks that follow each other is booked as, besides the entries of a batch's window. */
export function piecesOf(begin: NewMark, end: NewMark, circumstances: Circumstances): readonly Piece[] {
  const span = {
    from: begin.at,
    to: Math.max(begin.at, end.at),
    batchId: begin.batchId,
    burnt: burntBetween(begin, end),
  };
  if (span.from === span.to && (span.burnt.millijoules ?? 0) === 0) return [];
  if (begin.launch !== end.launch || begin.after === 'off')
    return [{ ...span, kind: 'unknown', cause: 'off', batchId: null }];
  if (isWindow(begin)) return windowPieces(end.foreign, span, circumstances.settled);
  if (end.at - begin.at > SILENCE || span.burnt.millijoules === null)
    return [{ ...span, kind: 'unknown', cause: 'unread' }];
  const rests = begin.batchId === null;
  if (end.foreign === null) return [{ ...span, kind: 'unknown', cause: 'shared' }];
  const [ours, others] = divided(span.burnt, end.foreign);
  const pieces: Piece[] = [];
  if (others !== null)
    pieces.push({ ...span, kind: 'foreign', cause: rests ? circumstances.others : 'shared', burnt: others });
  if (ours !== null) pieces.push({ ...span, ...oursBetween(begin, circumstances.settled), burnt: ours });
  return pieces;
}

function windowPieces(foreign: number | null, span: Omit<Piece, 'kind' | 'cause'>, settled: boolean): readonly Piece[] {
  // With nothing to go by, the entries of a settled batch say what is assumed.
  if (span.burnt.millijoules === null) return settled ? [] : [{ ...span, kind: 'unknown', cause: 'unread' }];
  if (foreign === null) return [{ ...span, kind: 'unknown', cause: 'shared' }];
  const [ours, others] = divided(span.burnt, foreign);
  const pieces: Piece[] = others === null ? [] : [{ ...span, kind: 'foreign', cause: 'shared', burnt: others }];
  if (ours !== null && !settled) pieces.push({ ...span, kind: 'overhead', cause: 'lost', burnt: ours });
  return pieces;
}

function oursBetween({ after, batchId }: NewMark, settled: boolean): Pick<Piece, 'kind' | 'cause'> {
  if (after === 'work' && !settled) return { kind: 'overhead', cause: 'lost' };
  if (batchId !== null) return { kind: 'idle', cause: 'between' };
  return { kind: 'idle', cause: after === 'rest' ? 'no_context' : 'resident' };
}

/**
 * Ours, and what others burnt; null for a part that is not there. What is divided by shares of time is derived, and how
 * far that is off nobody knows.
 */
function divided(burnt: Burnt, foreign: number): readonly [Burnt | null, Burnt | null] {
  if (foreign === 0) return [burnt, null];
  if (foreign === 1) return [null, burnt];
  const all = burnt.millijoules ?? 0;
  const theirs = Math.round(all * foreign);
  const part = (millijoules: number): Burnt => {
    return { ...burnt, millijoules, bound: null, method: 'derived', flags: ['shared_gpu'] };
  };
  return [part(all - theirs), part(theirs)];
}
