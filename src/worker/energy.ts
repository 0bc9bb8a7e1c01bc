import { z } from 'zod';
import type { EnergyFlag, EnergyReading, EnergyWindow } from '../ports.ts';
import { METHODS } from '../units.ts';

/** Those flags that a worker can tell. */
const FLAGS = [
  'coarse',
  'counter_fell',
  'implausible',
  'disagrees',
  'shared_gpu',
  'sharing_unknown',
  'whole_package',
] as const satisfies readonly EnergyFlag[];

const whole = z.number().int().min(0);

const windowSchema = z
  .strictObject({
    /** UUID of the card, `GPU-…`. */
    gpu: z.string().min(1),
    from_ms: whole,
    to_ms: whole,
    /** As it was read, believed or not: it may have fallen. */
    counter: z.strictObject({ from_mj: whole, to_mj: whole }).nullable(),
    integral: z.strictObject({ millijoules: whole, bound_mj: whole }).nullable(),
    /** Null where others worked on the card and their part cannot be told. */
    foreign_mj: whole.nullable(),
  })
  .refine((window) => window.from_ms <= window.to_ms, { message: 'a window must not end before it begins' });

/** What a message says of energy. */
export const energySchema = z
  .strictObject({
    /** Of ours, without what others burnt on the card. */
    millijoules: whole.nullable(),
    meter: z.enum(['nvml_counter', 'power_integral', 'rapl', 'model', 'none'] satisfies EnergyReading['meter'][]),
    method: z.enum(METHODS),
    flags: z.array(z.enum(FLAGS)),
    bound_mj: whole.nullable(),
    /** Null where no card was read. */
    window: windowSchema.nullable(),
  })
  .refine((reading) => (reading.millijoules === null) === (reading.method === 'unknown'), {
    message: 'millijoules must be null if and only if the method is unknown',
  })
  .refine((reading) => reading.window?.foreign_mj !== null || reading.millijoules === null, {
    message: 'millijoules must be null where the part of others is',
  });

export type WorkerEnergy = Readonly<z.infer<typeof energySchema>>;

/** As the rest of the house has it; what says nothing is left out. */
export function energyOf({ millijoules, meter, method, flags, bound_mj, window }: WorkerEnergy): EnergyReading {
  return {
    millijoules,
    meter,
    method,
    ...(flags.length > 0 && { flags }),
    ...(bound_mj !== null && { bound: bound_mj }),
    ...(window !== null && { window: windowOf(window) }),
  };
}

function windowOf(window: NonNullable<WorkerEnergy['window']>): EnergyWindow {
  const { gpu, from_ms: from, to_ms: to, counter, integral, foreign_mj: foreign } = window;
  return {
    gpu,
    from,
    to,
    counter: counter && { from: counter.from_mj, to: counter.to_mj },
    integral: integral && { millijoules: integral.millijoules, bound: integral.bound_mj },
    foreign,
  };
}
