import type { Bytes } from '../units.ts';
import type { Fit } from './belief.ts';
import { engineOf } from './engine.ts';
import type { Choice, Footprint } from './explanation.ts';
import type { Asked, Exhausted, Option } from './question.ts';

const SAID = { learned: 'measured', computed: 'computed', assumed: 'estimated' } as const;

/** `batches of 4, 1.32 s a picture (measured), 8.1 GB (measured) of 22.5 GB` */
export function figuresOf({ batch, speed, footprint }: Option, room: Choice['room']): string {
  const { seconds, ground } = speed;
  const pace = seconds === null || ground === null ? [] : [`${seconds.toPrecision(3)} s a picture (${SAID[ground]})`];
  const memory = footprint === null ? [] : [memoryOf(footprint, room)];
  return [`batches of ${batch}`, ...pace, ...memory].join(', ');
}

/** All that was tried, and what need not be: it takes more. */
export function exhaustedBy({ candidates, auto, fits, ruledOut, size, device }: Asked): Exhausted {
  const tries = namesByEngine(candidates).flatMap(([engine, names]) => {
    const fit = fits.get(engine);
    return fit?.limit === 0 ? [triesOf(names.join('/'), fit.tried)] : [];
  });
  const others = candidates.filter((preset) => fits.get(engineOf(preset))?.limit !== 0);
  const against = others.map((preset) => ({ name: preset.name, why: ruledOut(preset) }));
  if (tries.length === 0) {
    const reasons = against.map(({ name, why }) => `${name}, ${why ?? 'which was not measured'}`).join('; ');
    return { exhausted: `auto has nothing to choose on ${device}: ${reasons}`, code: 'preset_impossible' };
  }
  const larger = auto ? against.filter(({ why }) => why === null).map(({ name }) => name) : [];
  const rest = larger.length === 0 ? '' : `; ${larger.join(', ')} would take more`;
  return { exhausted: `${size} does not fit on ${device}: tried ${tries.join(' and ')}${rest}`, code: 'out_of_memory' };
}

/** Presets that set the same are one engine, and were tried as one. */
function namesByEngine(candidates: Asked['candidates']): readonly (readonly [string, readonly string[]])[] {
  const names = new Map<string, string[]>();
  for (const preset of candidates) {
    const engine = engineOf(preset);
    names.set(engine, [...(names.get(engine) ?? []), preset.name]);
  }
  return [...names];
}

function memoryOf({ deviceBytes, hostBytes, ground }: Footprint, { device, host, reserve }: Choice['room']): string {
  const spare = ground === 'learned' || reserve === 0 ? '' : ` and ${sizeOf(reserve)} in reserve`;
  const need = `${sizeOf(deviceBytes)} (${SAID[ground]})${spare}`;
  const own = device === null ? need : `${need} of ${sizeOf(device)}`;
  const isHostShort = host !== null && hostBytes > host;
  return isHostShort ? `${own}, and ${sizeOf(hostBytes)} of the host's ${sizeOf(host)}` : own;
}

function triesOf(name: string, tried: Fit['tried']): string {
  return tried === 'load'
    ? `${name}, which ran out of memory while it loaded`
    : `${name} in batches of ${tried.join(', ')}`;
}

function sizeOf(bytes: Bytes): string {
  return bytes < 9.95e7 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}
