/**
 * Every error that a user may see. `code` is stable and machine-readable, `message` is one sentence:
 * what happened, to what, and what to do. The class decides whether another try can help.
 */
export interface ErrorOptionsWithCode {
  readonly code: string;
  readonly retryable?: boolean;
  readonly cause?: unknown;
}

export class AppError extends Error {
  readonly code: string;
  readonly retryable: boolean;

  constructor(message: string, options: ErrorOptionsWithCode) {
    super(message, { cause: options.cause });
    this.name = new.target.name;
    this.code = options.code;
    this.retryable = options.retryable ?? false;
  }
}

/** Bad argument, prompt file or model (exit 2). `place` is a file and line, or a flag. */
export class InputError extends AppError {
  readonly place: string | undefined;

  constructor(message: string, options: ErrorOptionsWithCode & { readonly place?: string }) {
    super(options.place === undefined ? message : `${options.place}: ${message}`, options);
    this.place = options.place;
  }
}

/** The configuration cannot be used, or a Redis that is not fit (exit 4). */
export class ConfigError extends AppError {}

/** Python, the worker or Redis is not to be had (exit 6). */
export class UnavailableError extends AppError {}

/** Disk or internal (exit 1). */
export class StorageError extends AppError {}

/** The child process ended without answering; carries its last log lines. */
export class WorkerDied extends AppError {
  readonly lastLines: readonly string[];

  constructor(message: string, options: { readonly cause?: unknown; readonly lastLines: readonly string[] }) {
    super(message, { code: 'worker_died', retryable: true, cause: options.cause });
    this.lastLines = options.lastLines;
  }
}

/** Given back to the queue: to its place, or behind the clean jobs of its priority; at once, or until a time. */
export class HandedBack extends AppError {
  readonly behind: boolean;
  /** Not to come again before, in milliseconds since 1970; null: at once. */
  readonly until: number | null;

  constructor({ behind = false, until = null }: { readonly behind?: boolean; readonly until?: number | null } = {}) {
    super('handed back to the queue', { code: 'handed_back', retryable: true });
    this.behind = behind;
    this.until = until;
  }
}

/** The sentence of anything thrown. */
export function sentenceOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
