import { parseArgs } from 'node:util';
import { type BareResult, wreakHavocOnBareBullmq } from '../test/chaos/bare.ts';
import { type ChaosResult, wreakHavoc } from '../test/chaos/harness.ts';

const USAGE = `scripts/chaos [options]: exits with 0 if nothing was lost, with 1 if anything was
  --jobs N          pictures to be made (1000; 150 with diffusers)
  --kills N         SIGKILLs of worker and orchestrator together (30; 20 with diffusers)
  --redis-kills N   SIGKILLs of the queue's server (3)
  --hangs N         SIGSTOPs of the worker (2)
  --poison N        jobs that end their worker each time (3)
  --seed N          of the schedule and of what is planted (1)
  --engine NAME     fake, or diffusers with the model in the box (fake)
  --driver NAME     serve, with a submit for each part of the jobs, or run (serve)
  --bare-bullmq     the same against BullMQ alone, with its own rule for stalled jobs: it is to lose some
  --json            one JSON object on standard output`;
const EXIT = { held: 0, lost: 1, badArguments: 2, interrupted: 130 } as const;

const OPTIONS = {
  jobs: { type: 'string' },
  kills: { type: 'string' },
  'redis-kills': { type: 'string' },
  hangs: { type: 'string' },
  poison: { type: 'string' },
  seed: { type: 'string' },
  engine: { type: 'string', default: 'fake' },
  driver: { type: 'string', default: 'serve' },
  'bare-bullmq': { type: 'boolean', default: false },
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
    const numbers = {
      jobs: counted('--jobs', values.jobs, engine === 'fake' ? 1_000 : 150),
      kills: counted('--kills', values.kills, engine === 'fake' ? 30 : 20),
      redisKills: counted('--redis-kills', values['redis-kills'], 3),
      hangs: counted('--hangs', values.hangs, 2),
      poison: counted('--poison', values.poison, 3),
      seed: counted('--seed', values.seed, 1),
    };
    return { ...numbers, engine, driver, bare: values['bare-bullmq'], json: values.json, help: values.help } as const;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function counted(name: string, text: string | undefined, unset: number): number {
  if (text === undefined) return unset;
  if (!/^\d{1,9}$/.test(text)) throw new RangeError(`${name} ${text}: a whole number is wanted`);
  return Number(text);
}

function readable(result: ChaosResult | BareResult): string {
  const { acknowledged, completed, failed_with_reason, missing, doubled, torn } = result;
  const { recomputed, deaths, largest_batch: largest, retried_for_memory, given_up, remade_black } = result;
  const given = Object.entries(result.kills).map(([kind, count]) => `${kind} ${count}`);
  const took = 'recovery_s' in result ? Object.entries(result.recovery_s) : [];
  return [
    `${acknowledged} acknowledged = ${completed} completed + ${failed_with_reason} failed with reason + ${missing} missing`,
    `${doubled} doubled, ${torn} torn; ${result.seconds} s`,
    `${recomputed} recomputed over ${deaths} deaths, of ${deaths * largest} allowed`,
    `made again without a death: ${retried_for_memory} for memory, ${given_up} given up, ${remade_black} black`,
    `given: ${given.join(', ')}`,
    ...took.map(([part, { n, median, most, limit }]) => {
      const promise = limit === null ? '' : `, promised ${limit} s`;
      return `${part.replaceAll('_', ' ')}: ${n === 0 ? 'not seen' : `${median} s, at most ${most} s of ${n}`}${promise}`;
    }),
    ...('late' in result ? result.late.map((sentence) => `late: ${sentence}`) : []),
    ...result.faults.map((sentence) => `FAULT ${sentence}`),
  ].join('\n');
}
