import { createHash } from 'node:crypto';
import type { EnergyFlag, Stretch } from '../ports.ts';
import { decimalOf, weakest } from '../units.ts';
import type { Burnt } from './chain.ts';
import type { Piece } from './pieces.ts';
import { priceOf, type Tariff } from './tariff.ts';

export interface StretchesOptions {
  /** UUID of the card. */
  readonly gpu: string;
  readonly launch: string;
  readonly tariff: Tariff;
}

/** Puts pieces that follow each other and are of one kind together, and prices them. */
export class Stretches {
  readonly #options: StretchesOptions;
  #open: Piece | null = null;
  #closed: Stretch[] = [];

  constructor(options: StretchesOptions) {
    this.#options = options;
  }

  add(piece: Piece): void {
    const joined = this.#open === null ? null : joinedTo(this.#open, piece);
    if (joined === null) this.close();
    this.#open = joined ?? piece;
  }

  /** What comes next is a stretch of its own. */
  close(): void {
    if (this.#open !== null) this.#closed.push(stretchOf(this.#open, this.#options));
    this.#open = null;
  }

  /** Those that were closed since the last call. */
  take(): readonly Stretch[] {
    return this.#closed.splice(0);
  }

  /** As if they had not been taken. */
  putBack(stretches: readonly Stretch[]): void {
    this.#closed.unshift(...stretches);
  }
}

export function stretchOf(piece: Piece, { gpu, launch, tariff }: StretchesOptions): Stretch {
  const { kind, cause, batchId, from, to, burnt } = piece;
  const { millijoules, bound, method, meter, flags } = burnt;
  const cost = millijoules === null ? null : priceOf(millijoules, tariff, { from, to });
  return {
    id: idOf([gpu, from, to, kind, cause, launch, batchId, millijoules]),
    gpu,
    from,
    to,
    kind,
    cause,
    batchId,
    millijoules,
    bound,
    method,
    meter,
    flags,
    cost: {
      amount: cost === null ? null : decimalOf(cost.nano),
      currency: tariff.currency,
      method: weakest([method, tariff.methodIn({ from, to })]),
    },
    price: tariff.id,
    corrects: null,
  };
}

/** Always the same for the same thing, so that writing it twice is writing it once. */
export function idOf(parts: readonly (string | number | null)[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32);
}

function joinedTo(open: Piece, next: Piece): Piece | null {
  if (open.to !== next.from || keyOf(open) !== keyOf(next)) return null;
  return { ...open, to: next.to, burnt: sumOf(open.burnt, next.burnt) };
}

function keyOf({ kind, cause, batchId, burnt: { millijoules, meter, method, flags } }: Piece): string {
  return [kind, cause, batchId, millijoules === null, meter, method, ...flags].join(' ');
}

/** Flags are those of both, which are the same. */
function sumOf(one: Burnt, other: Burnt): Burnt {
  return { ...one, millijoules: plus(one.millijoules, other.millijoules), bound: plus(one.bound, other.bound) };
}

function plus(one: number | null, other: number | null): number | null {
  return one === null || other === null ? null : one + other;
}

/** A flag that all of them have from now on, beside their own. */
export function flagged(piece: Piece, flag: EnergyFlag): Piece {
  const { burnt } = piece;
  const method = weakest([burnt.method, 'derived']);
  return { ...piece, burnt: { ...burnt, method, flags: [...burnt.flags, flag] } };
}
