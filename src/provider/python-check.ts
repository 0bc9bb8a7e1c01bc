import { z } from 'zod';
import type { Check, Device } from '../ports.ts';
import { runBriefly } from '../process/run-briefly.ts';
import type { Millis } from '../units.ts';

interface PythonOptions {
  readonly python: string;
  readonly workerDir: string;
  readonly engine: 'diffusers' | 'fake';
  readonly devices: readonly Device[];
}

/** The first import of torch from a cold disk takes its time. */
const LIMIT_MS: Millis = 120_000;
const MEND = 'set up the Python environment anew with scripts/setup';

/** Torch is looked at only when asked for: its import takes seconds. */
const PROBE = `import json, platform, sys
found = {"python": platform.python_version()}
def attempt(name, get):
    try: found[name] = get()
    except Exception as error: found[name] = {"error": f"{type(error).__name__}: {error}"}
def worker():
    import kilnwatt_worker
    return kilnwatt_worker.__version__
def torch():
    import torch
    return {"version": torch.__version__, "built_for": torch.version.cuda, "cuda": torch.cuda.is_available()}
def extras():
    from kilnwatt_worker.extras import installed
    return installed()
attempt("worker", worker)
if sys.argv[1] == "diffusers":
    attempt("torch", torch)
    attempt("extras", extras)
print(json.dumps(found))`;

const broken = z.object({ error: z.string() });
const probeSchema = z.object({
  python: z.string(),
  worker: z.union([z.string(), broken]),
  torch: z
    .union([z.object({ version: z.string(), built_for: z.string().nullable(), cuda: z.boolean() }), broken])
    .optional(),
  extras: z.union([z.array(z.string()), broken]).optional(),
});
type Probe = z.infer<typeof probeSchema>;
type Torch = NonNullable<Probe['torch']>;

/** Lines of `doctor` on the interpreter, our worker in it, torch with its CUDA, and the extras that are there. */
export async function checkPython(options: PythonOptions): Promise<readonly Check[]> {
  const { python, workerDir, engine, devices } = options;
  const run = await runBriefly(python, ['-P', '-c', PROBE, engine], {
    limit: LIMIT_MS,
    env: { PYTHONPATH: workerDir },
  });
  const found = run.ok ? probeSchema.safeParse(parsed(run.output)) : null;
  if (!found?.success) {
    const why = run.ok ? `answered ${run.output.slice(0, 200)}` : run.complaint;
    return [{ name: 'python', status: 'fail', detail: `${python} does not run: ${why}`, mend: MEND }];
  }
  const lines: Check[] = [
    { name: 'python', status: 'ok', detail: `${found.data.python} (${python})` },
    workerLine(found.data.worker, workerDir),
  ];
  const { torch, extras } = found.data;
  if (torch === undefined) return lines;
  return [...lines, torchLine(torch), cudaLine(torch, devices), ...extrasLine(extras)];
}

function workerLine(worker: Probe['worker'], workerDir: string): Check {
  if (typeof worker === 'string') return { name: 'worker', status: 'ok', detail: `kilnwatt_worker ${worker}` };
  return { name: 'worker', status: 'fail', detail: `${worker.error} (looked in ${workerDir})`, mend: MEND };
}

function torchLine(torch: Torch): Check {
  if ('error' in torch) return { name: 'torch', status: 'fail', detail: torch.error, mend: MEND };
  const build = torch.built_for === null ? 'built for the CPU' : `built for CUDA ${torch.built_for}`;
  return { name: 'torch', status: 'ok', detail: `${torch.version}, ${build}` };
}

/** A worker that cannot be imported has its own line. */
function extrasLine(extras: Probe['extras']): Check[] {
  if (!Array.isArray(extras)) return [];
  const names = extras.join(', ') || 'none; ./scripts/setup --with NAME adds what a preset asks for';
  return [{ name: 'extras', status: 'ok', detail: names }];
}

/** A CPU build beside a card makes pictures, but a hundred times slower than its owner expects. */
function cudaLine(torch: Torch, devices: readonly Device[]): Check {
  const cards = devices.filter((device) => device.kind === 'cuda').map((device) => device.id);
  const usable = !('error' in torch) && torch.cuda;
  if (usable) return { name: 'cuda', status: 'ok', detail: 'torch can use the card' };
  if (cards.length === 0)
    return { name: 'cuda', status: 'ok', detail: 'no card is used; pictures are made on the CPU' };
  const cpuBuild = !('error' in torch) && torch.built_for === null;
  const why = cpuBuild ? 'torch is built for the CPU' : 'torch finds no card, or a driver older than its CUDA';
  const mend = cpuBuild ? MEND : 'update the NVIDIA driver, or on WSL2 the one of Windows';
  return { name: 'cuda', status: 'fail', detail: `${cards.join(', ')} cannot be used: ${why}`, mend };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
