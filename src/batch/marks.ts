/**
 * What befell a job on its earlier trips. Only a death that a living supervisor saw and did not cause counts against a
 * job; a whole host that went down may have done so for any reason.
 */
export interface Marks {
  /** Deaths of its worker, seen. */
  readonly deaths: number;
  /** Times that it was being made when this host, or kilnwatt itself, went down: nobody saw why. */
  readonly cutOffs: number;
  /** Failures that another try may mend. */
  readonly failures: number;
  /** Times that its picture was black. From the first on it is made with the safe settings. */
  readonly blacks: number;
}

export const CLEAN: Marks = { deaths: 0, cutOffs: 0, failures: 0, blacks: 0 };

const MOST_DEATHS = 3;
const MOST_CUT_OFFS = 10;
const MOST_FAILURES = 3;
/** Once as asked for, once with the safe settings. */
const MOST_BLACKS = 2;

/** Codes of answers that say nothing against the job: it is made again as if nothing had been. */
const UNHARMED: ReadonlySet<string> = new Set([
  'worker_stopped',
  // The next ones go one by one.
  'order_too_large',
  // The model's trouble, or the device's, and both are counted where the worker is kept.
  'worker_died_loading',
  'paused',
  'stopped',
  'disk_full',
  'not_writable',
]);

/**
 * Whether the job may take its neighbours down. It then runs alone, behind the clean jobs of its priority, so that
 * whoever dies with it is not its neighbours. A black picture is nobody else's trouble.
 */
export function isSuspect({ deaths, cutOffs, failures }: Marks): boolean {
  return deaths + cutOffs + failures > 0;
}

export type Verdict = Counted | { readonly state: 'withdrawn' };

type Counted =
  | { readonly state: 'queued'; readonly marks: Marks }
  | { readonly state: 'failed'; readonly error: { readonly code: string; readonly message: string } };

/** Whether a job that was answered with a failure waits again, and with which marks. */
export function judge(
  marks: Marks,
  { code, message, retryable }: { readonly code: string; readonly message: string; readonly retryable: boolean },
): Verdict {
  if (code === 'cancelled') return { state: 'withdrawn' };
  if (UNHARMED.has(code)) return { state: 'queued', marks };
  // Who breaks the context of a card takes the worker with it as surely as by a crash.
  if (code === 'worker_died' || code === 'device_lost')
    return counted(marks, 'deaths', MOST_DEATHS, { code, message: deathSentence(message) });
  if (code === 'black_image') return counted(marks, 'blacks', MOST_BLACKS, { code, message });
  if (code === 'timed_out') return counted(marks, 'failures', MOST_FAILURES, { code, message });
  if (!retryable) return { state: 'failed', error: { code, message } };
  // The provider's limit has become smaller, and ends by itself with an answer that is final.
  if (code === 'out_of_memory') return { state: 'queued', marks };
  return counted(marks, 'failures', MOST_FAILURES, { code, message });
}

/** Of a job that was being made when everything went down. */
export function cutOff(marks: Marks): Counted {
  const message = `kilnwatt or its host went down ${MOST_CUT_OFFS} times while this picture was being made`;
  return counted(marks, 'cutOffs', MOST_CUT_OFFS, { code: 'cut_off', message });
}

function counted(
  marks: Marks,
  kind: keyof Marks,
  most: number,
  error: { readonly code: string; readonly message: string },
): Counted {
  const times = marks[kind] + 1;
  return times < most ? { state: 'queued', marks: { ...marks, [kind]: times } } : { state: 'failed', error };
}

function deathSentence(message: string): string {
  return `${message} (${MOST_DEATHS} workers died of it, two of them alone with it)`;
}
