import { InputError } from '../errors.ts';
import { suggestion } from './nearest.ts';
import { type Request, SCHEDULERS, SCHEDULES, type ScheduleName, type SchedulerName } from './request.ts';

/** What a sampler's name says: A1111's older names carry the schedule, as in `DPM++ 2M Karras`. */
export interface Sampler {
  readonly scheduler: SchedulerName;
  readonly schedule?: ScheduleName;
}

/**
 * Reads a sampler by A1111's name, our own, or k-diffusion's (`k_dpmpp_2m`), whatever the case.
 * @throws InputError `unknown_scheduler`
 */
export function parseSampler(text: string, place?: string): Sampler {
  const typed = squeeze(text);
  const whole = SAMPLER_NAMES.get(typed);
  if (whole !== undefined) return { scheduler: whole };
  for (const [suffix, schedule] of SCHEDULE_NAMES) {
    const scheduler = typed.endsWith(suffix) ? SAMPLER_NAMES.get(typed.slice(0, -suffix.length)) : undefined;
    if (scheduler !== undefined) return { scheduler, schedule };
  }
  const names = Object.values(SAMPLERS).map((sampler) => sampler.shown);
  const known = [...new Set(names)].join(', ');
  throw new InputError(`there is no sampler "${text}"${suggestion(text, names)} (known: ${known})`, {
    code: 'unknown_scheduler',
    ...(place === undefined ? {} : { place }),
  });
}

/**
 * Reads a schedule by A1111's name or ours. Undefined for A1111's `Automatic`, which says nothing:
 * the sampler keeps its own.
 * @throws InputError `unknown_schedule`
 */
export function parseSchedule(text: string, place?: string): ScheduleName | undefined {
  const typed = squeeze(text);
  if (typed === AUTOMATIC) return undefined;
  const schedule = SCHEDULE_NAMES.get(typed);
  if (schedule !== undefined) return schedule;
  const names = Object.values(SCHEDULE_SHOWN);
  throw new InputError(
    `there is no schedule "${text}"${suggestion(text, names)} (known: Automatic, ${names.join(', ')})`,
    {
      code: 'unknown_schedule',
      ...(place === undefined ? {} : { place }),
    },
  );
}

/** Whether a text names a schedule: A1111's own API calls the schedule `scheduler`. */
export function isSchedule(text: string): boolean {
  const typed = squeeze(text);
  return typed === AUTOMATIC || SCHEDULE_NAMES.has(typed);
}

/** Schedules that a sampler can follow in diffusers. */
export function schedulesOf(scheduler: SchedulerName): readonly ScheduleName[] {
  return SAMPLERS[scheduler].schedules;
}

/** The names that A1111 and the readers of its `parameters` text know. */
export function a1111Sampler(request: Pick<Request, 'scheduler' | 'schedule'>): { sampler: string; schedule: string } {
  // Forge and its readers call the spacing that a flow-matching model is configured with `Simple`.
  const simple = request.scheduler === 'flow_match_euler' && request.schedule === 'normal';
  return {
    sampler: SAMPLERS[request.scheduler].shown,
    schedule: simple ? 'Simple' : SCHEDULE_SHOWN[request.schedule],
  };
}

const AUTOMATIC = 'automatic';
/** `schedules` follows the configuration that each diffusers scheduler class accepts. */
const SAMPLERS: Readonly<
  Record<SchedulerName, { shown: string; aliases: readonly string[]; schedules: readonly ScheduleName[] }>
> = {
  dpmpp_2m: { shown: 'DPM++ 2M', aliases: [], schedules: SCHEDULES },
  dpmpp_2m_sde: { shown: 'DPM++ 2M SDE', aliases: [], schedules: SCHEDULES },
  dpmpp_sde: { shown: 'DPM++ SDE', aliases: [], schedules: SCHEDULES },
  euler: { shown: 'Euler', aliases: [], schedules: SCHEDULES },
  euler_a: { shown: 'Euler a', aliases: ['euler_ancestral'], schedules: ['normal', 'sgm_uniform'] },
  heun: { shown: 'Heun', aliases: [], schedules: SCHEDULES },
  unipc: { shown: 'UniPC', aliases: [], schedules: SCHEDULES },
  ddim: { shown: 'DDIM', aliases: [], schedules: ['normal', 'sgm_uniform'] },
  lcm: { shown: 'LCM', aliases: [], schedules: ['normal'] },
  pndm: { shown: 'PLMS', aliases: ['PNDM'], schedules: ['normal', 'sgm_uniform'] },
  flow_match_euler: { shown: 'Euler', aliases: [], schedules: ['normal', 'karras', 'exponential', 'beta'] },
};

const SCHEDULE_SHOWN: Readonly<Record<ScheduleName, string>> = {
  normal: 'Normal',
  karras: 'Karras',
  exponential: 'Exponential',
  beta: 'Beta',
  sgm_uniform: 'SGM Uniform',
};

const SCHEDULE_NAMES: ReadonlyMap<string, ScheduleName> = new Map<string, ScheduleName>([
  ...SCHEDULES.map((name): [string, ScheduleName] => [squeeze(SCHEDULE_SHOWN[name]), name]),
  ['uniform', 'normal'],
  ['ka', 'karras'],
]);

/** The first name wins: a plain `Euler` is the discrete one; `resolve` knows which models have another. */
const SAMPLER_NAMES: ReadonlyMap<string, SchedulerName> = samplerNames();

function samplerNames(): Map<string, SchedulerName> {
  const names = new Map<string, SchedulerName>();
  for (const scheduler of SCHEDULERS) {
    for (const name of [scheduler, SAMPLERS[scheduler].shown, ...SAMPLERS[scheduler].aliases]) {
      const squeezed = squeeze(name);
      if (!names.has(squeezed)) names.set(squeezed, scheduler);
      names.set(`k${squeezed}`, names.get(squeezed) ?? scheduler);
    }
  }
  return names;
}

function squeeze(text: string): string {
  return text
    .toLowerCase()
    .replaceAll('+', 'p')
    .replaceAll(/[\s_-]/g, '');
}
