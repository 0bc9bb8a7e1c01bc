import type { Readable } from 'node:stream';
import { execa } from 'execa';
import type { Clock } from '../ports.ts';
import type { Millis } from '../units.ts';
import { settlesWithin } from './clock.ts';
import { diesWithParent } from './die-with-parent.ts';
import { LINE_FEED, LineSplitter } from './lines.ts';
import { LogTail } from './log-tail.ts';

export interface ChildSpec {
  readonly command: string;
  readonly args: readonly string[];
  readonly clock: Clock;
  /** Added to our own environment; never logged. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Opens descriptor 3 of the child as a private channel of lines; without it there is none. */
  readonly channel?: {
    /** Bytes of one line at most. */
    readonly limit: number;
    /** Of whole lines only: what a child that is killed had half written is no message. */
    onLine(line: string): void;
    onOverlong(): void;
  };
  /** Every line that the child prints, stdout and stderr alike. */
  onLog?(line: string): void;
  /** For a foreign program: the kernel kills it when this process ends. `python` is used where there is no setpriv. */
  readonly dieWithParent?: { readonly python?: string };
  readonly limits?: Partial<StopLimits>;
}

/** How long each rung of the ladder is given. */
export interface StopLimits {
  readonly ask: Millis;
  readonly terminate: Millis;
  readonly kill: Millis;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Why it could not be started at all; null for a program that ran. */
  readonly error: string | null;
}

/**
 * The rung of the ladder on which the child went: before any, asked, SIGTERM, SIGKILL.
 * `stuck` is a child that outlives SIGKILL, which the kernel allows while it waits for a device.
 */
export type StopRung = 'gone' | 'asked' | 'terminated' | 'killed' | 'stuck';

export interface Child {
  /** Undefined if it could not be started. */
  readonly pid: number | undefined;
  readonly log: LogTail;
  /** True from the moment that it is known to have exited, while its last lines may still be read. */
  readonly left: boolean;
  /** Resolves once the child is gone, its descendants are killed, and all its lines were delivered. Never rejects. */
  readonly exited: Promise<Exit>;
  /** Writes one line to its standard input; a line to a child that is gone is lost, as its exit tells. */
  send(line: string): void;
  /** Ends its standard input. */
  endInput(): void;
  /**
   * Takes the child and all its descendants down: asks, then SIGTERM, then SIGKILL, then waits. Says how far it
   * had to go. A second call gets the first one's answer. Without `ask` it begins with SIGTERM.
   */
  stop(ask?: () => void): Promise<StopRung>;
}

const STOP_LIMITS: StopLimits = { ask: 5_000, terminate: 5_000, kill: 5_000 };
const LOG_LINES = 200;
/** After an exit, how long a descendant that left the group may hold the log open. */
const DRAIN_MS: Millis = 500;

/** Starts a program in a process group of its own, so that Ctrl-C in the terminal reaches us alone. */
export function startChild(spec: ChildSpec): Child {
  const log = new LogTail({ keep: LOG_LINES, onLine: (line) => spec.onLog?.(line) });
  const subprocess = spawn(spec);
  const { pid, stdin, stdout, stderr } = subprocess;
  const channel = subprocess.stdio[3];
  drain(stdout, log.splitter());
  drain(stderr, log.splitter());
  if (spec.channel !== undefined && channel !== null) drain(channel, channelSplitter(spec.channel), 'nothing');
  // A write to a child that has left breaks the pipe; its exit says so better.
  stdin.on('error', () => {});

  const closed = new Promise<void>((resolve) => subprocess.nodeChildProcess.once('close', () => resolve()));
  let left = false;
  const exited = leaving(subprocess).then(async (exit) => {
    left = true;
    if (pid === undefined) return exit;
    signalGroup(pid, 'SIGKILL');
    if (!(await settlesWithin(spec.clock, DRAIN_MS, closed))) {
      for (const stream of [stdout, stderr, channel]) stream?.destroy();
    }
    return exit;
  });
  let stopping: Promise<StopRung> | undefined;
  return {
    pid,
    log,
    exited,
    get left() {
      return left;
    },
    send: (line) => void (stdin.writable && stdin.write(`${line}\n`)),
    endInput: () => void stdin.end(),
    stop: (ask) => {
      stopping ??= pid === undefined || left ? exited.then(() => 'gone') : ladder(pid, exited, spec, ask);
      return stopping;
    },
  };
}

function spawn(spec: ChildSpec) {
  const plain = { command: spec.command, args: spec.args };
  const { command, args } = spec.dieWithParent === undefined ? plain : diesWithParent(plain, spec.dieWithParent.python);
  return execa(command, args, {
    stdio: ['pipe', 'pipe', 'pipe', spec.channel === undefined ? 'ignore' : 'pipe'],
    buffer: false,
    reject: false,
    detached: true,
    ...(spec.env === undefined ? {} : { env: spec.env }),
    ...(spec.cwd === undefined ? {} : { cwd: spec.cwd }),
  });
}

function drain(stream: Readable, splitter: LineSplitter, rest: 'a line' | 'nothing' = 'a line'): void {
  stream.on('data', (chunk: Buffer) => splitter.push(chunk));
  if (rest === 'a line') stream.once('close', () => splitter.end());
  // A stream that breaks is over; what the child had to say is in its exit.
  stream.on('error', () => {});
}

function channelSplitter(channel: NonNullable<ChildSpec['channel']>): LineSplitter {
  return new LineSplitter({
    ends: [LINE_FEED],
    limit: channel.limit,
    onLine: (line) => channel.onLine(line),
    onOverlong: () => channel.onOverlong(),
  });
}

/**
 * The exit itself, and not the end of the child's streams, which a grandchild may hold open for ever.
 * The result of execa tells of a program that could not be started.
 */
function leaving(subprocess: ReturnType<typeof spawn>): Promise<Exit> {
  return new Promise((resolve) => {
    subprocess.nodeChildProcess.once('exit', (code, signal) => resolve({ code, signal, error: null }));
    void subprocess.then((result) => {
      const error = result.originalMessage ?? 'it could not be started';
      if (subprocess.pid === undefined) resolve({ code: null, signal: null, error });
    });
  });
}

async function ladder(
  pid: number,
  exited: Promise<Exit>,
  { clock, limits }: ChildSpec,
  ask: (() => void) | undefined,
): Promise<StopRung> {
  const { ask: patience, terminate, kill } = { ...STOP_LIMITS, ...limits };
  if (ask !== undefined) {
    ask();
    if (await settlesWithin(clock, patience, exited)) return 'asked';
  }
  signalGroup(pid, 'SIGTERM');
  if (await settlesWithin(clock, terminate, exited)) return 'terminated';
  signalGroup(pid, 'SIGKILL');
  return (await settlesWithin(clock, kill, exited)) ? 'killed' : 'stuck';
}

/** The whole group, since children of the child would outlive it otherwise. One that is gone, or has become another user's, is left. */
function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code !== 'ESRCH' && code !== 'EPERM') throw error;
  }
}
