import { AppError, UnavailableError, WorkerDied } from '../errors.ts';
import type { Exit, StopRung } from '../process/child.ts';

/** How one launch of a worker ended. */
export interface Death {
  /** What we ended it for; null if it ended by itself. */
  readonly condemned: string | null;
  /** We ended it for a reason that was not its fault, such as a stop. */
  readonly deliberate: boolean;
  readonly exit: Exit;
  /** What it took; null if it ended by itself. */
  readonly rung: StopRung | null;
  /** Of its log, oldest first. */
  readonly lastLines: readonly string[];
}

/** What went with it died of it, or was stopped unharmed (`worker_stopped`) if we ended it for reasons of our own. */
export function endOfWorker(device: string, death: Death): AppError {
  const message = `the worker on ${device} ${sentence(death)}; ${logClause(death)}`;
  if (death.deliberate) return new AppError(message, { code: 'worker_stopped', retryable: true });
  if (isKilling(death)) return new WorkerKilled(message, { lastLines: death.lastLines });
  return new WorkerDied(message, { lastLines: death.lastLines });
}

/** By the kernel, or by somebody else who was not us: no program does that to itself. */
export class WorkerKilled extends WorkerDied {}

/** For a device on which no worker ever came up. */
export function workerUnavailable(device: string, command: string, death: Death): UnavailableError {
  const what = `the worker on ${device} (${command}) ${sentence(death)} before it was ready`;
  const mend = 'set up the Python environment anew and ask `kilnwatt doctor`';
  return new UnavailableError(`${what}; ${logClause(death)}; ${mend}`, { code: 'worker_unavailable' });
}

function sentence({ condemned, exit, rung }: Death): string {
  return condemned === null ? exitClause(exit) : `${condemned}${rungClause(rung)}`;
}

function isKilling({ condemned, exit }: Death): boolean {
  return condemned === null && exit.signal === 'SIGKILL';
}

function exitClause({ error, signal, code }: Exit): string {
  if (error !== null) return `could not be started (${error})`;
  if (signal === 'SIGKILL') return 'ended with signal SIGKILL, as the kernel sends it when memory runs out';
  return signal === null ? `ended with exit code ${code}` : `ended with signal ${signal}`;
}

function rungClause(rung: StopRung | null): string {
  if (rung === 'terminated') return ' and was ended with SIGTERM';
  if (rung === 'killed') return ' and was ended with SIGKILL';
  return rung === 'stuck' ? ' and outlived SIGKILL' : '';
}

function logClause({ lastLines }: Death): string {
  return lastLines.length === 0 ? 'it printed nothing' : `its last lines: ${lastLines.join(' | ')}`;
}
