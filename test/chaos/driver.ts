import { type Ended, Kiln, type Running } from '../support/kiln.ts';
import type { Acknowledged } from './ledger.ts';

/** A part of the jobs, as it is submitted. */
export interface Chunk {
  /** Of the run, and of its prompt file. */
  readonly name: string;
  readonly prompts: readonly string[];
}

/** Which commands of kilnwatt submit and work. */
export interface Driver {
  /** How many chunks it takes over. */
  readonly chunks: 'one' | 'many';
  /** Starts the process that works, also after it was killed. @param launch how many were started before */
  start(launch: number): Running;
  /** Has a chunk submitted. @returns what was acknowledged; null if nothing was, and it is to be asked again */
  submit(chunk: Chunk, working: Running): Promise<Acknowledged | null>;
  /** Has the working process end when everything is settled. @returns whether it ended well */
  finish(working: Running): Promise<boolean>;
}

export interface DriverParts {
  readonly kiln: Kiln;
  /** Words for the command that submits. */
  readonly flags: readonly string[];
  /** For the process that works. */
  env(launch: number): Record<string, string>;
}

/** `serve` works, and each chunk is a `submit` of its own while it does. */
export function serveDriver({ kiln, flags, env }: DriverParts): Driver {
  return {
    chunks: 'many',
    start: (launch) => kiln.start(['serve'], env(launch)),
    submit: async ({ name, prompts }) => {
      const file = kiln.write(`${name}.txt`, prompts.join('\n'));
      const ended = await kiln.run(['submit', file, '--name', name, '--json', ...flags]);
      return ended.code === 0 ? acknowledgedIn(ended.stdout.split('\n')) : null;
    },
    finish: async (working) => {
      working.process.kill('SIGTERM');
      return endedWell(await working.ended);
    },
  };
}

/** One `run`, which submits and works; the same command goes on where a killed one stopped. */
export function runDriver({ kiln, flags, env }: DriverParts, chunk: Chunk): Driver {
  return {
    chunks: 'one',
    start: (launch) => {
      const file = kiln.write(`${chunk.name}.txt`, chunk.prompts.join('\n'));
      return kiln.start(['run', file, '--name', chunk.name, '--json', ...flags], env(launch));
    },
    submit: async (_, working) => {
      const said = working.line(RUN_EVENT).catch(() => null);
      return (await said) === null ? null : acknowledgedIn(working.lines());
    },
    finish: async (working) => endedWell(await working.ended),
  };
}

/** Whether a process left as it was asked to, or because there was nothing more to do. */
export function endedWell({ code }: Pick<Ended, 'code'>): boolean {
  return FINE.has(code ?? -1);
}

const RUN_EVENT = /^\{"event":"run"/;
/** Done, some failed, and stopped as it was asked to. */
const FINE: ReadonlySet<number> = new Set([0, 5, 130]);

function acknowledgedIn(lines: readonly string[]): Acknowledged | null {
  const line = lines.find((candidate) => RUN_EVENT.test(candidate));
  if (line === undefined) return null;
  const [event] = Kiln.events({ stdout: line });
  return { run: String(event?.run), jobs: Number(event?.jobs) };
}
