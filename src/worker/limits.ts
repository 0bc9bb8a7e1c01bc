import type { StopLimits } from '../process/child.ts';
import type { Millis } from '../units.ts';
import type { WatchLimits } from './watchdog.ts';

/** Every wait on a worker. */
export interface WorkerLimits extends WatchLimits {
  /** From the cancel of all that is open until the batch is over; longer where the running step may take longer. */
  readonly cancel: Millis;
  readonly stop: StopLimits;
}

const SECOND: Millis = 1_000;
const MINUTE: Millis = 60 * SECOND;

const STEPS_ON_A_GPU = { encode: 3 * MINUTE, denoise: 3 * MINUTE, decode: 5 * MINUTE, save: 2 * MINUTE };
/** One step of a large model takes minutes there. */
const STEPS_ON_A_CPU = { encode: 15 * MINUTE, denoise: 30 * MINUTE, decode: 30 * MINUTE, save: 2 * MINUTE };

/** What a user may set of them; null leaves a limit as it is for the kind of device. */
export interface LimitSettings {
  /** Of encoding, one denoising step, decoding or saving. */
  readonly step: Millis | null;
  /** Of importing the engine's packages, and of loading a model with them. */
  readonly load: Millis | null;
  readonly heartbeat: Millis | null;
}

const UNSET: LimitSettings = { step: null, load: null, heartbeat: null };

/** Generous on purpose: a false alarm costs a load and a batch, a late one costs idle time. */
export function workerLimits(kind: 'cpu' | 'cuda', set: LimitSettings = UNSET): WorkerLimits {
  const steps = kind === 'cuda' ? STEPS_ON_A_GPU : STEPS_ON_A_CPU;
  const { step } = set;
  const phases = step === null ? steps : { encode: step, denoise: step, decode: step, save: step };
  const heartbeat = set.heartbeat ?? 30 * SECOND;
  return {
    heartbeat,
    // Whoever is patient with a worker at its pictures is so with one that loads.
    heartbeatLoading: Math.max(5 * MINUTE, heartbeat),
    phases: {
      start: 2 * MINUTE,
      import: set.load ?? 10 * MINUTE,
      load: set.load ?? 20 * MINUTE,
      compile: 30 * MINUTE,
      ...phases,
    },
    cancel: 20 * SECOND,
    stop: { ask: 10 * SECOND, terminate: 5 * SECOND, kill: 10 * SECOND },
  };
}
