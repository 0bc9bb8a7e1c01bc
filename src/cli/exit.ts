import {
  AppError,
  ConfigError,
  InputError,
  StorageError,
  sentenceOf,
  UnavailableError,
  WorkerDied,
} from '../errors.ts';

/** The documented exit codes. */
export const EXIT = {
  done: 0,
  internal: 1,
  input: 2,
  cancelled: 3,
  config: 4,
  someFailed: 5,
  unavailable: 6,
  interrupted: 130,
} as const;

export function exitCodeOf(error: unknown): number {
  if (error instanceof AppError && error.code === 'interrupted') return EXIT.interrupted;
  if (error instanceof InputError) return EXIT.input;
  if (error instanceof ConfigError) return EXIT.config;
  if (error instanceof UnavailableError || error instanceof WorkerDied) return EXIT.unavailable;
  if (error instanceof StorageError) return EXIT.internal;
  return EXIT.internal;
}

/** One sentence for a user; anything that is not ours shows its stack, because it is a bug. */
export function explain(error: unknown): string {
  if (error instanceof AppError) {
    const stack = error.code === 'internal' && error.cause instanceof Error ? error.cause.stack : undefined;
    return stack ?? error.message;
  }
  return error instanceof Error ? (error.stack ?? error.message) : sentenceOf(error);
}
