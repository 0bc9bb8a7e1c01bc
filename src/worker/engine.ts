import { AppError, InputError, UnavailableError } from '../errors.ts';
import type { EnergyReading, EngineFacts } from '../ports.ts';
import type { Preset } from '../preset/catalogue.ts';
import type { Seconds } from '../units.ts';
import type { Inbound, InboundOf, Load, WorkerMemory } from './messages.ts';

/** What is to be loaded. Equal ids mean the same model, settings and device. */
export interface EngineSpec {
  readonly id: string;
  readonly modelHash: string;
  readonly modelPath: string;
  readonly family: Load['model']['family'];
  readonly preset: Preset;
}

export interface LoadedEngine {
  readonly spec: EngineSpec;
  readonly facts: EngineFacts;
}

/** What a load took. */
export interface LoadReport {
  readonly seconds: Seconds;
  readonly energy: EnergyReading;
  readonly memory: WorkerMemory;
}

export function loadOrder({ id, modelPath, family, preset }: EngineSpec, device: string): Load {
  return {
    type: 'load',
    engine: id,
    device,
    model: { path: modelPath, family },
    preset: { name: preset.name, ...preset.settings },
  };
}

/** True for the one answer to a load of this engine. */
export function answersLoad(message: Inbound, engine: string): message is InboundOf<'loaded' | 'failure'> {
  if (message.type === 'loaded') return message.engine === engine;
  return message.type === 'failure' && message.batch === null && message.job === null;
}

export function loadedEngine(spec: EngineSpec, message: InboundOf<'loaded'>): LoadedEngine {
  const { settings, downgrades, versions } = message;
  return { spec, facts: { id: spec.id, preset: spec.preset.name, settings, downgrades, versions } };
}

const CANNOT_BE_LOADED = /^(bad_request|model_|preset_|unsupported)/;
const CANNOT_LOAD = /^(device_|worker_)/;
const FAILED_IMPORT = /^(ModuleNotFound|Import)Error:/;

/**
 * The error that a worker's refusal to load is for the caller: an InputError where nobody could load that, an
 * UnavailableError where this worker can load nothing, else a plain one about this model on this device.
 */
export function loadError({ code, message, retryable }: InboundOf<'failure'>, device: string): AppError {
  if (CANNOT_BE_LOADED.test(code)) return new InputError(message, { code });
  if (CANNOT_LOAD.test(code)) return new UnavailableError(message, { code, retryable });
  if (!FAILED_IMPORT.test(message)) return new AppError(message, { code, retryable });
  const mend = 'set up the Python environment anew and ask `kilnwatt doctor`';
  return new UnavailableError(`the worker on ${device} lacks a package (${message}); ${mend}`, {
    code: 'worker_unavailable',
  });
}
