import { AppError, InputError } from '../errors.ts';
import { readFields, type Said } from '../job/fields.ts';
import { resolve } from '../job/resolve.ts';
import { filesOf } from '../job/resolve-loras.ts';
import type { Device, Job, Lora, Model } from '../ports.ts';
import { AUTO, type Preset, presetNamed, presetsWith, requirePreset } from '../preset/catalogue.ts';
import { factsOf, impossible } from '../preset/combinations.ts';
import type { Choice, Considered, Footprint, Ground } from '../preset/explanation.ts';
import { shapeOf } from '../preset/shape.ts';
import { refuseImpossible } from '../submission-preset.ts';
import type { Bytes, Seconds } from '../units.ts';
import type { App } from './app.ts';
import { EXIT } from './exit.ts';
import { counted, seconds, significant } from './figures.ts';
import { widthOf } from './presets.ts';
import { wrappedColumns } from './table.ts';

export interface ExplainOptions {
  readonly json?: boolean;
  readonly size?: string;
  readonly cfg?: string;
  readonly steps?: string;
  readonly lora?: readonly string[];
}

/** What pictures would be made with on a device, or why with nothing. */
type Answer = { readonly choice: Choice } | { readonly refusal: AppError };

/**
 * Asks what would be chosen; no worker is started, and nothing is loaded.
 * @returns the exit code: `input` where no device could make such pictures
 */
export async function presetsExplain(app: App, name: string | undefined, options: ExplainOptions): Promise<number> {
  const { config } = app.loaded;
  const presets = presetsWith(config.presets);
  requirePreset(config.preset, presets);
  const model = await app.models.resolve(name ?? config.model, { download: false });
  const said = saidOf(options);
  const { loras: named = [] } = readFields(said, COMMAND);
  const loras = new Map<string, Lora>();
  for (const lora of named) loras.set(lora.name, await app.models.resolveLora(lora.name));
  const job = jobFor(model, config.preset, said, loras);
  refuseImpossible(job.preset, presets, [{ request: job.request, place: '--preset' }], new Map([[model.name, model]]));
  const provider = await app.provider();
  const answers = provider.devices.map((device) => ({
    device,
    answer: answerOf(() => {
      refuseOn(device, job, presets);
      return provider.explain(job, device.id);
    }),
  }));
  if (options.json !== true) app.io.out(titleOf(job));
  for (const { device, answer } of answers) {
    if (options.json === true) app.io.out(JSON.stringify(eventOf(job, device, answer)));
    else for (const line of linesOf(device, answer, widthOf(app))) app.io.out(line);
  }
  return answers.some(({ answer }) => 'choice' in answer) ? EXIT.done : EXIT.input;
}

const COMMAND = { place: 'command line', code: 'bad_flag' } as const;

function saidOf(options: ExplainOptions): readonly Said[] {
  const once = (['size', 'cfg', 'steps'] as const).flatMap((name) => {
    const value = options[name];
    return value === undefined ? [] : [{ name, label: `--${name}`, value }];
  });
  return [...once, ...(options.lora ?? []).map((value) => ({ name: 'lora', label: '--lora', value }))];
}

/** One that is never queued: what it is of decides, and not what it shows. */
function jobFor(model: Model, preset: string, said: readonly Said[], loras: ReadonlyMap<string, Lora>): Job {
  const draft = { prompt: 'a picture', place: COMMAND.place, ...readFields(said, COMMAND) };
  const models = new Map([[model.name, model]]);
  const [wanted] = resolve([draft], {
    flags: {},
    models,
    loras,
    defaultModel: model.name,
    n: 1,
    order: 'breadth',
  });
  if (wanted === undefined) throw new AppError('a picture came to nothing', { code: 'internal' });
  return {
    id: 'explain-000000',
    runId: 'explain',
    request: { ...wanted.request, seed: 0 },
    modelPath: model.path,
    family: model.family,
    anatomy: model.anatomy,
    ...filesOf(wanted.request, loras),
    preset,
    target: '/dev/null',
    format: 'png',
    sidecar: null,
    priority: 'bulk',
  };
}

function answerOf(explain: () => Choice): Answer {
  try {
    return { choice: explain() };
  } catch (error) {
    if (error instanceof AppError && error.code !== 'internal') return { refusal: error };
    throw error;
  }
}

/** A preset that is asked for by its name is judged by the worker, which is not started for this. */
function refuseOn(device: Device, job: Job, presets: readonly Preset[]): void {
  if (job.preset === AUTO) return;
  const facts = { ...factsOf(job), device: device.kind, loras: job.loraPaths.length > 0 };
  const found = impossible(presetNamed(job.preset, presets).settings, facts);
  if (found !== null) throw new InputError(`${job.preset}: ${found.because}`, { code: 'preset_impossible' });
}

function titleOf({ request, preset }: Job): string {
  const { model, width, height, guidance, steps, loras } = request;
  const passes = guidance > 1 ? `guidance ${guidance} (two passes at once)` : 'one pass';
  return `${model}, ${width}x${height}, ${passes}, ${counted(steps, 'step')}${loras.length === 0 ? '' : `, ${counted(loras.length, 'LoRA')}`}, --preset ${preset}`;
}

function linesOf({ id, name, kind }: Device, answer: Answer, width: number): readonly string[] {
  const head = ['', id === 'cpu' || name === id ? id : `${id} (${name})`];
  if ('refusal' in answer) return [...head, ...wrappedColumns([['  nothing', answer.refusal.message]], width)];
  const { choice } = answer;
  const chosen = choice.considered.find(({ verdict }) => verdict === 'chosen');
  return [
    ...head,
    ...wrappedColumns(
      [
        ['  preset', choice.preset.name],
        ['  batches', `of ${choice.limit}`],
        ['  because', choice.reason],
        ['  room', roomOf(choice.room, kind)],
      ],
      width,
    ),
    ...(chosen?.footprint == null ? [] : fitOf(chosen.footprint, kind, width)),
    ...consideredOf(choice.considered, width),
  ];
}

function roomOf({ device, host, reserve }: Choice['room'], kind: Device['kind']): string {
  const own = device === null ? 'not known' : `${size(device)}, of which ${size(reserve)} stay in reserve`;
  return host === null || kind === 'cpu' ? own : `${own}; ${size(host)} in the memory of the host`;
}

/** Parts that are never there together are not added up, so the most at one time is said apart. */
function fitOf(
  { parts, deviceBytes, hostBytes, ground }: Footprint,
  kind: Device['kind'],
  width: number,
): readonly string[] {
  const rows = parts.map(({ what, bytes, ground: how, detail }) => [`  ${what}`, size(bytes), how, detail]);
  const kept = hostBytes > deviceBytes ? `${size(hostBytes)} once all prompts are kept` : '';
  const beside = kind === 'cpu' ? kept : `and ${size(hostBytes)} in the memory of the host`;
  const most = ['  at one time', size(deviceBytes), ground, beside];
  return ['', ...wrappedColumns([['  takes', '', '', ''], ...rows, most], width)];
}

function consideredOf(considered: readonly Considered[], width: number): readonly string[] {
  if (considered.length === 0) return [];
  const rows = considered.map(({ preset, batch, footprint, seconds: time, secondsGround, verdict, why }) => [
    `  ${preset}`,
    String(batch),
    size(footprint?.deviceBytes ?? null),
    paceOf(time, secondsGround),
    verdict,
    why,
  ]);
  return ['', ...wrappedColumns([['  looked at', 'batch', 'memory', 'a picture', '', ''], ...rows], width)];
}

function paceOf(time: Seconds | null, ground: Ground | null): string {
  return time === null ? '?' : `${ground === 'learned' ? '' : '~'}${seconds(time)}`;
}

function size(bytes: Bytes | null): string {
  if (bytes === null) return '?';
  return bytes < 1e8 ? `${significant(bytes / 1e6)} MB` : `${significant(bytes / 1e9)} GB`;
}

function eventOf(job: Job, { id, uuid, name }: Device, answer: Answer) {
  const asked = { device: id, uuid, name, model: job.request.model, shape: shapeOf(job.request), asked: job.preset };
  if ('refusal' in answer) return { ...asked, refused: { code: answer.refusal.code, message: answer.refusal.message } };
  const { preset, limit, reason, room, considered } = answer.choice;
  const looked = considered.map(({ footprint, secondsGround, ...one }) => ({
    ...one,
    seconds_ground: secondsGround,
    footprint: footprint === null ? null : footprintOf(footprint),
  }));
  return {
    ...asked,
    preset: preset.name,
    batch: limit,
    reason,
    room: { device_bytes: room.device, host_bytes: room.host, reserve_bytes: room.reserve },
    considered: looked,
  };
}

function footprintOf({ deviceBytes, hostBytes, ground, parts }: Footprint) {
  return { device_bytes: deviceBytes, host_bytes: hostBytes, ground, parts };
}
