import { v7 as uuidv7 } from 'uuid';
import type { App, Interrupts } from './app.ts';
import { type AskOptions, askOf } from './ask.ts';
import { tellWait } from './cheap.ts';
import { handIn } from './desk-hand-in.ts';
import { EXIT } from './exit.ts';
import { counted } from './figures.ts';
import type { RunStarted } from './run-events.ts';
import { startedOf } from './run-plan.ts';
import { tellStandstill, tellUnserved } from './standstill.ts';
import { submitted } from './submitted.ts';

export interface SubmitOptions extends AskOptions {
  readonly model?: string;
  readonly json?: boolean;
  readonly interrupts: Interrupts;
}

/**
 * Hands a run to whoever serves this data folder, now or later; with a `redis_url`, to whoever serves the queue there,
 * on whatever host. When it returns, the run is on the disk of the host that serves.
 * @returns the exit code
 */
export async function submit(app: App, [word = '']: readonly string[], options: SubmitOptions): Promise<number> {
  const ask = await askOf(app, word, options);
  const desk = app.desk();
  if (desk !== null) {
    const { loaded, io, clock } = app;
    const { interrupts } = options;
    tell(app, await handIn({ desk, loaded, io, clock, interrupts }, ask, options), options);
    return EXIT.done;
  }
  // Claimed by nobody that lives: from the first moment on it is for whoever serves to tell of it.
  tell(app, startedOf(await submitted(app, ask, uuidv7())), options);
  if (options.json === true) return EXIT.done;
  tellWait(app, { priority: ask.priority, when: ask.when ?? undefined });
  await tellStandstill(app);
  await tellUnserved(app);
  return EXIT.done;
}

function tell({ io }: App, event: RunStarted, { json }: SubmitOptions): void {
  const made = event.cached > 0 ? `, ${counted(event.cached, 'picture')} done before` : '';
  const failed = event.failed > 0 ? `, ${event.failed} failed before (--retry-failed tries them again)` : '';
  const gone = event.removed > 0 ? `, ${event.removed} no longer asked for` : '';
  const sentence = `Submitted ${event.name}: ${counted(event.to_make, 'picture')} to make${made}${failed}${gone}`;
  io.out(json === true ? JSON.stringify(event) : sentence);
}
