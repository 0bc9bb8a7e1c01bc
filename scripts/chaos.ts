import { parseArgs } from 'node:util';
import { type BareResult, wreakHavocOnBareBullmq } from '../test/chaos/bare.ts';
import { type ChaosResult, wreakHavoc } from '../test/chaos/harness.ts';
import { writeRecord } from '../test/chaos/record.ts';

const USAGE = `scripts/chaos [options]: exits with 0 if nothing was lost, with 1 if anything was
  --jobs N          pictures to be made (1000; 150 with diffusers)
  --kills N         SIGKILLs of worker and orchestrator together (30; 20 with diffusers)
  --redis-kills N   SIGKILLs of the queue's server (3)
  --hangs N         SIGSTOPs of the worker (2)
  --controls N      of each: a pause, a pause --now, jobs cancel, a SIGTERM and another start (2); one urgent picture
  --poison N        jobs that end their worker each time (3)
  --seed N          of the schedule and of what is planted (1)
  --engine NAME     fake, or diffusers with the model in the box (fake)
  --devices LIST    cpu, or cpu:2 for two workers, with the fake engine (cpu)
  --driver NAME     serve, with a submit for each part of the jobs, or run (serve)
  --bare-bullmq     the same strikes at BullMQ alone, with its own rule for stalled jobs (maxStalledCount 1): it is to
                    lose some. For speed its lock is 4 s and its look at stalled jobs every 1.5 s, where its defaults are 30 s
  --true-defaults   with --bare-bullmq: 30 s for both, so each death takes a minute
  --record FILE     keeps the account in this file too, with day, machine and commit, beside those of other questions
  --json            one JSON object on standard output`;
const WORKERS: Readonly<Record<string, number>> = { cpu: 1, 'cpu:1': 1, 'cpu:2': 2 };
const EXIT = { held: 0, lost: 1, badArguments: 2, interrupted: 130 } as const;

const OPTIONS = {
  jobs: { type: 'string' },
  kills: { type: 'string' },
  'redis-kills': { type: 'string' },
  hangs: { type: 'string' },
  controls: { type: 'string' },
  poison: { type: 'string' },
  seed: { type: 'string' },
  engine: { type: 'string', default: 'fake' },
  devices: { type: 'string', default: 'cpu' },
  driver: { type: 'string', default: 'serve' },
  'bare-bullmq': { type: 'boolean', default: false },
  'true-defaults': { type: 'boolean', default: false },
  record: { type: 'string' },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort(new Error(signal)));
process.exitCode = await main();

async function main(): Promise<number> {
  const read = options();
  if (typeof read === 'string') {
    console.error(`${read}\n${USAGE}`);
    return EXIT.badArguments;
  }
  if (read.help) {
    console.log(USAGE);
    return EXIT.held;
  }
  const ask = { ...read, signal: interrupted.signal, say: (sentence: string) => console.error(sentence) };
  try {
    const result = read.bare ? await wreakHavocOnBareBullmq(ask) : await wreakHavoc(ask);
    if (read.record !== undefined) writeRecord(read.record, nameOf(read), { jobs: read.jobs, ...result });
    console.log(read.json ? JSON.stringify(result) : readable(result));
    return result.faults.length === 0 ? EXIT.held : EXIT.lost;
  } catch (error) {
    if (!interrupted.signal.aborted) throw error;
    console.error('Interrupted; nothing is left running.');
    return EXIT.interrupted;
  }
}

/** @returns a sentence for arguments that make no sense */
function options() {
  try {
    const { values } = parseArgs({ options: OPTIONS });
    const { engine, driver } = values;
    if (engine !== 'fake' && engine !== 'diffusers') return `--engine ${engine}: use fake or diffusers`;
    if (driver !== 'serve' && driver !== 'run') return `--driver ${driver}: use serve or run`;
    const workers = WORKERS[values.devices];
    if (workers === undefined) return `--devices ${values.devices}: use cpu or cpu:2`;
    if (workers > 1 && engine !== 'fake')
      return '--devices: with diffusers, poison is given to the one worker there is';
    if (values['true-defaults'] && !values['bare-bullmq']) return '--true-defaults: goes with --bare-bullmq';
    const numbers = {
      workers,
      jobs: counted('--jobs', values.jobs, engine === 'fake' ? 1_000 : 150),
      kills: counted('--kills', values.kills, engine === 'fake' ? 30 : 20),
      redisKills: counted('--redis-kills', values['redis-kills'], 3),
      hangs: counted('--hangs', values.hangs, 2),
      controls: counted('--controls', values.controls, 2),
      poison: counted('--poison', values.poison, 3),
      seed: counted('--seed', values.seed, 1),
    };
    return {
      ...numbers,
      engine,
      driver,
      record: values.record,
      bare: values['bare-bullmq'],
      trueDefaults: values['true-defaults'],
      json: values.json,
      help: values.help,
    } as const;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** What of a question makes it another one in a record. */
function nameOf({ bare, trueDefaults, engine, driver, workers, seed }: Exclude<ReturnType<typeof options>, string>) {
  const bareWords = `bare-bullmq${trueDefaults ? ' true-defaults' : ''}`;
  const own = [engine, ...(driver === 'run' ? ['run'] : []), ...(workers > 1 ? [`cpu:${workers}`] : [])].join(' ');
  return `${bare ? bareWords : own} seed ${seed}`;
}

function counted(name: string, text: string | undefined, unset: number): number {
  if (text === undefined) return unset;
  if (!/^\d{1,9}$/.test(text)) throw new RangeError(`${name} ${text}: a whole number is wanted`);
  return Number(text);
}

function readable(result: ChaosResult | BareResult): string {
  const { acknowledged, completed, failed_with_reason, cancelled, missing, doubled, torn } = result;
  const { recomputed, deaths, largest_batch: largest, retried_for_memory, given_up, remade_black } = result;
  const done = 'controls' in result ? result.controls : {};
  const given = Object.entries({ ...result.kills, ...done }).map(([kind, count]) => `${kind} ${count}`);
  const took = 'recovery_s' in result ? Object.entries(result.recovery_s) : [];
  const settled = `${completed} completed + ${failed_with_reason} failed with reason + ${cancelled} cancelled`;
  return [
    `${acknowledged} acknowledged = ${settled} + ${missing} missing`,
    `${doubled} doubled, ${torn} torn; ${result.seconds} s`,
    `${recomputed} recomputed over ${deaths} deaths, of ${deaths * largest} allowed`,
    `made again without a death: ${retried_for_memory} for memory, ${given_up} given up, ${remade_black} black`,
    `given: ${given.join(', ')}`,
    ...overtakingLines(result),
    ...('bullmq' in result ? [`BullMQ with ${JSON.stringify(result.bullmq)}`] : []),
    ...took.map(([part, { n, median, most, limit }]) => {
      const promise = limit === null ? '' : `, promised ${limit} s`;
      return `${part.replaceAll('_', ' ')}: ${n === 0 ? 'not seen' : `${median} s, at most ${most} s of ${n}`}${promise}`;
    }),
    ...('excused' in result ? result.excused.map((sentence) => `excused: ${sentence}`) : []),
    ...result.faults.map((sentence) => `FAULT ${sentence}`),
  ].join('\n');
}

function overtakingLines(result: ChaosResult | BareResult): readonly string[] {
  if (!('overtaking' in result) || result.overtaking === null) return [];
  const { overtaken, batches_before: before } = result.overtaking;
  return [
    `the picture that was wanted at once overtook ${overtaken}; ${before} batches of others were begun before it`,
  ];
}
