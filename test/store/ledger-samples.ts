/** Marks, stretches and charges as small as they may be. */
import type { Charge, NewMark, Stretch } from '../../src/ports.ts';

export const CARD = 'GPU-1';

export function markAt(at: number, change: Partial<NewMark> = {}): NewMark {
  return {
    gpu: CARD,
    at,
    launch: 'launch-a',
    counter: at * 25,
    integral: null,
    foreign: 0,
    after: 'resident',
    batchId: null,
    ...change,
  };
}

/** Idle, at 25 watts. */
export function stretchOf(from: number, to: number, change: Partial<Stretch> = {}): Stretch {
  return {
    id: `${change.gpu ?? CARD}/${from}/${to}/${change.cause ?? 'resident'}/${change.corrects ?? ''}`,
    gpu: CARD,
    from,
    to,
    kind: 'idle',
    cause: 'resident',
    batchId: null,
    millijoules: (to - from) * 25,
    bound: 1_000,
    method: 'measured',
    meter: 'nvml_counter',
    flags: [],
    cost: { amount: 0.000000075, currency: 'EUR', method: 'measured' },
    price: 'flat:0.3:EUR:config',
    corrects: null,
    ...change,
  };
}

export function chargeOf(id: string, change: Partial<Charge> = {}): Charge {
  return {
    id,
    at: 5_000,
    kind: 'charge',
    service: 'midjourney',
    resourceType: 'subscription',
    quantity: 1,
    unitCost: 10,
    amount: 10,
    currency: 'USD',
    method: 'measured',
    meter: 'invoice',
    tags: {},
    corrects: null,
    ...change,
  };
}
