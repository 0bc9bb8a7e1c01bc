import type { Clock } from '../ports.ts';
import type { Child, ChildSpec, Exit, StopRung } from '../process/child.ts';
import type { Death } from './death.ts';
import type { WorkerLimits } from './limits.ts';
import {
  excerpt,
  formatMessage,
  type Inbound,
  LINE_LIMIT,
  type Order,
  PROTOCOL_VERSION,
  parseMessage,
} from './messages.ts';
import { Watchdog, type WatchedPhase } from './watchdog.ts';

/** How to start a worker. Its launch id is added to the arguments and our pid to the environment. */
export interface WorkerCommand {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

export interface IncarnationOptions {
  readonly worker: WorkerCommand;
  readonly launch: string;
  readonly clock: Clock;
  readonly limits: WorkerLimits;
  startChild(spec: ChildSpec): Child;
  /** Messages of this launch, in order, until it is condemned. Returns why one is against the protocol. */
  onMessage(message: Inbound): string | undefined;
  onLog(line: string): void;
}

const LAST_LINES = 8;
/** Characters of one: it names what the worker wrote, and that may be long. */
const COMPLAINT = 600;
const NOT_GONE: Exit = { code: null, signal: null, error: null };

/** One launch of a worker process, from its start to its end. It is never started again. */
export class Incarnation {
  readonly launch: string;
  /** Resolves when the process is gone and its messages are read. Never rejects. */
  readonly ended: Promise<Death>;
  readonly #options: IncarnationOptions;
  readonly #child: Child;
  readonly #watchdog: Watchdog;
  #condemned: string | null = null;
  #deliberate = false;
  #giveUp: () => void = () => {};
  #sent = 0;
  #received = 0;

  constructor(options: IncarnationOptions) {
    this.#options = options;
    this.launch = options.launch;
    const { worker, clock, limits } = options;
    this.#watchdog = new Watchdog({ clock, limits, onExpired: (reason) => this.condemn(reason) });
    this.#child = options.startChild({
      command: worker.command,
      args: [...worker.args, '--launch', options.launch],
      env: { ...worker.env, KW_PARENT: String(process.pid) },
      clock,
      limits: limits.stop,
      onLog: options.onLog,
      channel: {
        limit: LINE_LIMIT,
        onLine: (line) => this.#read(line),
        onOverlong: () => this.condemn(`broke the protocol: a line has over ${LINE_LIMIT} bytes`),
      },
    });
    this.ended = new Promise((resolve) => {
      this.#giveUp = () => resolve(this.#death(NOT_GONE, 'stuck'));
      void this.#child.exited.then(async (exit) => {
        this.#watchdog.stop();
        resolve(this.#death(exit, this.#condemned === null ? null : await this.#child.stop()));
      });
    });
  }

  /** @throws OrderTooLarge; it is not sent */
  send(order: Order): void {
    this.#child.send(formatMessage({ v: PROTOCOL_VERSION, launch: this.launch, seq: this.#sent + 1, ...order }));
    this.#sent += 1;
  }

  /** Sets the limits that hold from now on, for an order just given or ended. */
  watch(phase: WatchedPhase | 'idle'): void {
    this.#watchdog.enter(phase);
  }

  /** Undefined if it could not be started. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** True from the moment that its end is decided, or known: it takes no further orders. */
  get doomed(): boolean {
    return this.#condemned !== null || this.#child.left;
  }

  /**
   * Hears no more of it and takes it down without asking. The reason follows the name of the worker.
   * @param deliberate the worker did nothing wrong
   */
  condemn(reason: string, deliberate = false): void {
    if (this.#condemned !== null) return;
    this.#condemned = reason;
    this.#deliberate = deliberate;
    this.#watchdog.stop();
    this.#takeDown();
  }

  /** Asks it to leave, and takes it down if it does not. */
  stop(): Promise<Death> {
    this.#deliberate ||= this.#condemned === null;
    this.#condemned ??= 'was stopped';
    this.#watchdog.stop();
    this.#takeDown(() => {
      this.send({ type: 'shutdown' });
      this.#child.endInput();
    });
    return this.ended;
  }

  #takeDown(ask?: () => void): void {
    void this.#child.stop(ask).then((rung) => {
      if (rung === 'stuck') this.#giveUp();
    });
  }

  #read(line: string): void {
    if (this.#condemned !== null) return;
    const complaint = this.#take(line);
    if (complaint !== undefined) this.condemn(`broke the protocol: ${excerpt(complaint, COMPLAINT)}`);
  }

  /** Returns why the line is against the protocol. */
  #take(line: string): string | undefined {
    const parsed = parseMessage(line);
    if (!parsed.ok) return parsed.reason;
    const { message } = parsed;
    if (message.launch !== this.launch) return undefined;
    if (message.seq !== this.#received + 1) return `message ${message.seq} came after message ${this.#received}`;
    this.#received = message.seq;
    this.#note(message);
    return this.#options.onMessage(message);
  }

  #note(message: Inbound): void {
    this.#watchdog.beat();
    if (message.type === 'heartbeat') this.#watchdog.heard(message.phase);
    if (message.type === 'progress') this.#watchdog.step(message.phase, `${message.step}/${message.steps}`);
    if (message.type === 'image' || message.type === 'failure') this.#watchdog.step('save', message.job ?? '');
  }

  #death(exit: Exit, rung: StopRung | null): Death {
    const lastLines = this.#child.log.last(LAST_LINES);
    return { condemned: this.#condemned, deliberate: this.#deliberate, exit, rung, lastLines };
  }
}
