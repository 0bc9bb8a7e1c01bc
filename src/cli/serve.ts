import { StorageError } from '../errors.ts';
import { waitingNote } from '../gate.ts';
import type { Attendance } from '../ports.ts';
import { pause } from '../process/clock.ts';
import type { Millis } from '../units.ts';
import type { App, Interrupts } from './app.ts';
import { attendDesk } from './desk-clerk.ts';
import { commandFromElsewhere } from './desk-hand-in.ts';
import { EXIT, exitCodeOf, explain } from './exit.ts';
import { pausedNote } from './pause.ts';
import { pricesOf } from './prices.ts';
import { ServedRuns } from './served-runs.ts';
import { Session } from './session.ts';

export interface ServeOptions {
  readonly json?: boolean;
  readonly interrupts: Interrupts;
}

/**
 * Works off every run of the data folder, and what is submitted meanwhile, until it is asked to stop: then it hands
 * back what has not begun and finishes the running batch.
 * @returns the exit code
 */
export async function serve(app: App, { json, interrupts }: ServeOptions): Promise<number> {
  const { io } = app;
  const runs = new ServedRuns({ app, json: json === true });
  const session = new Session({
    app,
    interrupts,
    serves: true,
    prices: pricesOf(app.loaded.config),
    onProgress: () => {},
    onNote: (text) => io.err(text),
    onPaused: (paused) => {
      io.err(pausedNote(paused, app.clock.now()));
      runs.paused('user', 'paused by the user');
    },
    onResumed: () => runs.resumed('user'),
    onWaiting: (runId, until) => runs.waits(runId, until),
  });
  interrupts.take();
  if (!(await hasRoom(app, interrupts))) return EXIT.done;
  // Also keeps this process alive while it waits: its timers do not.
  await app.store();
  if (!(await becomeOwner(session, app, interrupts))) return EXIT.done;
  const serving: Serving = { session, app, runs, interrupts, attendance: null };
  try {
    return await servedUntilStopped(serving);
  } finally {
    // Whatever happened: what is in hand goes back, or this process would wait for it for ever, and be the owner.
    await Promise.allSettled([serving.attendance?.stop(), session.stop()]);
  }
}

interface Serving {
  readonly session: Session;
  readonly app: App;
  readonly runs: ServedRuns;
  readonly interrupts: Interrupts;
  /** Null where no other host hands anything in. */
  attendance: Attendance | null;
}

async function servedUntilStopped(serving: Serving): Promise<number> {
  const { session, app, runs } = serving;
  const { io, loaded } = app;
  await session.ready();
  await runs.begin();
  // Before anything is made: a run that was handed in when the last server died is still found by what claimed it.
  serving.attendance = await attendDesk(app);
  await session.takeOver();
  io.err(`Serving ${loaded.config.dataDir}; \`kilnwatt submit FILE\` feeds it. Ctrl-C finishes the running batch.`);
  await tellInterrupted(app);
  if (serving.attendance !== null) io.err(`From another host: ${commandFromElsewhere(loaded.config, 'submit FILE')}`);
  await lookAfter(serving);
  return windDown(serving);
}

async function lookAfter({ session, app: { clock }, runs, interrupts }: Serving): Promise<void> {
  for (let nextLook: Millis = 0; interrupts.count() === 0 && session.fatal === null; ) {
    await session.attend();
    if (clock.monotonic() >= nextLook) {
      nextLook = clock.monotonic() + LOOK_EVERY_MS;
      await session.tend();
    }
    if (session.rests) runs.paused('hours', null);
    else runs.resumed('hours');
    await runs.look();
    await pause(clock, POLL_MS);
  }
}

async function windDown({ session, app, runs, attendance }: Serving): Promise<number> {
  if (session.fatal === null) app.io.err('Finishing the running batch; another Ctrl-C stops now.');
  // At once it takes nothing more in; what it has in hand may take as long as the running batch.
  const left = attendance?.stop();
  await session.stop();
  await left;
  await runs.look();
  await runs.end();
  const { fatal } = session;
  if (fatal === null) return EXIT.done;
  app.io.err(`Stopped: ${explain(fatal)}`);
  return exitCodeOf(fatal);
}

/** Waits for room in the data folder, as whoever works waits for it later: who starts a service again and again mends nothing. */
async function hasRoom(app: App, interrupts: Interrupts): Promise<boolean> {
  const awake = setInterval(() => {}, ROOM_MS);
  try {
    for (let told = false; ; told = true) {
      try {
        await app.requireRoom();
        return true;
      } catch (error) {
        if (!(error instanceof StorageError)) throw error;
        if (!told) app.io.err(waitingNote(error.message));
      }
      if (interrupts.count() > 0) return false;
      await pause(app.clock, ROOM_MS);
    }
  } finally {
    clearInterval(awake);
  }
}

/** What its user interrupted is not gone on with unasked. */
async function tellInterrupted(app: App): Promise<void> {
  const runs = (await (await app.store()).runs(LOOKED_AT)).filter((run) => run.counts.interrupted > 0);
  const [first] = runs;
  if (first === undefined) return;
  const what = runs.length === 1 ? `The run ${first.name} was` : `${runs.length} runs were`;
  app.io.err(`${what} interrupted; \`kilnwatt runs resume ${first.name}\` has it made here.`);
}

/** Waits for the process that owns the data folder now. False where the user did not want to wait. */
async function becomeOwner(session: Session, { io, clock }: App, interrupts: Interrupts): Promise<boolean> {
  for (let told = false; !(await session.enter()); told = true) {
    if (interrupts.count() > 0) return false;
    if (!told) io.err('Another kilnwatt owns this data folder; this one takes over when it has left.');
    await pause(clock, WAIT_MS);
  }
  return true;
}

const POLL_MS: Millis = 150;
const LOOK_EVERY_MS: Millis = 5_000;
const WAIT_MS: Millis = 250;
/** Of the youngest runs. */
const LOOKED_AT = 100;
const ROOM_MS: Millis = 2_000;
