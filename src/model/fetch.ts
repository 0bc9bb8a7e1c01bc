import { execa, type ResultPromise } from 'execa';
import { z } from 'zod';
import { AppError, InputError, StorageError, UnavailableError } from '../errors.ts';
import { diesWithParent } from '../process/die-with-parent.ts';
import { endOf, type Signals } from '../process/interrupted.ts';
import { notOnDisk } from './failure.ts';

export interface HubOptions {
  readonly python: string;
  /** The folder that holds the package `kilnwatt_worker`. */
  readonly workerDir: string;
  readonly signals?: Signals;
  /** Takes the progress as it is printed, bars and all. */
  readonly progress?: (text: string) => void;
}

const answerSchema = z.object({ path: z.string().min(1) });

/** The exit codes of `kilnwatt_worker.fetch`; Python's own 1, for an error that nobody caught, comes with a traceback. */
const EXIT = { disk: 1, unsafe: 2, unreachable: 3 } as const;
const TRACEBACK = 'Traceback (most recent call last)';
/** Of what it printed; hours of progress are not kept. */
const TAIL_CHARACTERS = 16_000;

/**
 * Brings the files of a hub id onto this disk, by the worker's own environment; its progress goes to stderr.
 * Without `download` it only looks whether they are there, without the network. Only safetensors, configurations and
 * tokenizers are asked for. An interrupt ends it; what it has is kept for the next time.
 * @returns for {@link DiskRegistry}: hub id → folder
 * @throws UnavailableError `model_unreachable`; InputError `model_unsafe`, `model_missing`; StorageError `disk_full`; AppError `interrupted`
 */
export function hubFetcher(
  options: HubOptions,
): (hubId: string, wanted?: { readonly download: boolean }) => Promise<string> {
  const { signals, progress = (text) => void process.stderr.write(text) } = options;
  return async (hubId, { download } = { download: true }) => {
    const subprocess = spawn(options, hubId, download);
    const said = following(subprocess, download ? progress : () => {});
    const { result, interrupted } = await endOf(subprocess, signals);
    const { exitCode, stdout, shortMessage } = result;
    if (interrupted) throw new AppError(`fetching ${hubId} was interrupted; run it again to go on`, INTERRUPTED);
    if (exitCode === EXIT.unreachable && !download) throw notOnDisk(hubId);
    if (exitCode !== 0) throw failureOf(exitCode, said.all(), shortMessage);
    said.showRest();
    return answerSchema.parse(JSON.parse(stdout.trim().split('\n').at(-1) ?? '')).path;
  };
}

const INTERRUPTED = { code: 'interrupted' } as const;

/** In a session of its own, so that Ctrl-C reaches this process alone, and bound to this process, so that it never stays behind. */
function spawn({ python, workerDir }: HubOptions, hubId: string, download: boolean) {
  const { command, args } = diesWithParent(
    { command: python, args: ['-P', '-m', 'kilnwatt_worker.fetch', hubId] },
    python,
  );
  return execa(command, args, {
    env: { PYTHONPATH: workerDir, ...(download ? {} : { HF_HUB_OFFLINE: '1' }) },
    stdin: 'ignore',
    detached: true,
    reject: false,
    buffer: { stderr: false },
  });
}

interface Following {
  /** The end of all that it said. */
  all(): string;
  showRest(): void;
}

/** Shows what it says as it comes, but for its last line: where it fails, that is the sentence of the error. */
function following(subprocess: Pick<ResultPromise, 'stderr'>, progress: (text: string) => void): Following {
  let all = '';
  let kept = '';
  subprocess.stderr?.setEncoding('utf8').on('data', (text: string) => {
    all = (all + text).slice(-TAIL_CHARACTERS);
    const shown = kept + text;
    kept = AT_ONCE.test(shown) ? '' : (LAST_LINE.exec(shown)?.[0] ?? '');
    if (shown.length > kept.length) progress(shown.slice(0, shown.length - kept.length));
  });
  return {
    all: () => all,
    showRest: () => {
      if (kept !== '') progress(kept);
    },
  };
}

const LAST_LINE = /(?<=^|\n)[^\n]*\n?$/;
/** A bar stays on its line, and after its announcement it is silent until the hub answers. */
const AT_ONCE = /(\r[^\n]*|(^|\n)fetching [^\n]*\n)$/;

/** The last line that it says is the sentence for the user. */
function failureOf(exitCode: number | undefined, said: string, otherwise: string | undefined): AppError {
  const sentence =
    said
      .trim()
      .split(/[\r\n]+/)
      .at(-1) ||
    otherwise ||
    'no reason given';
  if (exitCode === EXIT.unsafe) return new InputError(sentence, { code: 'model_unsafe' });
  if (exitCode === EXIT.disk && !said.includes(TRACEBACK)) return new StorageError(sentence, { code: 'disk_full' });
  return new UnavailableError(sentence, { code: 'model_unreachable' });
}
